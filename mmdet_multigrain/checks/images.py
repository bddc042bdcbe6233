"""Checks of images: file names, sizes, and the photos themselves where they were read."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator

import numpy as np

from mmdet_multigrain.coco.looks import Look
from mmdet_multigrain.utils.files import is_absolute, leaves_folder
from mmdet_multigrain.utils.images import TURNS
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, NOTE, WARNING, Check, Finding, found, photos_where, run
from .names import difference, is_doubtful


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about images."""
    size = dataclasses.replace(size_missing, fixable=data.photos is not None)
    yield from found(size, data, size_missing.find(data))
    yield from run(CHECKS, data)


def _stated(data: CocoData, row: int) -> str:
    image = data.images[row]
    return f'stated {show(image.get("width"))} x {show(image.get("height"))}'


def _size(data: CocoData, row: int) -> str:
    width, height = data.photo(row).size
    return f'{data.name_image(row)}: {width} x {height}, {_stated(data, row)}'


def _turn(data: CocoData, row: int) -> str:
    return f'{_size(data, row)}; turned: {TURNS[data.photo(row).orientation]}'


_UNTURN = 'remove the orientation tag (exiftool -Orientation= FILE) and keep the pixels'


@Check(
    'image-size-missing',
    ERROR,
    "images without 'width' and 'height'",
    'write them; with --images they are read from the photos',
    fixable=True,
    describe=lambda data, row: f'{data.name_image(row)}: {_stated(data, row)}',
)
def size_missing(data: CocoData) -> np.ndarray:
    return np.flatnonzero(np.isnan(data.stated).any(1))


@Check(
    'file-name-missing',
    ERROR,
    "images without 'file_name'",
    'name the file, or remove the image',
    fixable=True,
    describe=CocoData.name_image,
)
def unnamed(data: CocoData) -> list[int]:
    return [row for row in range(len(data.images)) if data.file_name(row) is None]


absent = Check(
    'photo-absent',
    ERROR,
    'images whose photo is not there',
    'get the photos, or remove the images',
    fixable=True,
    describe=lambda data, row: f'{data.name_image(row)}: no {show(data.photo(row).path)}',
    find=photos_where(lambda photo: photo.is_absent and not photo.candidates),
)


named_otherwise = Check(
    'photo-named-otherwise',
    ERROR,
    'images whose photo has another name in the folder',
    'write the name that the folder has',
    fixable=True,
    describe=lambda data, row: _other_name(data, row, data.photo(row).named),
    find=photos_where(lambda photo: bool(photo.named)),
)


def _other_name(data: CocoData, row: int, path: str) -> str:
    name = data.file_name(row)
    return (
        f'image {show(data.images[row].get("id"))}: {name!a} is {path!a} ({difference(name, path)})'
    )


ambiguous = Check(
    'photo-ambiguous',
    ERROR,
    'images whose photo is not there, but may be a file with a similar name',
    'write the name of the file; nothing tells which it is',
    describe=lambda data, row: (
        f'{data.name_image(row)}: {", ".join(map(ascii, data.photo(row).candidates[:3]))}'
    ),
    find=photos_where(lambda photo: bool(photo.candidates)),
)


unreadable = Check(
    'photo-unreadable',
    ERROR,
    'images whose photo cannot be read',
    'get the photos again, or remove the images',
    fixable=True,
    describe=lambda data, row: f'{data.name_image(row)}: {data.photo(row).problem}',
    find=photos_where(lambda photo: bool(photo.problem)),
)


black = Check(
    'photo-black',
    WARNING,
    'images whose photo is (nearly) black or of one color as OpenCV reads it',
    'look at them; save 16-bit photos with 8 bits per channel, and drawings without transparency',
    describe=lambda data, row: (
        f'{data.name_image(row)}: values {_look(data, row).low:.0f} to {_look(data, row).high:.0f} '
        'of 255'
    ),
    find=photos_where(
        lambda photo: photo.look is not None and (photo.look.is_black or photo.look.is_blank)
    ),
)


def _look(data: CocoData, row: int) -> Look:
    return data.photo(row).look


@Check(
    'image-size-wrong',
    ERROR,
    'images whose photo has another size than stated',
    "write the photo's size",
    fixable=True,
    describe=_size,
)
def size_wrong(data: CocoData) -> np.ndarray:
    """Rows whose photo has another size than stated, unless boxes contradict it."""
    return np.flatnonzero(
        data.differs & np.isfinite(data.stated).all(1) & ~data.is_turned & ~data.is_rescaled
    )


@Check(
    'photo-rescaled',
    ERROR,
    'images whose photo is not the one (by size) that boxes were drawn on',
    'use the original photos, or scale the boxes and write the new size',
    describe=_size,
)
def rescaled(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.is_rescaled)


@Check(
    'photo-turned-by-exif',
    ERROR,
    'images whose photo EXIF turns, but not their stated size',
    f'{_UNTURN}: MMDetection reads them turned, so that boxes miss',
    describe=_turn,
)
def turned(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.is_turned)


@Check(
    'photo-perhaps-turned-by-exif',
    WARNING,
    'images whose photo EXIF turns without telling in its size, so that boxes may miss',
    f'look at them; if their boxes were drawn on the pixels as stored, {_UNTURN}',
    describe=_turn,
)
def perhaps_turned(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.may_be_turned)


@Check(
    'image-size-swapped',
    ERROR,
    'images that boxes leave, and would fit with width and height swapped',
    'read the photos (--images), or write the sizes that they have',
    describe=lambda data, row: f'{data.name_image(row)}: {_stated(data, row)}',
)
def swapped(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.is_swapped)


@Check(
    'image-without-boxes',
    NOTE,
    'images without boxes',
    'nothing, if they show no object; MMDetection can leave them out',
    describe=CocoData.name_image,
)
def without_boxes(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.boxes_per_image == 0)


@Check(
    'file-name-twice',
    WARNING,
    'file names that a second image has too',
    'merge the two images: in each, the boxes of the other count as background',
    describe=lambda data, rows: f'{data.name_image(rows[0])}, also {data.name_image(rows[1])}',
)
def duplicate_names(data: CocoData) -> list[tuple[int, int]]:
    """Row of the image and of the first one with its file name."""
    first: dict[str, int] = {}
    rows = [(row, first.setdefault(plain_name(name), row)) for row, name in data.file_names()]
    ids = [image.get('id') for image in data.images]
    # With the same id, it is a duplicated entry: a finding about ids.
    return [(row, other) for row, other in rows if row != other and ids[row] != ids[other]]


def plain_name(name: str) -> str:
    """A file name without parts that lead nowhere: `a.jpg` for `./a.jpg` and `x/../a.jpg`."""
    return posixpath.normpath(name)


@Check(
    'file-name-case',
    WARNING,
    'file names that differ from another in case only',
    'rename one; on some systems both are one file',
    describe=lambda data, item: f'{data.name_image(item[0])}, also {show(item[1])}',
)
def names_by_case(data: CocoData) -> list[tuple[int, str]]:
    """Row of the image and the first name that is like its own."""
    rows: dict[str, int] = {}
    for row, name in data.file_names():
        rows.setdefault(name, row)
    first: dict[str, str] = {}
    names = [(row, name, first.setdefault(name.lower(), name)) for name, row in rows.items()]
    return [(row, other) for row, name, other in names if name != other]


@Check(
    'file-name-absolute',
    ERROR,
    'file names that are absolute paths; these are not read',
    'name files relative to the image folder; a folder above all of them can be that',
    describe=CocoData.name_image,
)
def absolute_names(data: CocoData) -> list[int]:
    return [row for row in _unknown(data) if is_absolute(data.file_name(row))]


@Check(
    'file-name-above-folder',
    ERROR,
    'file names that leave the image folder; these are not read',
    "name files below the image folder, without '..'; a folder above all of them can be that",
    describe=CocoData.name_image,
)
def names_above_folder(data: CocoData) -> list[int]:
    return [
        row
        for row in _unknown(data)
        if leaves_folder(name := data.file_name(row)) and not is_absolute(name)
    ]


def _unknown(data: CocoData) -> list[int]:
    """Rows whose photo was not read, or is not in the folder."""
    return [
        row
        for row, _ in data.file_names()
        if (photo := data.photo(row)) is None or photo.is_absent and not photo.candidates
    ]


@Check(
    'file-name-doubtful',
    WARNING,
    'file names with a URL, %-escapes or backslashes, as folders seldom have them',
    'check them with --images: --fix then writes the names that the folder has',
    describe=CocoData.name_image,
)
def doubtful_names(data: CocoData) -> list[int]:
    return [
        row
        for row in _unknown(data)
        if is_doubtful(name := data.file_name(row)) and not leaves_folder(name)
    ]


CHECKS = (
    unnamed,
    named_otherwise,
    ambiguous,
    absent,
    unreadable,
    black,
    size_wrong,
    rescaled,
    turned,
    perhaps_turned,
    swapped,
    without_boxes,
    duplicate_names,
    names_by_case,
    absolute_names,
    names_above_folder,
    doubtful_names,
)
DOUBTS = (swapped, ambiguous)  # no repair starts from these
