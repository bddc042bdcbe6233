"""The least that a conversion of DeepFashion2 must do: read and parse all annotation files.

It imports nothing else, so that its processes start as fast as they can.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import orjson

from mmdet_multigrain.utils.parallel import chunked, map_ordered

CHUNK = 500
HEAD_BYTES = 4096


def parse_chunk(folder: str, images: str | None, names: list[str]) -> int:
    """Read and parse annotation files; with `images` read the heads of the images, too."""
    boxes = 0
    for name in names:
        with open(folder + name, 'rb') as file:
            boxes += len(orjson.loads(file.read())) - 2
        if images is not None:
            with open(images + name[:-4] + 'jpg', 'rb', buffering=0) as file:
                file.read(HEAD_BYTES)
    return boxes


def parse_all(root: Path, *, workers: int, heads: bool) -> int:
    """The baseline: read and parse all annotation files, and do nothing with them."""
    folder, images = f'{root}/train/annos/', f'{root}/train/image/'
    parse = functools.partial(parse_chunk, folder, images if heads else None)
    names = sorted(os.listdir(folder))
    with map_ordered(parse, chunked(names, CHUNK), workers=workers) as boxes:
        return sum(boxes)
