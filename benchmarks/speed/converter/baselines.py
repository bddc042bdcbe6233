"""The least that a conversion must do: read and parse its input.

Only light imports: the processes of the baseline import this module, and should start fast.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from mmdet_multigrain.utils.parallel import chunked, map_ordered

CHUNK = 500
HEAD_BYTES = 4096


def parse_annotations(root: Path, *, workers: int, heads: bool) -> int:
    """Read and parse all annotation files of DeepFashion2; the number of boxes.

    With `heads`, also read the first bytes of all images.
    """
    folder, images = f'{root}/train/annos/', f'{root}/train/image/'
    parse = functools.partial(_parse_chunk, folder, images if heads else None)
    with map_ordered(parse, chunked(sorted(os.listdir(folder)), CHUNK), workers=workers) as boxes:
        return sum(boxes)


def _parse_chunk(folder: str, images: str | None, names: list[str]) -> int:
    import orjson

    boxes = 0
    for name in names:
        with open(folder + name, 'rb') as file:
            boxes += len(orjson.loads(file.read())) - 2
        if images is not None:
            with open(images + name[:-4] + 'jpg', 'rb', buffering=0) as file:
                file.read(HEAD_BYTES)
    return boxes


def filter_rows(path: Path, names: list[str], engine: str) -> int:
    """Let polars read a box file of Open Images; the number of rows with these label names."""
    import polars as pl

    rows = pl.scan_csv(path).filter(pl.col('LabelName').is_in(names))
    return len(rows.collect(engine=engine))
