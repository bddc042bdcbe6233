"""Checks of images: file names, sizes, and the photos themselves where they were read."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

import numpy as np

from mmdet_multigrain.utils.files import is_absolute, leaves_folder
from mmdet_multigrain.utils.images import TURNS
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import Checks, Search, photos_where
from .names import difference, is_doubtful

_UNTURN = 'remove the orientation tag (exiftool -Orientation= FILE) and keep the pixels'


def _stated(data: CocoData, row: int, read: str = '') -> str:
    image = data.images[row]
    stated = f'stated {show(image.get("width"))} x {show(image.get("height"))}'
    return f'{data.name_image(row)}: {read}{stated}'


def _size(data: CocoData, row: int) -> str:
    width, height = data.photo(row).size
    return _stated(data, row, f'{width} x {height}, ')


def _turn(data: CocoData, row: int) -> str:
    return f'{_size(data, row)}; turned: {TURNS[data.photo(row).orientation]}'


def _other_name(data: CocoData, row: int) -> str:
    name, path = data.file_name(row), data.photo(row).named
    image = f'image {show(data.images[row].get("id"))}'
    return f'{image}: {name!a} is {path!a} ({difference(name, path)})'


def _grays(data: CocoData, row: int) -> str:
    look = data.photo(row).look
    return f'{data.name_image(row)}: values {look.low:.0f} to {look.high:.0f} of 255'


def plain_name(name: str) -> str:
    """A file name without parts that lead nowhere: `a.jpg` for `./a.jpg` and `x/../a.jpg`."""
    return posixpath.normpath(name)


def _names_where(test: Callable[[str], bool]) -> Search:
    """Rows of the images whose file name passes a test and whose photo was not read, or is absent."""
    return lambda data: [
        row
        for row, name in data.file_names()
        if test(name) and ((photo := data.photo(row)) is None or photo.is_absent)
    ]


CHECKS = Checks(describe=CocoData.name_image)
size_missing = CHECKS.fixable_error(
    'image-size-missing',
    "images without 'width' and 'height'",
    'write them; with --images they are read from the photos',
    lambda data: np.isnan(data.stated).any(1),
    describe=_stated,
    varies=lambda data: {'fixable': data.photos is not None},
)
unnamed = CHECKS.fixable_error(
    'file-name-missing',
    "images without 'file_name'",
    'name the file, or remove the image',
    lambda data: [row for row in range(len(data.images)) if data.file_name(row) is None],
)
named_otherwise = CHECKS.fixable_error(
    'photo-named-otherwise',
    'images whose photo has another name in the folder',
    'write the name that the folder has',
    photos_where(lambda photo: bool(photo.named)),
    describe=_other_name,
)
ambiguous = CHECKS.error(
    'photo-ambiguous',
    'images whose photo is not there, but may be a file with a similar name',
    'write the name of the file; nothing tells which it is',
    photos_where(lambda photo: bool(photo.candidates)),
    describe=lambda data, row: (
        f'{data.name_image(row)}: {", ".join(map(ascii, data.photo(row).candidates[:3]))}'
    ),
)
absent = CHECKS.fixable_error(
    'photo-absent',
    'images whose photo is not there',
    'get the photos, or remove the images',
    photos_where(lambda photo: photo.is_absent),
    describe=lambda data, row: f'{data.name_image(row)}: no {show(data.photo(row).path)}',
)
unreadable = CHECKS.fixable_error(
    'photo-unreadable',
    'images whose photo cannot be read',
    'get the photos again, or remove the images',
    photos_where(lambda photo: bool(photo.problem)),
    describe=lambda data, row: f'{data.name_image(row)}: {data.photo(row).problem}',
)
CHECKS.warning(
    'photo-black',
    'images whose photo is (nearly) black or of one color as OpenCV reads it',
    'look at them; save 16-bit photos with 8 bits per channel, and drawings without transparency',
    photos_where(
        lambda photo: photo.look is not None and (photo.look.is_black or photo.look.is_blank)
    ),
    describe=_grays,
)


@CHECKS.fixable_error(
    'image-size-wrong',
    'images whose photo has another size than stated',
    "write the photo's size",
    describe=_size,
)
def size_wrong(data: CocoData) -> np.ndarray:
    """(images,) whether the photo has another size than stated, unless boxes contradict it."""
    is_stated = np.isfinite(data.stated).all(1)
    return data.differs & is_stated & ~data.is_turned & ~data.is_rescaled


CHECKS.error(
    'photo-rescaled',
    'images whose photo is not the one (by size) that boxes were drawn on',
    'use the original photos, or scale the boxes and write the new size',
    lambda data: data.is_rescaled,
    describe=_size,
)
CHECKS.error(
    'photo-turned-by-exif',
    'images whose photo EXIF turns, but not their stated size',
    f'{_UNTURN}: MMDetection reads them turned, so that boxes miss',
    lambda data: data.is_turned,
    describe=_turn,
)
CHECKS.warning(
    'photo-perhaps-turned-by-exif',
    'images whose photo EXIF turns without telling in its size, so that boxes may miss',
    f'look at them; if their boxes were drawn on the pixels as stored, {_UNTURN}',
    lambda data: data.may_be_turned,
    describe=_turn,
)
swapped = CHECKS.error(
    'image-size-swapped',
    'images that boxes leave, and would fit with width and height swapped',
    'read the photos (--images), or write the sizes that they have',
    lambda data: data.is_swapped,
    describe=_stated,
)
CHECKS.note(
    'image-without-boxes',
    'images without boxes',
    'nothing, if they show no object; MMDetection can leave them out',
    lambda data: data.boxes_per_image == 0,
)


@CHECKS.warning(
    'file-name-twice',
    'file names that a second image has too',
    'merge the two images: in each, the boxes of the other count as background',
    describe=lambda data, rows: f'{data.name_image(rows[0])}, also {data.name_image(rows[1])}',
)
def _duplicate_names(data: CocoData) -> list[tuple[int, int]]:
    """Row of the image and of the first one with its file name."""
    first: dict[str, int] = {}
    rows = [(row, first.setdefault(plain_name(name), row)) for row, name in data.file_names()]
    ids = [image.get('id') for image in data.images]
    # With the same id, it is a duplicated entry: a finding about ids.
    return [(row, other) for row, other in rows if row != other and ids[row] != ids[other]]


@CHECKS.warning(
    'file-name-case',
    'file names that differ from another in case only',
    'rename one; on some systems both are one file',
    describe=lambda data, item: f'{data.name_image(item[0])}, also {show(item[1])}',
)
def _names_by_case(data: CocoData) -> list[tuple[int, str]]:
    """Row of the image and the first name that is like its own."""
    rows: dict[str, int] = {}
    for row, name in data.file_names():
        rows.setdefault(name, row)
    first: dict[str, str] = {}
    names = [(row, name, first.setdefault(name.lower(), name)) for name, row in rows.items()]
    return [(row, other) for row, name, other in names if name != other]


CHECKS.error(
    'file-name-absolute',
    'file names that are absolute paths; these are not read',
    'name files relative to the image folder; a folder above all of them can be that',
    _names_where(is_absolute),
)
CHECKS.error(
    'file-name-above-folder',
    'file names that leave the image folder; these are not read',
    "name files below the image folder, without '..'; a folder above all of them can be that",
    _names_where(lambda name: leaves_folder(name) and not is_absolute(name)),
)
CHECKS.warning(
    'file-name-doubtful',
    'file names with a URL, %-escapes or backslashes, as folders seldom have them',
    'check them with --images: --fix then writes the names that the folder has',
    _names_where(lambda name: is_doubtful(name) and not leaves_folder(name)),
)
DOUBTS = (swapped, ambiguous)  # no repair starts from these
