"""Checks of boxes: numbers, size, place in the image, layout, area, iscrowd, duplicates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmdet_multigrain.coco.columns import MAX_COORDINATE, is_absent
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, WARNING, Check, Finding, run

MAX_AREA = 1.5  # times the box; a mask is never larger than its box
MIN_AREA = 0.02  # times the box; a mask may be thin


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about boxes; of a wrong layout, only that: all else would follow from it."""
    yield from run(NUMBERS + PLACES if data.layout == 'xywh' else LAYOUT, data)
    yield from run(FIELDS, data)


def _box(data: CocoData, row: int) -> str:
    return f'{data.name_annotation(row)}: {show(data.annotations[row].get("bbox"))}'


def _box_in_image(data: CocoData, row: int) -> str:
    width, height = data.of_boxes(data.sizes)[row]
    return f'{_box(data, row)} in {width:.0f} x {height:.0f}'


def _of_layout(layout: str, data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.has_numbers & (data.layout == layout))


@Check(
    'bbox-corners',
    ERROR,
    'boxes that look like corners (x1, y1, x2, y2)',
    'write x, y, width, height: most leave their image as they are, and fit as corners',
    describe=_box_in_image,
)
def corners(data: CocoData) -> np.ndarray:
    return _of_layout('corners', data)


@Check(
    'bbox-normalized',
    ERROR,
    'boxes that look like fractions of the image: none exceeds 1',
    "multiply them by the image's width and height",
    describe=_box,
)
def normalized(data: CocoData) -> np.ndarray:
    return _of_layout('normalized', data)


@Check(
    'bbox-not-four-numbers',
    ERROR,
    'boxes that are not four numbers',
    'write x, y, width, height, or remove them',
    fixable=True,
    describe=_box,
)
def not_numbers(data: CocoData) -> np.ndarray:
    return np.flatnonzero(~data.has_numbers)


@Check(
    'bbox-not-finite',
    ERROR,
    'boxes with NaN, infinity or enormous numbers',
    'remove them',
    fixable=True,
    describe=_box,
)
def not_finite(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.has_numbers & ~data.is_finite)


@Check(
    'bbox-empty',
    ERROR,
    'boxes without width or height',
    'remove them',
    fixable=True,
    describe=_box,
)
def empty(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.is_finite & (data.boxes[:, 2:] <= 0).any(1))


@Check(
    'bbox-outside',
    ERROR,
    'boxes wholly outside their image',
    'remove them; no detector can find them',
    fixable=True,
    describe=_box_in_image,
)
def outside(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.is_outside(data.sizes))


@Check(
    'bbox-partly-outside',
    WARNING,
    'boxes partly outside their image',
    'clip them',
    fixable=True,
    describe=_box_in_image,
)
def partly_outside(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.leaving(data.sizes) & ~data.is_outside(data.sizes))


@Check(
    'bbox-below-one-pixel',
    WARNING,
    'boxes thinner than a pixel',
    'remove them: neither training nor evaluation counts them',
    describe=_box,
)
def tiny(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.usable & data.is_thin)


@Check(
    'bbox-duplicate',
    WARNING,
    'duplicate boxes: same image, class and box',
    'remove the second',
    fixable=True,
    describe=_box,
)
def duplicates(data: CocoData) -> np.ndarray:
    """All but the first of equal boxes, in the order of the file."""
    rows = np.flatnonzero(data.usable & (data.image_of >= 0) & (data.category_of >= 0))
    keys = [*data.boxes[rows].T, data.category_of[rows], data.image_of[rows]]
    order = np.lexsort(keys)  # stable: of equal boxes the first in the file comes first
    equal = np.ones(max(len(rows) - 1, 0), bool)
    for key in keys:
        equal &= key[order][1:] == key[order][:-1]
    return np.sort(rows[order[1:][equal]])


@Check(
    'area-missing',
    WARNING,
    "boxes without 'area'",
    'write width x height; this project fills it in, other tools fail',
    fixable=True,
    describe=CocoData.name_annotation,
)
def area_missing(data: CocoData) -> list[int]:
    return [row for row, item in enumerate(data.annotations) if is_absent(item.get('area'))]


@Check(
    'area-contradicts-box',
    WARNING,
    "boxes whose 'area' cannot be theirs",
    'write width x height',
    fixable=True,
    describe=lambda data, row: f'{_box(data, row)}, area {show(data.annotations[row].get("area"))}',
)
def area_wrong(data: CocoData) -> list[int]:
    """Rows whose `area` is not a positive number, or without a mask far from the box's."""
    of_box = np.where(data.usable[:, None], data.boxes[:, 2:], np.nan).prod(1)
    positive = (data.areas > 0) & (data.areas <= MAX_COORDINATE**2) | (data.areas == of_box)
    likely = (data.areas >= MIN_AREA * of_box) & (data.areas <= MAX_AREA * of_box + 1)
    return [
        row
        for row in np.flatnonzero(data.usable & ~(positive & likely)).tolist()
        if not is_absent(data.annotations[row].get('area'))
        and not (positive[row] and data.annotations[row].get('segmentation'))
    ]


@Check(
    'iscrowd-missing',
    WARNING,
    "boxes without 'iscrowd'",
    'write 0; this project fills it in, other tools fail',
    fixable=True,
    describe=CocoData.name_annotation,
)
def crowd_missing(data: CocoData) -> list[int]:
    return [row for row, item in enumerate(data.annotations) if is_absent(item.get('iscrowd'))]


@Check(
    'iscrowd-not-0-or-1',
    ERROR,
    "boxes whose 'iscrowd' is not 0 or 1",
    'write 1 for a group of objects, else 0',
    describe=lambda data, row: (
        f'{data.name_annotation(row)}: {show(data.annotations[row]["iscrowd"])}'
    ),
)
def crowd_wrong(data: CocoData) -> list[int]:
    return [
        row
        for row, item in enumerate(data.annotations)
        if not is_absent(item.get('iscrowd')) and item['iscrowd'] not in (0, 1)
    ]


@Check(
    'ignore-is-text',
    WARNING,
    "boxes whose 'ignore' is text",
    'write 1 or 0: this project reads "false", "no" and "0" as 0, MMDetection any text as 1',
    describe=lambda data, row: (
        f'{data.name_annotation(row)}: {show(data.annotations[row]["ignore"])}'
    ),
)
def ignore_text(data: CocoData) -> list[int]:
    return [row for row, item in enumerate(data.annotations) if isinstance(item.get('ignore'), str)]


LAYOUT = (corners, normalized)
NUMBERS = (not_numbers, not_finite, empty)
PLACES = (outside, partly_outside, tiny, area_wrong)
FIELDS = (duplicates, area_missing, crowd_missing, crowd_wrong, ignore_text)
