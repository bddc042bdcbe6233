"""Open Images V4: one CSV file of boxes, of up to 14.6 million rows; sizes from a CSV file, too.

The files have the release's columns, but random content: only reading is timed.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from benchmarks.speed.converter import figures
from benchmarks.speed.converter.baselines import filter_rows
from mmdet_multigrain.converters.openimages import convert
from mmdet_multigrain.converters.openimages_selection import load_selection

RELEASE_ROWS = 14_610_229  # of train-annotations-bbox.csv
BOXES_PER_IMAGE = 8.4  # in the release
CLOTHING_SHARE = 490_777 / RELEASE_ROWS  # of the rows: 3.4%
OTHER_CLASSES = 560  # of the 600 that have boxes
PART_ROWS = 1_000_000
# Share of the rows in which a flag is set.
FLAGS = {'IsOccluded': 0.66, 'IsTruncated': 0.25, 'IsGroupOf': 0.05, 'IsDepiction': 0.05}
FLAGS |= {'IsInside': 0.01}


def measure(rows: int, folder: Path, *, workers: int, repeats: int) -> dict[str, Any]:
    """Measure the conversion of so many rows in an empty folder; print and return figures."""
    os.environ['POLARS_MAX_THREADS'] = str(workers)  # of the processes that are measured
    boxes_csv, sizes_csv = folder / 'boxes.csv', folder / 'sizes.csv'
    write_input(boxes_csv, sizes_csv, rows)
    options = dict(split='train', image_sizes=sizes_csv, force=True, progress=False)
    functions = {
        'filter': functools.partial(filter_rows, boxes_csv, label_names(), 'auto'),
        'filter, streaming': functools.partial(filter_rows, boxes_csv, label_names(), 'streaming'),
        'convert': functools.partial(convert, boxes_csv, folder / 'train.json', **options),
    }
    runs = figures.measure_in_rounds(functions, repeats=repeats)
    result = {
        'rows': rows,
        'csv_bytes': boxes_csv.stat().st_size,
        'boxes': figures.check_boxes(runs),
        **figures.summarize(runs),
        'ratio': figures.time_ratio(runs, 'convert', 'filter'),
    }
    result['seconds_per_million_rows'] = result['convert']['seconds'] / rows * 1e6
    print(
        f'{rows:,} rows ({result["csv_bytes"] / 1e9:.2f} GB), {result["boxes"]:,} boxes, '
        f'{workers} threads, medians of {repeats} runs\n'
        f'{figures.runs_table(runs, base="filter")}\n'
        f'convert: {result["seconds_per_million_rows"]:.3f} s for each million rows\n'
    )
    return result


def label_names() -> list[str]:
    """The label names of the clothing classes."""
    return [name for name in load_selection().labels if name.startswith('/m/')]


def write_input(boxes: Path, sizes: Path, rows: int) -> None:
    """Write a CSV file of boxes, sorted by ImageID as the release's, and one of image sizes."""
    rng = np.random.default_rng(0)
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
            table = _boxes(images['ImageID'], count, rng)
            table.write_csv(boxes_file, include_header=part == 0)
            table = images.with_columns(
                Width=pl.Series(rng.choice([1024, 768, 683], len(images))),
                Height=pl.Series(rng.choice([768, 683, 1024], len(images))),
            )
            table.write_csv(sizes_file, include_header=part == 0)
            bar.update(count)
        for file in (boxes_file, sizes_file):
            os.fsync(file.fileno())  # not while something is timed


def _boxes(images: pl.Series, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Rows of boxes in the release's columns, those of an image together."""
    clothing = label_names()
    names = pl.Series([*clothing, *(f'/m/0{number:05x}' for number in range(OTHER_CLASSES))])

    def flag(share: float) -> np.ndarray:
        return (rng.random(count) < share).astype(np.int8)

    label = np.where(
        flag(CLOTHING_SHARE),
        rng.integers(0, len(clothing), count),
        rng.integers(len(clothing), len(names), count),
    )
    low = rng.random((2, count)) * 0.8
    (x1, y1), (x2, y2) = np.round([low, low + 0.01 + rng.random((2, count)) * (0.99 - low)], 6)
    return pl.DataFrame(
        {
            'ImageID': images.gather(np.sort(rng.integers(0, len(images), count))),
            'Source': pl.Series(['xclick', 'activemil']).gather(flag(0.1)),
            'LabelName': names.gather(label),
            'Confidence': np.ones(count, np.int8),
            **{'XMin': x1, 'XMax': x2, 'YMin': y1, 'YMax': y2},
            **{name: flag(share) for name, share in FLAGS.items()},
        }
    )
