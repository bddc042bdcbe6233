"""Checks of images: file names, sizes, and the photos themselves where they are at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from mmdet_multigrain.utils.files import is_absolute, leaves_folder
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, NOTE, WARNING, Check, Finding, Kind, found, run

NAME_MISSING = Kind(
    'file-name-missing',
    ERROR,
    "images without 'file_name'",
    'name the file, or remove the image',
    fixable=True,
)
NAME_TWICE = Kind(
    'file-name-twice',
    WARNING,
    'file names that a second image has too',
    'merge the two images: in each, the boxes of the other count as background',
)
NAME_CASE = Kind(
    'file-name-case',
    WARNING,
    'file names that differ from another in case only',
    'rename one; on some systems both are one file',
)
NAME_ABSOLUTE = Kind(
    'file-name-absolute',
    ERROR,
    'file names that are absolute paths; these are not read',
    'name files relative to the image folder; a folder above all of them can be that',
)
NAME_ABOVE = Kind(
    'file-name-above-folder',
    ERROR,
    'file names that leave the image folder; these are not read',
    "name files below the image folder, without '..'; a folder above all of them can be that",
)
SIZE_MISSING = Kind(
    'image-size-missing',
    ERROR,
    "images without 'width' and 'height'",
    'write them; with --images they are read from the photos',
    fixable=True,
)
ABSENT = Kind(
    'photo-absent',
    ERROR,
    'images whose photo is not there',
    'get the photos, or remove the images',
    fixable=True,
)
UNREADABLE = Kind(
    'photo-unreadable',
    ERROR,
    'images whose photo cannot be read',
    'get the photos anew, or remove the images',
    fixable=True,
)
SIZE_WRONG = Kind(
    'image-size-wrong',
    ERROR,
    'images whose photo has another size than stated',
    "write the photo's size",
    fixable=True,
)
RESCALED = Kind(
    'photo-rescaled',
    ERROR,
    'images whose photo is not the one (by size) that boxes were drawn on',
    'use the original photos, or scale the boxes and write the new size',
)
TURNED = Kind(
    'photo-turned-by-exif',
    ERROR,
    'images whose photo EXIF turns, but not their stated size',
    'save the photos upright: MMDetection reads them turned, so that boxes miss',
)
NO_BOXES = Kind(
    'image-without-boxes',
    NOTE,
    'images without boxes',
    'nothing, if they show no object; MMDetection can leave them out',
)


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about images."""
    size_missing_kind = dataclasses.replace(SIZE_MISSING, fixable=data.photos is not None)
    yield from found(
        size_missing_kind,
        data,
        size_missing(data),
        lambda data, row: f'{data.name_image(row)}: {_stated(data, row)}',
    )
    yield from run(CHECKS, data)
    yield from _check_names(data)


def unnamed(data: CocoData) -> list[int]:
    """Rows without a file name."""
    return [row for row in range(len(data.images)) if data.file_name(row) is None]


def size_missing(data: CocoData) -> np.ndarray:
    """Rows without a usable width or height."""
    return np.flatnonzero(np.isnan(data.stated).any(1))


def absent(data: CocoData) -> list[int]:
    """Rows whose photo is not there."""
    return [
        row
        for row in range(len(data.images))
        if (photo := data.photo(row)) is not None and photo.is_absent
    ]


def unreadable(data: CocoData) -> list[int]:
    """Rows whose photo is there and cannot be read."""
    return [
        row
        for row in range(len(data.images))
        if (photo := data.photo(row)) is not None and photo.problem
    ]


def size_wrong(data: CocoData) -> np.ndarray:
    """Rows whose photo has another size than stated, and boxes do not speak against it."""
    return np.flatnonzero(
        data.differs & np.isfinite(data.stated).all(1) & ~data.is_turned & ~data.is_rescaled
    )


def _check_names(data: CocoData) -> Iterator[Finding]:
    names = [data.file_name(row) for row in range(len(data.images))]
    rows: dict[str, int] = {}
    twice, case = [], []
    lower: dict[str, str] = {}
    for row, name in enumerate(names):
        if name is None:
            continue
        first = rows.setdefault(name, row)
        # Of one id, it is listed twice: a finding about ids.
        if first != row and data.images[first].get('id') != data.images[row].get('id'):
            twice.append(row)
        if lower.setdefault(name.lower(), name) != name and rows[name] == row:
            case.append(row)
    yield from found(
        NAME_TWICE,
        data,
        twice,
        lambda data, row: f'{data.name_image(row)}, also {data.name_image(rows[names[row]])}',
    )
    yield from found(
        NAME_CASE,
        data,
        case,
        lambda data, row: f'{data.name_image(row)}, also {show(lower[names[row].lower()])}',
    )
    yield from found(
        NAME_ABSOLUTE,
        data,
        [row for row, name in enumerate(names) if name and is_absolute(name)],
        CocoData.name_image,
    )
    yield from found(
        NAME_ABOVE,
        data,
        [
            row
            for row, name in enumerate(names)
            if name and not is_absolute(name) and leaves_folder(name)
        ],
        CocoData.name_image,
    )


def _absent(data: CocoData, row: int) -> str:
    return f'{data.name_image(row)}: no {show(data.photo(row).path)}'


def _problem(data: CocoData, row: int) -> str:
    return f'{data.name_image(row)}: {data.photo(row).problem}'


def _stated(data: CocoData, row: int) -> str:
    image = data.images[row]
    return f'stated {show(image.get("width"))} x {show(image.get("height"))}'


def _size(data: CocoData, row: int) -> str:
    width, height = data.photo(row).size
    return f'{data.name_image(row)}: {width} x {height}, {_stated(data, row)}'


CHECKS = (
    Check(NAME_MISSING, unnamed, CocoData.name_image),
    Check(ABSENT, absent, _absent),
    Check(UNREADABLE, unreadable, _problem),
    Check(SIZE_WRONG, size_wrong, _size),
    Check(RESCALED, lambda data: np.flatnonzero(data.is_rescaled), _size),
    Check(TURNED, lambda data: np.flatnonzero(data.is_turned), _size),
    Check(NO_BOXES, lambda data: np.flatnonzero(data.boxes_per_image == 0), CocoData.name_image),
)
