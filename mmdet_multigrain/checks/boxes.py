"""Checks of boxes: numbers, size, place in the image, layout, area, iscrowd, duplicates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmdet_multigrain.coco.columns import MAX_COORDINATE, is_absent
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, WARNING, Check, Finding, Kind, run

MAX_AREA = 1.5  # times the box; a mask is never larger than its box
MIN_AREA = 0.02  # times the box; a mask may be thin

CORNERS = Kind(
    'bbox-corners',
    ERROR,
    'boxes that look like corners (x1, y1, x2, y2)',
    'write x, y, width, height: most leave their image as they are, and fit as corners',
)
NORMALIZED = Kind(
    'bbox-normalized',
    ERROR,
    'boxes that look like fractions of the image: none exceeds 1',
    "multiply them by the image's width and height",
)
NOT_NUMBERS = Kind(
    'bbox-not-four-numbers',
    ERROR,
    'boxes that are not four numbers',
    'write x, y, width, height, or remove them',
    fixable=True,
)
NOT_FINITE = Kind(
    'bbox-not-finite',
    ERROR,
    'boxes with NaN, infinity or enormous numbers',
    'remove them',
    fixable=True,
)
EMPTY = Kind('bbox-empty', ERROR, 'boxes without width or height', 'remove them', fixable=True)
OUTSIDE = Kind(
    'bbox-outside',
    ERROR,
    'boxes wholly outside their image',
    'remove them; no detector can find them',
    fixable=True,
)
PARTLY = Kind(
    'bbox-partly-outside', WARNING, 'boxes partly outside their image', 'clip them', fixable=True
)
TINY = Kind(
    'bbox-below-one-pixel',
    WARNING,
    'boxes thinner than a pixel',
    'remove them: MMDetection leaves them out of training, evaluation counts them',
)
DUPLICATE = Kind(
    'bbox-duplicate',
    WARNING,
    'boxes that stand twice: same image, class and box',
    'remove the second',
    fixable=True,
)
AREA_MISSING = Kind(
    'area-missing',
    WARNING,
    "boxes without 'area'",
    'write width x height; this project fills it in, other tools fail',
    fixable=True,
)
AREA_WRONG = Kind(
    'area-contradicts-box',
    WARNING,
    "boxes whose 'area' cannot be theirs",
    'write width x height',
    fixable=True,
)
CROWD_MISSING = Kind(
    'iscrowd-missing',
    WARNING,
    "boxes without 'iscrowd'",
    'write 0; this project fills it in, other tools fail',
    fixable=True,
)
CROWD_WRONG = Kind(
    'iscrowd-not-0-or-1',
    ERROR,
    "boxes whose 'iscrowd' is not 0 or 1",
    'write 1 for a group of objects, else 0',
)


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about boxes; of a wrong layout, only that: all else would follow from it."""
    yield from run(NUMBERS if data.layout == 'xywh' else LAYOUT, data)
    if data.layout == 'xywh':
        yield from run(PLACES, data)
    yield from run(FIELDS, data)


def not_numbers(data: CocoData) -> np.ndarray:
    """Rows whose `bbox` is not four numbers."""
    return np.flatnonzero(~data.has_numbers)


def not_finite(data: CocoData) -> np.ndarray:
    """Rows with numbers that cannot be coordinates."""
    return np.flatnonzero(data.has_numbers & ~data.is_finite)


def empty(data: CocoData) -> np.ndarray:
    """Rows of boxes with a width or height of 0 or below."""
    return np.flatnonzero(data.is_finite & (data.boxes[:, 2:] <= 0).any(1))


def outside(data: CocoData) -> np.ndarray:
    """Rows of boxes of which no part is in the image."""
    return np.flatnonzero(data.is_outside(data.sizes))


def partly_outside(data: CocoData) -> np.ndarray:
    """Rows of boxes of which a part, not all, is outside the image."""
    return np.flatnonzero(data.leaving(data.sizes) & ~data.is_outside(data.sizes))


def tiny(data: CocoData) -> np.ndarray:
    """Rows of boxes that MMDetection does not train on."""
    return np.flatnonzero(data.usable & data.is_thin)


def duplicates(data: CocoData) -> np.ndarray:
    """Rows of boxes that stood before, in the order of the file."""
    rows = np.flatnonzero(data.usable & (data.image_of >= 0) & (data.category_of >= 0))
    keys = [*data.boxes[rows].T, data.category_of[rows], data.image_of[rows]]
    order = np.lexsort(keys)  # stable: of equal boxes the first in the file comes first
    equal = np.ones(max(len(rows) - 1, 0), bool)
    for key in keys:
        equal &= key[order][1:] == key[order][:-1]
    return np.sort(rows[order[1:][equal]])


def area_missing(data: CocoData) -> list[int]:
    """Rows without `area`."""
    return [row for row, item in enumerate(data.annotations) if is_absent(item.get('area'))]


def area_wrong(data: CocoData) -> list[int]:
    """Rows whose `area` is no positive number, or far from the box's without a mask."""
    of_box = np.where(data.usable[:, None], data.boxes[:, 2:], np.nan).prod(1)
    positive = (data.areas > 0) & (data.areas <= MAX_COORDINATE**2) | (data.areas == of_box)
    likely = (data.areas >= MIN_AREA * of_box) & (data.areas <= MAX_AREA * of_box + 1)
    return [
        row
        for row in np.flatnonzero(data.usable & ~(positive & likely)).tolist()
        if not is_absent(data.annotations[row].get('area'))
        and not (positive[row] and data.annotations[row].get('segmentation'))
    ]


def crowd_missing(data: CocoData) -> list[int]:
    """Rows without `iscrowd`."""
    return [row for row, item in enumerate(data.annotations) if is_absent(item.get('iscrowd'))]


def _crowd_wrong(data: CocoData) -> list[int]:
    return [
        row
        for row, item in enumerate(data.annotations)
        if not is_absent(item.get('iscrowd')) and item['iscrowd'] not in (0, 1)
    ]


def _box(data: CocoData, row: int) -> str:
    return f'{data.name_annotation(row)}: {show(data.annotations[row].get("bbox"))}'


def _box_in_image(data: CocoData, row: int) -> str:
    width, height = data.of_boxes(data.sizes)[row]
    return f'{_box(data, row)} in {width:.0f} x {height:.0f}'


def _area(data: CocoData, row: int) -> str:
    item = data.annotations[row]
    return f'{_box(data, row)}, area {show(item.get("area"))}'


def _crowd(data: CocoData, row: int) -> str:
    return f'{data.name_annotation(row)}: {show(data.annotations[row]["iscrowd"])}'


def _of_layout(layout: str, data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.has_numbers & (data.layout == layout))


LAYOUT = (
    Check(CORNERS, lambda data: _of_layout('corners', data), _box_in_image),
    Check(NORMALIZED, lambda data: _of_layout('normalized', data), _box),
)
NUMBERS = (
    Check(NOT_NUMBERS, not_numbers, _box),
    Check(NOT_FINITE, not_finite, _box),
    Check(EMPTY, empty, _box),
)
PLACES = (
    Check(OUTSIDE, outside, _box_in_image),
    Check(PARTLY, partly_outside, _box_in_image),
    Check(TINY, tiny, _box),
    Check(AREA_WRONG, area_wrong, _area),
)
FIELDS = (
    Check(DUPLICATE, duplicates, _box),
    Check(AREA_MISSING, area_missing, CocoData.name_annotation),
    Check(CROWD_MISSING, crowd_missing, CocoData.name_annotation),
    Check(CROWD_WRONG, _crowd_wrong, _crowd),
)
