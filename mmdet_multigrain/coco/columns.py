"""The columns (NumPy arrays) of any COCO file, valid or not.

Missing values and wrong types become NaN or -1. `CocoColumns.left_out` is the rule for the boxes
that training uses; checks, statistics, training, evaluation and splits all ask it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mmdet_multigrain.utils.messages import show

from .files import LISTS, objects
from .masks import MAX_COORDINATE

MIN_SIDE = 1.0  # pixels; MMDetection does not train on smaller boxes
MIN_IMAGE_SIDE = 32  # pixels; the configs leave smaller images out of training (filter_cfg)
_SIDES = ('width', 'height')
_UNSET = frozenset({'', '0', '0.0', 'false', 'f', 'no', 'n', 'none', 'null', 'nan'})


class CocoColumns:
    """The columns of a loaded COCO file.

    `images`, `annotations` and `categories` are the objects of each list; other entries have no
    row.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.images, self.annotations, self.categories = (objects(content, name) for name in LISTS)

    @cached_property
    def image_of(self) -> np.ndarray:
        """(N,) row of each annotation's image, -1 if there is none."""
        return self._rows_of('image_id', self.images)

    @cached_property
    def category_of(self) -> np.ndarray:
        """(N,) row of each annotation's category, -1 if there is none."""
        return self._rows_of('category_id', self.categories)

    def _rows_of(self, key: str, entries: list[dict[str, Any]]) -> np.ndarray:
        rows: dict[int | float | str | None, int] = {}
        for row, entry in enumerate(entries):
            rows.setdefault(id_key(entry.get('id')), row)
        rows.pop(None, None)
        return self._column(lambda item: rows.get(id_key(item.get(key)), -1), np.int64)

    def _column(self, value_of: Any, dtype: Any) -> np.ndarray:
        return np.fromiter(map(value_of, self.annotations), dtype, len(self.annotations))

    @cached_property
    def boxes_per_image(self) -> np.ndarray:
        """(images,) number of annotations of each image."""
        return np.bincount(self.image_of[self.image_of >= 0], minlength=len(self.images))

    @cached_property
    def boxes_per_category(self) -> np.ndarray:
        """(categories,) number of annotations of each category."""
        return np.bincount(self.category_of[self.category_of >= 0], minlength=len(self.categories))

    @cached_property
    def has_numbers(self) -> np.ndarray:
        """(N,) whether `bbox` is four numbers, NaN included."""
        return self._column(lambda item: _is_box(item.get('bbox')), bool)

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) x, y, width, height; NaN where `bbox` is not four numbers."""
        pairs = zip(self.annotations, self.has_numbers, strict=True)
        return _array([item['bbox'] if ok else (np.nan,) * 4 for item, ok in pairs], 4)

    @cached_property
    def is_finite(self) -> np.ndarray:
        """(N,) whether `bbox` is four numbers that can be coordinates."""
        return (np.abs(self.boxes) <= MAX_COORDINATE).all(1)

    @cached_property
    def usable(self) -> np.ndarray:
        """(N,) whether the box is finite and has a width and a height."""
        return self.is_finite & (self.boxes[:, 2:] > 0).all(1)

    @cached_property
    def corners(self) -> np.ndarray:
        """(N, 4) x1, y1, x2, y2 of usable boxes, NaN for the others."""
        boxes = np.where(self.usable[:, None], self.boxes, np.nan)
        return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,) `area` of each annotation; NaN where it is not a number."""
        return _array([(_number(item.get('area')),) for item in self.annotations], 1)[:, 0]

    @cached_property
    def has_mask(self) -> np.ndarray:
        """(N,) whether an annotation has a `segmentation`, usable or not."""
        return self._column(lambda item: bool(item.get('segmentation')), bool)

    @cached_property
    def crowd(self) -> np.ndarray:
        """(N,) whether a box marks a crowd."""
        return self._column(lambda item: is_marked(item.get('iscrowd')), bool)

    @cached_property
    def ignored(self) -> np.ndarray:
        """(N,) whether an annotation is marked `ignore`."""
        return self._column(lambda item: is_marked(item.get('ignore')), bool)

    @cached_property
    def stated(self) -> np.ndarray:
        """(images, 2) width and height as the file states them; NaN where it does not."""
        sizes = _array([[_number(image.get(side)) for side in _SIDES] for image in self.images], 2)
        sizes[~((sizes > 0) & (sizes <= MAX_COORDINATE)).all(1)] = np.nan
        return sizes

    def of_boxes(self, sizes: np.ndarray) -> np.ndarray:
        """(N, 2) the size of each box's image; NaN where the image is unknown."""
        return np.vstack([sizes, [[np.nan, np.nan]]])[self.image_of]

    @cached_property
    def is_thin(self) -> np.ndarray:
        """(N,) whether a box is narrower or lower than a pixel."""
        return (self.boxes[:, 2:] < MIN_SIDE).any(1)

    def is_outside(self, sizes: np.ndarray) -> np.ndarray:
        """(N,) whether no part of a usable box is in its image; sizes are (images, 2), NaN if unknown."""
        near, far = self.corners[:, :2], self.corners[:, 2:]
        return (np.minimum(far, self.of_boxes(sizes)) <= np.maximum(near, 0)).any(1)

    def left_out(self, *, min_size: float = 0) -> dict[str, np.ndarray]:
        """(N,) masks of the boxes that training leaves out, by reason; the first reason counts.

        This is the rule of MMDetection's `CocoDataset.parse_data_info` and `filter_data`, whose
        `filter_cfg.min_size` is `min_size`; 0 for data to evaluate on. Crowds stay: training
        ignores detections in them.
        """
        reasons = {
            'bbox that is not [x, y, width, height]': ~self.is_finite,
            'annotation marked "ignore"': self.ignored,
            'box narrower or lower than a pixel': self.is_thin,
            'box outside its image': self.is_outside(self.stated),
        }
        if min_size > 0:
            small = (self.of_boxes(self.stated) < min_size).any(1)
            reasons[f'box in an image below {min_size} pixels'] = small
        return reasons

    def not_counted(self, *, min_size: float = 0) -> dict[str, np.ndarray]:
        """(N,) masks of the boxes that no class count includes: those of `left_out`, and crowds."""
        return {**self.left_out(min_size=min_size), 'crowd (iscrowd 1)': self.crowd}

    def counted(self, *, min_size: float = 0) -> np.ndarray:
        """(N,) whether a box with a known image and category counts as an object of its class.

        In training data these are the boxes that are trained on, in evaluation those that can be
        found or missed.
        """
        known = (self.image_of >= 0) & (self.category_of >= 0)
        return known & ~np.logical_or.reduce([*self.not_counted(min_size=min_size).values()])

    def why_not_counted(self, *, min_size: float = 0) -> str:
        """How many boxes do not count for which reason, as text; empty if all count."""
        rest, counts = np.ones(len(self.annotations), bool), {}
        for reason, mask in self.not_counted(min_size=min_size).items():
            counts[reason] = np.count_nonzero(mask & rest)
            rest &= ~mask
        return ', '.join(f'{count:,} x {reason}' for reason, count in counts.items() if count)

    def file_name(self, row: int) -> str | None:
        """`file_name` of an image, or None if it has none."""
        name = self.images[row].get('file_name')
        return name if isinstance(name, str) and name.strip() else None

    def file_names(self) -> Iterator[tuple[int, str]]:
        """Row and `file_name` of each image that has one."""
        names = map(self.file_name, range(len(self.images)))
        return ((row, name) for row, name in enumerate(names) if name is not None)

    def name_image(self, row: int) -> str:
        """An image in a message."""
        image = self.images[row]
        return f'image {show(image.get("id"))} ({show(image.get("file_name"))})'

    def name_annotation(self, row: int, field: str = '') -> str:
        """An annotation in a message, with the value of a field."""
        item, image = self.annotations[row], self.image_of[row]
        known = f'image_id {show(item.get("image_id"))}'
        where = known if image < 0 else show(self.images[image].get('file_name'))
        value = f': {show(item.get(field))}' if field else ''
        return f'annotation {show(item.get("id"))} ({where}){value}'

    def name_category(self, row: int) -> str:
        """A category in a message."""
        category = self.categories[row]
        return f'{show(category.get("name"))} (id {show(category.get("id"))})'


def id_key(value: object) -> int | float | str | None:
    """An id as a dictionary key, or None if it cannot be one; 1.0 and 1 are the same."""
    if type(value) in (int, str):
        return value
    return value if type(value) is float and value.is_integer() else None


def first_rows(entries: list[dict[str, Any]]) -> np.ndarray:
    """(rows,) the first row with the same id; an entry without an id is its own."""
    first: dict[Any, int] = {}
    keys = (id_key(entry.get('id')) for entry in entries)
    rows = (row if key is None else first.setdefault(key, row) for row, key in enumerate(keys))
    return np.fromiter(rows, np.int64, len(entries))


def is_number(value: object) -> bool:
    """Whether a value is a number; NaN and infinity are, true and false are not."""
    return type(value) in (int, float)


def is_marked(value: object) -> bool:
    """Whether a flag such as `ignore` is set; the text "0", "false" or "no" does not set it."""
    if isinstance(value, str):
        return value.strip().casefold() not in _UNSET
    return bool(value) and not is_absent(value)


def is_absent(value: object) -> bool:
    """Whether a field is null, NaN or infinite; JSON has no NaN and infinity."""
    return value is None or type(value) is float and not math.isfinite(value)


def _is_box(value: object) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def _array(rows: Sequence[Sequence[float]], columns: int) -> np.ndarray:
    """(rows, columns) float64; integers too large for it become infinite."""
    try:
        array = np.array(rows, dtype=np.float64)
    except OverflowError:
        limit = sys.float_info.max
        finite = [[np.inf if abs(value) > limit else value for value in row] for row in rows]
        array = np.array(finite, dtype=np.float64)
    return array.reshape(len(rows), columns)


def _number(value: object) -> float:
    return value if is_number(value) else np.nan
