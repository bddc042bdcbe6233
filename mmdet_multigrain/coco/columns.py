"""A COCO file as it is, however wrong: its tables as arrays, without a check.

What is missing or of a wrong type becomes NaN or -1 here; the checks say what that means. Which
size of an image is the right one is decided here too, since box checks and repair need one answer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_multigrain.checks.photos import Photo
from mmdet_multigrain.utils.errors import CheckError
from mmdet_multigrain.utils.files import load_json
from mmdet_multigrain.utils.messages import show

LISTS = ('images', 'annotations', 'categories')
MAX_COORDINATE = 1e9  # beyond it (infinity, NaN) a number is no coordinate
ROUNDING = 0.05  # pixels; boxes are often written with one or two decimals
MIN_BOXES_FOR_LAYOUT = 5  # fewer do not show how boxes are meant
SAME_SCALE = 0.02  # sizes that differ by less are no resized photos


class CocoData:
    """A COCO file, and what is known of its photos.

    Rows are positions among the entries that are JSON objects.

    Args:
        content: The loaded file.
        path: Where it is from.
        split: `train`, `val` or nothing, for findings.
        photos: By file name; None if photos are not looked at.
        not_strict: What a strict reader says of the file.
        max_examples: Of each kind of finding.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        *,
        path: Path,
        split: str = '',
        photos: Mapping[str, Photo] | None = None,
        not_strict: str = '',
        max_examples: int = 3,
    ) -> None:
        self.content, self.path, self.split = content, path, split
        self.photos, self.not_strict, self.max_examples = photos, not_strict, max_examples

    def replaced(self, content: Mapping[str, Any]) -> CocoData:
        """The same with another content; what is known of photos stays."""
        return CocoData(
            content,
            path=self.path,
            split=self.split,
            photos=self.photos,
            max_examples=self.max_examples,
        )

    # ------------------------------------------------------------------ tables

    def table(self, name: str) -> list[dict[str, Any]]:
        """The usable entries of `images`, `annotations` or `categories`."""
        entries = self.content.get(name)
        return (
            [entry for entry in entries if isinstance(entry, dict)]
            if isinstance(entries, list)
            else []
        )

    @cached_property
    def images(self) -> list[dict[str, Any]]:
        return self.table('images')

    @cached_property
    def annotations(self) -> list[dict[str, Any]]:
        return self.table('annotations')

    @cached_property
    def categories(self) -> list[dict[str, Any]]:
        return self.table('categories')

    @cached_property
    def image_of(self) -> np.ndarray:
        """(N,) the image's row of each annotation, -1 if there is none."""
        return self._refer('image_id', self.images)

    @cached_property
    def category_of(self) -> np.ndarray:
        """(N,) the category's row of each annotation, -1 if there is none."""
        return self._refer('category_id', self.categories)

    def _refer(self, key: str, entries: list[dict[str, Any]]) -> np.ndarray:
        rows: dict[int | float | str, int] = {}
        for row, entry in enumerate(entries):
            rows.setdefault(id_key(entry.get('id')), row)
        rows.pop(None, None)
        return np.fromiter(
            (rows.get(id_key(item.get(key)), -1) for item in self.annotations),
            np.int64,
            len(self.annotations),
        )

    @cached_property
    def boxes_per_image(self) -> np.ndarray:
        """(images,) annotations of each image."""
        return np.bincount(self.image_of[self.image_of >= 0], minlength=len(self.images))

    @cached_property
    def boxes_per_category(self) -> np.ndarray:
        """(categories,) annotations of each category."""
        return np.bincount(self.category_of[self.category_of >= 0], minlength=len(self.categories))

    # ------------------------------------------------------------------ boxes

    @cached_property
    def has_numbers(self) -> np.ndarray:
        """(N,) whether `bbox` is four numbers, NaN included."""
        return np.fromiter(
            (_is_box(item.get('bbox')) for item in self.annotations), bool, len(self.annotations)
        )

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) x, y, width, height; NaN where `bbox` is not four numbers."""
        return _array(
            [
                item['bbox'] if ok else (np.nan,) * 4
                for item, ok in zip(self.annotations, self.has_numbers, strict=True)
            ],
            4,
        )

    @cached_property
    def usable(self) -> np.ndarray:
        """(N,) whether the box is four finite numbers and has a width and a height."""
        finite = (np.abs(self.boxes) <= MAX_COORDINATE).all(1)
        return finite & (self.boxes[:, 2:] > 0).all(1)

    @cached_property
    def corners(self) -> np.ndarray:
        """(N, 4) x1, y1, x2, y2 of usable boxes, NaN for the others."""
        boxes = np.where(self.usable[:, None], self.boxes, np.nan)
        return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,) `area` of each annotation; NaN where it is no number."""
        values = (item.get('area') for item in self.annotations)
        return _array([(value if is_number(value) else np.nan,) for value in values], 1)[:, 0]

    @cached_property
    def layout(self) -> str:
        """`xywh` as COCO has it, or what the boxes look like: `corners`, `normalized`."""
        boxes = self.boxes[(np.abs(self.boxes) <= MAX_COORDINATE).all(1)]
        if len(boxes) and (np.abs(boxes) <= 1).all() and (boxes % 1 != 0).any():
            return 'normalized'
        sizes = self.of_boxes(self.stated)
        known = self.usable & np.isfinite(sizes).all(1)
        boxes, sizes = self.boxes[known], sizes[known]
        if len(boxes) < MIN_BOXES_FOR_LAYOUT:
            return 'xywh'
        leaves = (boxes[:, :2] + boxes[:, 2:] > sizes + 2).any(1)
        fits = ((boxes[:, 2:] > boxes[:, :2]) & (boxes[:, 2:] <= sizes + 1)).all(1)
        return 'corners' if leaves.mean() > 0.5 and fits.mean() >= 0.95 else 'xywh'

    def leaving(self, sizes: np.ndarray) -> np.ndarray:
        """(N,) whether a usable box reaches beyond its image.

        Args:
            sizes: (images, 2) width and height; NaN where unknown, which no box leaves.
        """
        of_box = self.of_boxes(sizes)
        near, far = self.corners[:, :2], self.corners[:, 2:]
        return ((near < -ROUNDING) & np.isfinite(of_box) | (far > of_box + ROUNDING)).any(1)

    def of_boxes(self, sizes: np.ndarray) -> np.ndarray:
        """(N, 2) the size of each box's image; NaN where the image is unknown."""
        return np.vstack([sizes, [[np.nan, np.nan]]])[self.image_of]

    # ------------------------------------------------------------------ sizes

    @cached_property
    def stated(self) -> np.ndarray:
        """(images, 2) width and height as the file has them; NaN where it has none."""
        sizes = _array(
            [
                [
                    image.get(key) if is_number(image.get(key)) else np.nan
                    for key in ('width', 'height')
                ]
                for image in self.images
            ],
            2,
        )
        sizes[~((sizes > 0) & (sizes <= MAX_COORDINATE)).all(1)] = np.nan
        return sizes

    @cached_property
    def seen(self) -> np.ndarray:
        """(images, 2) width and height of the photos; NaN where not looked at or unreadable."""
        return _array(
            [
                photo.size if photo and photo.size else (np.nan,) * 2
                for photo in map(self.photo, range(len(self.images)))
            ],
            2,
        )

    @cached_property
    def differs(self) -> np.ndarray:
        """(images,) whether the photo has another size than stated."""
        return np.isfinite(self.seen).all(1) & (self.stated != self.seen).any(1)

    @cached_property
    def is_turned(self) -> np.ndarray:
        """(images,) whether the size is stated as before the turn that EXIF asks for."""
        turned = np.fromiter(
            (bool(photo and photo.turned) for photo in map(self.photo, range(len(self.images)))),
            bool,
            len(self.images),
        )
        return turned & self.differs & (self.stated == self.seen[:, ::-1]).all(1)

    @cached_property
    def is_rescaled(self) -> np.ndarray:
        """(images,) whether the boxes were drawn on a photo of the stated size, not on this one.

        So it is when photo and stated size have one shape but not one scale, or when boxes keep
        within the stated size and leave the photo.
        """
        scale = self.seen / self.stated
        other = self.differs & ~self.is_turned & (np.abs(scale - 1) > SAME_SCALE).any(1)
        same_shape = np.abs(scale[:, 0] / scale[:, 1] - 1) < SAME_SCALE / 2
        if self.layout != 'xywh':
            return other & same_shape
        contradicts = self.leaving(self.seen) & ~self.leaving(self.stated)
        drawn = np.bincount(self.image_of[contradicts], minlength=len(self.images)) > 0
        return other & np.isfinite(self.stated).all(1) & (same_shape | drawn)

    @cached_property
    def sizes(self) -> np.ndarray:
        """(images, 2) the size that boxes refer to: the photo's, unless it contradicts them."""
        keep = self.is_turned | self.is_rescaled | ~np.isfinite(self.seen).all(1)
        return np.where(keep[:, None], self.stated, self.seen)

    # ------------------------------------------------------------------ words

    def file_name(self, row: int) -> str | None:
        """`file_name` of an image, or None if it has none."""
        name = self.images[row].get('file_name')
        return name if isinstance(name, str) and name.strip() else None

    def photo(self, row: int) -> Photo | None:
        """What is known of the photo of an image."""
        name = self.file_name(row)
        return self.photos.get(name) if self.photos is not None and name is not None else None

    def name_image(self, row: int) -> str:
        """An image in a message."""
        return (
            f'image {show(self.images[row].get("id"))} ({show(self.images[row].get("file_name"))})'
        )

    def name_annotation(self, row: int) -> str:
        """An annotation in a message."""
        item, image = self.annotations[row], self.image_of[row]
        where = (
            show(self.images[image].get('file_name'))
            if image >= 0
            else f'image_id {show(item.get("image_id"))}'
        )
        return f'annotation {show(item.get("id"))} ({where})'

    def name_category(self, row: int) -> str:
        """A category in a message."""
        return (
            f'{show(self.categories[row].get("name"))} (id {show(self.categories[row].get("id"))})'
        )


def load(path: str | os.PathLike[str], **options: Any) -> CocoData:
    """Read a COCO file.

    Args:
        path: The file.
        options: For `CocoData`.

    Raises:
        CheckError: It cannot be read, is not JSON, or its top level is no object.
    """
    path, not_strict = Path(path), ''
    try:
        try:
            content = load_json(path)
        except ValueError as error:
            content = load_json(path, allow_nan=True)
            not_strict = str(error)
    except FileNotFoundError:
        raise CheckError(f'{path}: no such file; check the path') from None
    except IsADirectoryError:
        raise CheckError(f'{path}: this is a folder; name a file in it') from None
    except OSError as error:
        raise CheckError(f'{path}: cannot be read ({error.strerror})') from None
    except ValueError as error:
        raise CheckError(f'{path}: not JSON ({one_line(error)}); write it again') from None
    if not isinstance(content, dict):
        raise CheckError(
            f'{path}: not a COCO file, its top level is no object '
            f'but {type(content).__name__}; name an annotation file'
        )
    return CocoData(content, path=path, not_strict=one_line(not_strict), **options)


def one_line(text: object) -> str:
    """A short message without line breaks."""
    return ' '.join(str(text).split())[:200]


def id_key(value: object) -> int | float | str | None:
    """An id as a dictionary key, or None if it cannot be one; 1.0 and 1 are the same."""
    if type(value) in (int, str):
        return value
    return value if type(value) is float and value.is_integer() else None


def is_number(value: object) -> bool:
    """Whether it is a number; NaN and infinity count, true and false do not."""
    return type(value) in (int, float)


def is_absent(value: object) -> bool:
    """Whether a field says nothing: null, or NaN and infinity, which JSON does not have."""
    return value is None or type(value) is float and not math.isfinite(value)


def _is_box(value: object) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def _array(rows: Sequence[Sequence[float]], columns: int) -> np.ndarray:
    """(rows, columns) float64; whole numbers too large for it become infinite."""
    try:
        array = np.array(rows, dtype=np.float64)
    except OverflowError:
        array = np.array([[_float(value) for value in row] for row in rows])
    return array.reshape(len(rows), columns)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf
