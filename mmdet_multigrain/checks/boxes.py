"""Checks of boxes: numbers, size, place in the image, layout, area, iscrowd, duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmdet_multigrain.coco.columns import MAX_COORDINATE, is_absent, is_number
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, WARNING, Check, Finding, rows_where, run
from .layout import CORNERS, DOUBTFUL, FRACTIONS, SLACK, XYWH
from .recover import as_number, is_unclear

MIN_OVERLAP = 0.6  # IoU of a box with the one around the mask; parts may be hidden
MIN_TURN = 0.5  # degrees; less moves no side by a pixel, as a rule
ROTATIONS = ('rotation', 'rotate', 'rotation_angle', 'angle', 'theta')  # degrees


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about boxes; of a doubtful layout only that, since all else would follow from it."""
    yield from run(CHECKS, data)


def _box(data: CocoData, row: int) -> str:
    return f'{data.name_annotation(row)}: {show(data.annotations[row].get("bbox"))}'


def _box_in_image(data: CocoData, row: int) -> str:
    width, height = data.of_boxes(data.sizes)[row]
    return f'{_box(data, row)} in {width:.0f} x {height:.0f}'


@Check(
    'bbox-corners',
    ERROR,
    'boxes that look like corners (x1, y1, x2, y2)',
    'write x, y, width, height: as they are, boxes leave their image, and all fit as corners',
    describe=_box_in_image,
)
def corners(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.layouts == DOUBTFUL)


@Check(
    'bbox-corners-told',
    ERROR,
    "boxes that are corners (x1, y1, x2, y2), as 'area' or mask tells",
    'write x, y, width, height',
    fixable=True,
    describe=lambda data, row: f'{_box(data, row)}, area {show(data.annotations[row].get("area"))}',
)
def told_corners(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.layouts == CORNERS)


@Check(
    'bbox-normalized',
    ERROR,
    'boxes that look like fractions of the image: none exceeds 1',
    "multiply them by the image's width and height",
    describe=_box,
)
def normalized(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.layouts == FRACTIONS)


@Check(
    'bbox-unclear',
    ERROR,
    'boxes of other than four numbers',
    'write x, y, width, height; nothing tells which of the numbers these are',
    describe=_box,
)
def unclear(data: CocoData) -> list[int]:
    rows = np.flatnonzero(~data.has_numbers & np.isnan(data.outlines).any(1)).tolist()
    return [row for row in rows if is_unclear(data.annotations[row].get('bbox'))]


@Check(
    'bbox-not-four-numbers',
    ERROR,
    'boxes that are not four numbers',
    'write x, y, width, height: --fix takes them from text or mask, and removes the others',
    fixable=True,
    describe=_box,
)
def not_numbers(data: CocoData) -> np.ndarray:
    return np.setdiff1d(np.flatnonzero(~data.has_numbers), unclear.find(data))


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
    return np.flatnonzero(data.is_outside(data.sizes) & data.is_placed)


@Check(
    'bbox-partly-outside',
    WARNING,
    'boxes partly outside their image',
    'clip them',
    fixable=True,
    describe=_box_in_image,
)
def partly_outside(data: CocoData) -> np.ndarray:
    leaving = data.leaving(data.sizes) & ~data.is_outside(data.sizes)
    return np.flatnonzero(leaving & data.is_placed)


@Check(
    'bbox-below-one-pixel',
    WARNING,
    'boxes thinner than a pixel',
    'remove them: neither training nor evaluation counts them',
    describe=_box,
)
def tiny(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.usable & data.is_thin & (data.layouts == XYWH))


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


area_missing = Check(
    'area-missing',
    WARNING,
    "boxes without 'area'",
    'write width x height; this project fills it in, other tools fail',
    fixable=True,
    describe=CocoData.name_annotation,
    find=rows_where('annotations', lambda item: is_absent(item.get('area'))),
)


def _area(data: CocoData, row: int) -> str:
    return f'{_box(data, row)}, area {show(data.annotations[row].get("area"))}'


@Check(
    'area-not-positive',
    WARNING,
    "boxes whose 'area' is not a positive number",
    'write width x height',
    fixable=True,
    describe=_area,
)
def area_unusable(data: CocoData) -> list[int]:
    of_box = data.boxes[:, 2:].prod(1)
    positive = (data.areas > 0) & (data.areas <= MAX_COORDINATE**2) | (data.areas == of_box)
    return [
        row
        for row in np.flatnonzero(data.usable & (data.layouts == XYWH) & ~positive).tolist()
        if not is_absent(data.annotations[row].get('area'))
    ]


@Check(
    'area-contradicts-box',
    WARNING,
    "boxes whose 'area' cannot be theirs",
    'look which of the two is wrong; if it is the area, write width x height (statistics and AP by '
    'size take that)',
    describe=_area,
)
def area_wrong(data: CocoData) -> np.ndarray:
    wrong = data.judged_areas.are_wrong & (data.layouts == XYWH)
    return np.setdiff1d(np.flatnonzero(wrong), area_of_another.find(data))


@Check(
    'area-of-another',
    WARNING,
    "boxes whose 'area' is that of the image, or not that of their mask",
    'write the area of the mask, else of the box (statistics and AP by size take that)',
    fixable=True,
    describe=lambda data, row: (
        f'{_area(data, row)}; of the object: {data.judged_areas.areas[row]:g}'
    ),
)
def area_of_another(data: CocoData) -> np.ndarray:
    told = data.judged_areas.are_told & (data.layouts == XYWH)
    return np.setdiff1d(np.flatnonzero(told), apart_from_mask.find(data))


def ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) IoU of each box with the other one at its place, both (N, 4) x1, y1, x2, y2."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    both = sides.clip(min=0).prod(1)
    areas = [(part[:, 2:] - part[:, :2]).prod(1) for part in (boxes, others)]
    return both / (sum(areas) - both)


def _mask(data: CocoData, row: int) -> str:
    x1, y1, x2, y2 = data.outlines[row].tolist()
    return f'{_box(data, row)}, mask in [{x1:g}, {y1:g}, {x2 - x1:g}, {y2 - y1:g}]'


@Check(
    'bbox-apart-from-mask',
    WARNING,
    'boxes and masks that do not cover each other',
    'look which of the two is wrong, e.g. in size; if it is the box, draw it around the mask',
    describe=_mask,
)
def apart_from_mask(data: CocoData) -> np.ndarray:
    """Rows whose box and the one around the mask overlap too little, a few pixels aside."""
    boxes, masks = data.corners, data.outlines
    near = np.abs(boxes - masks) <= SLACK
    masks = np.where(near, boxes, masks)
    with np.errstate(invalid='ignore', over='ignore', divide='ignore'):
        is_apart = ious(boxes, masks) < MIN_OVERLAP
    return np.flatnonzero(is_apart & (data.layouts == XYWH))


def _rotation(item: dict[str, Any]) -> float:
    """Degrees by which a box is turned, from what tools export; 0 if it is not."""
    attributes = item.get('attributes')
    for place in (item, attributes if isinstance(attributes, dict) else {}):
        for key in ROTATIONS:
            value = as_number(place.get(key))
            if is_number(value) and np.isfinite(value) and abs(value) <= MAX_COORDINATE:
                return float(value)
    return 0.0


@Check(
    'bbox-rotated',
    WARNING,
    'boxes of objects that are drawn turned: the box is the one before the turn',
    'draw them around the turned shape (the hull of its polygon), or leave them out',
    describe=lambda data, row: f'{_box(data, row)}, turned by {_rotation(data.annotations[row]):g}',
)
def rotated(data: CocoData) -> list[int]:
    """Rows with a rotation, unless the box is the one around the mask."""
    apart = ~(np.abs(data.corners - data.outlines) <= SLACK).all(1)
    return [
        row
        for row in np.flatnonzero(apart & data.usable).tolist()
        if MIN_TURN < _rotation(data.annotations[row]) % 180 < 180 - MIN_TURN
    ]


crowd_missing = Check(
    'iscrowd-missing',
    WARNING,
    "boxes without 'iscrowd'",
    'write 0; this project fills it in, other tools fail',
    fixable=True,
    describe=CocoData.name_annotation,
    find=rows_where('annotations', lambda item: is_absent(item.get('iscrowd'))),
)


crowd_wrong = Check(
    'iscrowd-not-0-or-1',
    ERROR,
    "boxes whose 'iscrowd' is not 0 or 1",
    'write 1 for a group of objects, else 0',
    describe=lambda data, row: (
        f'{data.name_annotation(row)}: {show(data.annotations[row]["iscrowd"])}'
    ),
    find=rows_where(
        'annotations',
        lambda item: not is_absent(item.get('iscrowd')) and item['iscrowd'] not in (0, 1),
    ),
)


ignore_text = Check(
    'ignore-is-text',
    WARNING,
    "boxes whose 'ignore' is text",
    'write 1 or 0: this project reads "false", "no" and "0" as 0, MMDetection any text as 1',
    describe=lambda data, row: (
        f'{data.name_annotation(row)}: {show(data.annotations[row]["ignore"])}'
    ),
    find=rows_where('annotations', lambda item: isinstance(item.get('ignore'), str)),
)


DOUBTS = (corners, normalized, unclear)  # no repair starts from these
CHECKS = (
    *DOUBTS,
    told_corners,
    not_numbers,
    not_finite,
    empty,
    outside,
    partly_outside,
    tiny,
    area_unusable,
    area_wrong,
    area_of_another,
    apart_from_mask,
    rotated,
    duplicates,
    area_missing,
    crowd_missing,
    crowd_wrong,
    ignore_text,
)
