"""Files of the shape of Open Images V4: a CSV of boxes with the release's columns, and image sizes.

What they say is random; only reading is to be timed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import tqdm

from mmdet_multigrain.converters.openimages_selection import load_selection
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole

RELEASE_ROWS = 14_610_229  # of train-annotations-bbox.csv
BOXES_PER_IMAGE = 8.4  # in the release
CLOTHING_SHARE = 490_777 / RELEASE_ROWS  # of the rows: 3.4 %
OTHER_CLASSES = 560  # of the 600 that have boxes
ROW_BYTES = 100  # more than a row of both files takes; they are removed at the end
PART_ROWS = 1_000_000
INPUT_VERSION = 1


def label_names() -> list[str]:
    """The label names of the clothing classes."""
    return [name for name in load_selection().labels if name.startswith('/m/')]


def write_input(boxes: Path, sizes: Path, rows: int, *, seed: int = 0) -> None:
    """Write a CSV file of boxes, sorted by ImageID as the release's, and one of image sizes.

    Files of the same kind that are there already are kept.

    Raises:
        ValueError: There is too little room on the disk.
    """
    manifest = boxes.with_suffix('.input.json')
    content = {'input_version': INPUT_VERSION, 'rows': rows, 'seed': seed}
    if manifest.is_file() and load_json(manifest) == content:
        return
    boxes.parent.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * rows * ROW_BYTES, shutil.disk_usage(boxes.parent).free
    if free < needed:
        raise ConfigError(
            f'{boxes.parent}: {free / 1e9:.1f} GB free, but the benchmark needs '
            f'{needed / 1e9:.1f} GB for {rows:,} rows; name another folder (--dir)'
        )
    rng = np.random.default_rng(seed)
    clothing = label_names()
    others = [f'/m/0{number:05x}' for number in range(OTHER_CLASSES)]
    names = pl.Series([*clothing, *others])
    parts = -(-rows // PART_ROWS)
    with (
        open(boxes, 'wb') as boxes_file,
        open(sizes, 'wb') as sizes_file,
        tqdm(total=rows, desc='writing input', unit='row', unit_scale=True) as bar,
    ):
        for part in range(parts):
            count = min(PART_ROWS, rows - part * PART_ROWS)
            low, high = ((part + n) * 2**63 // parts for n in (0, 1))
            ids = np.sort(rng.integers(low, high, max(1, round(count / BOXES_PER_IMAGE))))
            images = pl.DataFrame({'ImageID': [f'{number:016x}' for number in ids.tolist()]})
            _boxes(images['ImageID'], names, len(clothing), count, rng).write_csv(
                boxes_file, include_header=part == 0
            )
            images.with_columns(
                Width=pl.Series(rng.choice([1024, 768, 683], len(images))),
                Height=pl.Series(rng.choice([768, 683, 1024], len(images))),
            ).write_csv(sizes_file, include_header=part == 0)
            bar.update(count)
        for file in (boxes_file, sizes_file):
            os.fsync(file.fileno())  # not while something is timed
    write_whole(manifest, dump_json(content))


def _boxes(
    images: pl.Series, names: pl.Series, num_clothing: int, count: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Rows of boxes in the release's columns, those of an image together."""

    def flag(share: float) -> np.ndarray:
        return (rng.random(count) < share).astype(np.int8)

    def edges() -> np.ndarray:
        low = rng.random(count) * 0.8
        return np.round([low, low + 0.01 + rng.random(count) * (0.99 - low)], 6)

    label = np.where(
        rng.random(count) < CLOTHING_SHARE,
        rng.integers(0, num_clothing, count),
        rng.integers(num_clothing, len(names), count),
    )
    (x1, x2), (y1, y2) = edges(), edges()
    return pl.DataFrame(
        {
            'ImageID': images.gather(np.sort(rng.integers(0, len(images), count))),
            'Source': pl.Series(['xclick', 'activemil']).gather(flag(0.1)),
            'LabelName': names.gather(label),
            'Confidence': np.ones(count, np.int8),
            'XMin': x1,
            'XMax': x2,
            'YMin': y1,
            'YMax': y2,
            'IsOccluded': flag(0.66),
            'IsTruncated': flag(0.25),
            'IsGroupOf': flag(0.05),
            'IsDepiction': flag(0.05),
            'IsInside': flag(0.01),
        }
    )
