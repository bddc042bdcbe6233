"""Checks of boxes: numbers, size, place in the image, layout, area, iscrowd, duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmdet_multigrain.coco.columns import MAX_COORDINATE, is_absent, is_number
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import Check, Checks, rows_where
from .layout import CORNERS, DOUBTFUL, FRACTIONS, SLACK, XYWH
from .recover import as_number, is_unclear

MIN_OVERLAP = 0.6  # IoU of a box with the one around the mask; parts may be hidden
MIN_TURN = 0.5  # degrees; less moves no side by a pixel, as a rule
ROTATIONS = ('rotation', 'rotate', 'rotation_angle', 'angle', 'theta')  # degrees


def _box(data: CocoData, row: int) -> str:
    return data.name_annotation(row, 'bbox')


def _box_in_image(data: CocoData, row: int) -> str:
    width, height = data.of_boxes(data.sizes)[row]
    return f'{_box(data, row)} in {width:.0f} x {height:.0f}'


def _area(data: CocoData, row: int) -> str:
    return f'{_box(data, row)}, area {show(data.annotations[row].get("area"))}'


def _mask(data: CocoData, row: int) -> str:
    x1, y1, x2, y2 = data.outlines[row].tolist()
    return f'{_box(data, row)}, mask in [{x1:g}, {y1:g}, {x2 - x1:g}, {y2 - y1:g}]'


def ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) IoU of each box with the other one at its place, both (N, 4) x1, y1, x2, y2."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    both = sides.clip(min=0).prod(1)
    areas = [(part[:, 2:] - part[:, :2]).prod(1) for part in (boxes, others)]
    return both / (sum(areas) - both)


def _apart_from_mask(data: CocoData) -> np.ndarray:
    """(N,) whether a box and the one around its mask overlap too little, a few pixels aside."""
    boxes, masks = data.corners, data.outlines
    masks = np.where(np.abs(boxes - masks) <= SLACK, boxes, masks)
    with np.errstate(invalid='ignore', over='ignore', divide='ignore'):
        return (ious(boxes, masks) < MIN_OVERLAP) & (data.layouts == XYWH)


def _area_of_another(data: CocoData) -> np.ndarray:
    return data.judged_areas.are_told & (data.layouts == XYWH) & ~_apart_from_mask(data)


def _rotation(item: dict[str, Any]) -> float:
    """Degrees by which a box is turned, from what tools export; 0 if it is not."""
    attributes = item.get('attributes')
    for place in (item, attributes if isinstance(attributes, dict) else {}):
        for key in ROTATIONS:
            value = as_number(place.get(key))
            if is_number(value) and np.isfinite(value) and abs(value) <= MAX_COORDINATE:
                return float(value)
    return 0.0


# Of boxes in a doubtful layout only that is found, since all else would follow from it.
CHECKS = Checks(describe=_box)
corners = CHECKS.error(
    'bbox-corners',
    'boxes that look like corners (x1, y1, x2, y2)',
    'write x, y, width, height: as they are, boxes leave their image, and all fit as corners',
    lambda data: data.layouts == DOUBTFUL,
    describe=_box_in_image,
)
normalized = CHECKS.error(
    'bbox-normalized',
    'boxes that look like fractions of the image: none exceeds 1',
    "multiply them by the image's width and height",
    lambda data: data.layouts == FRACTIONS,
)


@CHECKS.error(
    'bbox-unclear',
    'boxes of other than four numbers',
    'write x, y, width, height; nothing tells which of the numbers these are',
)
def unclear(data: CocoData) -> list[int]:
    rows = np.flatnonzero(~data.has_numbers & np.isnan(data.outlines).any(1)).tolist()
    return [row for row in rows if is_unclear(data.annotations[row].get('bbox'))]


DOUBTS = (corners, normalized, unclear)  # no repair starts from these
CHECKS.fixable_error(
    'bbox-corners-told',
    "boxes that are corners (x1, y1, x2, y2), as 'area' or mask tells",
    'write x, y, width, height',
    lambda data: data.layouts == CORNERS,
    describe=_area,
)
not_numbers = CHECKS.fixable_error(
    'bbox-not-four-numbers',
    'boxes that are not four numbers',
    'write x, y, width, height: --fix takes them from text or mask, and removes the others',
    lambda data: np.setdiff1d(np.flatnonzero(~data.has_numbers), unclear.find(data)),
)


@CHECKS.fixable_error(
    'bbox-not-finite', 'boxes with NaN, infinity or enormous numbers', 'remove them'
)
def not_finite(data: CocoData) -> np.ndarray:
    return data.has_numbers & ~data.is_finite


@CHECKS.fixable_error('bbox-empty', 'boxes without width or height', 'remove them')
def empty(data: CocoData) -> np.ndarray:
    return data.is_finite & (data.boxes[:, 2:] <= 0).any(1)


outside = CHECKS.fixable_error(
    'bbox-outside',
    'boxes wholly outside their image',
    'remove them; no detector can find them',
    lambda data: data.is_outside(data.sizes) & data.is_placed,
    describe=_box_in_image,
)
partly_outside = CHECKS.fixable_warning(
    'bbox-partly-outside',
    'boxes partly outside their image',
    'clip them',
    lambda data: data.leaving(data.sizes) & ~data.is_outside(data.sizes) & data.is_placed,
    describe=_box_in_image,
)
CHECKS.warning(
    'bbox-below-one-pixel',
    'boxes thinner than a pixel',
    'remove them: neither training nor evaluation counts them',
    lambda data: data.usable & data.is_thin & (data.layouts == XYWH),
)


@CHECKS.fixable_warning(
    'area-not-positive',
    "boxes whose 'area' is not a positive number",
    'write width x height',
    describe=_area,
)
def area_unusable(data: CocoData) -> np.ndarray:
    of_box = data.boxes[:, 2:].prod(1)
    positive = (data.areas > 0) & (data.areas <= MAX_COORDINATE**2) | (data.areas == of_box)
    rows = np.flatnonzero(data.usable & (data.layouts == XYWH) & ~positive)
    return np.setdiff1d(rows, area_missing.find(data))


CHECKS.warning(
    'area-contradicts-box',
    "boxes whose 'area' cannot be theirs",
    'look which of the two is wrong; if it is the area, write width x height (statistics and AP by '
    'size take that)',
    lambda data: data.judged_areas.are_wrong & (data.layouts == XYWH) & ~_area_of_another(data),
    describe=_area,
)
area_of_another = CHECKS.fixable_warning(
    'area-of-another',
    "boxes whose 'area' is that of the image, or not that of their mask",
    'write the area of the mask, else of the box (statistics and AP by size take that)',
    _area_of_another,
    describe=lambda data, row: (
        f'{_area(data, row)}; of the object: {data.judged_areas.areas[row]:g}'
    ),
)
CHECKS.warning(
    'bbox-apart-from-mask',
    'boxes and masks that do not cover each other',
    'look which of the two is wrong, e.g. in size; if it is the box, draw it around the mask',
    _apart_from_mask,
    describe=_mask,
)


@CHECKS.warning(
    'bbox-rotated',
    'boxes of objects that are drawn turned: the box is the one before the turn',
    'draw them around the turned shape (the hull of its polygon), or leave them out',
    describe=lambda data, row: f'{_box(data, row)}, turned by {_rotation(data.annotations[row]):g}',
)
def _rotated(data: CocoData) -> list[int]:
    """Rows with a rotation, unless the box is the one around the mask."""
    apart = ~(np.abs(data.corners - data.outlines) <= SLACK).all(1)
    return [
        row
        for row in np.flatnonzero(apart & data.usable).tolist()
        if MIN_TURN < _rotation(data.annotations[row]) % 180 < 180 - MIN_TURN
    ]


@CHECKS.fixable_warning(
    'bbox-duplicate', 'duplicate boxes: same image, class and box', 'remove the second'
)
def duplicates(data: CocoData) -> np.ndarray:
    """All but the first of equal boxes, in the order of the file."""
    rows = np.flatnonzero(data.usable & (data.image_of >= 0) & (data.category_of >= 0))
    table = np.column_stack([data.boxes, data.category_of, data.image_of])[rows]
    order = np.lexsort(table.T)  # stable: of equal boxes the first in the file comes first
    is_equal = (np.diff(table[order], axis=0) == 0).all(1)
    return np.sort(rows[order[1:][is_equal]])


def _missing(field: str, value: str) -> Check:
    return CHECKS.fixable_warning(
        f'{field}-missing',
        f"boxes without '{field}'",
        f'write {value}; this project fills it in, other tools fail',
        rows_where('annotations', lambda item: is_absent(item.get(field))),
        describe=CocoData.name_annotation,
    )


area_missing, crowd_missing = _missing('area', 'width x height'), _missing('iscrowd', '0')
CHECKS.error(
    'iscrowd-not-0-or-1',
    "boxes whose 'iscrowd' is not 0 or 1",
    'write 1 for a group of objects, else 0',
    rows_where(
        'annotations',
        lambda item: not is_absent(item.get('iscrowd')) and item['iscrowd'] not in (0, 1),
    ),
    describe=lambda data, row: data.name_annotation(row, 'iscrowd'),
)
CHECKS.warning(
    'ignore-is-text',
    "boxes whose 'ignore' is text",
    'write 1 or 0: this project reads "false", "no" and "0" as 0, MMDetection any text as 1',
    rows_where('annotations', lambda item: isinstance(item.get('ignore'), str)),
    describe=lambda data, row: data.name_annotation(row, 'ignore'),
)
