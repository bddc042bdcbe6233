"""Checks for objects that are annotated twice: two boxes of one image at the same place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.messages import show

from .boxes import ious
from .classes import class_keys
from .data import CocoData
from .finding import Checks, Finding, found
from .granularity import names_above
from .layout import XYWH

NEAR = 2.0  # pixels between the sides of two boxes, if these overlap enough:
# IoU from which boxes are of one object, and the one that is enough for near sides. Layers of clothes
# and parts that fill their whole are at one place, too, so classes that differ ask for more.
ONE_CLASS, TWO_CLASSES = (0.85, 0.7), (0.95, 0.8)

Place = tuple[int, int]  # a box and an earlier one at its place: rows of annotations


def _describe(data: CocoData, place: Place) -> str:
    row, first = place
    boxes = [show(data.annotations[each]['bbox']) for each in place]
    names = [data.categories[data.category_of[each]].get('name') for each in place]
    if names[0] != names[1]:
        boxes = [f'{box} of {show(name)}' for box, name in zip(boxes, names, strict=True)]
    number = show(data.annotations[first].get('id'))
    return f'{data.name_annotation(row)}: {boxes[0]}, and {number}: {boxes[1]}'


CHECKS = Checks(describe=_describe)
SAME_CLASS = CHECKS.warning(
    'object-twice',
    'boxes at the place of another one of their class, hardly moved',
    'keep the better one of each two: a detector that finds the object once misses the other',
)
OTHER_CLASS = CHECKS.warning(
    'object-in-two-classes',
    'boxes at the place of one of another class',
    'if both are of one object, keep the right class',
)
PARENT_AND_CHILD = CHECKS.warning(
    'object-as-parent-and-child',
    'boxes at the place of one of their superclass or subclass',
    'keep the finer class: its superclass follows from the taxonomy',
)


def check(data: CocoData, taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """Findings about boxes at one place; equal boxes of one class are `bbox-duplicate`."""
    keys, above = class_keys(data, taxonomy), names_above(data, taxonomy)
    names = [category.get('name') for category in data.categories]
    names = [normalize(name) if isinstance(name, str) else None for name in names]
    places: dict[str, list[Place]] = {check.code: [] for check in CHECKS}
    for row, first, iou, gap in _near_pairs(data):
        one, other = data.category_of[[first, row]]
        if is_same := one == other or keys[one] is not None and keys[one] == keys[other]:
            kind = SAME_CLASS
        elif names[one] in above[other] or names[other] in above[one]:
            kind = PARENT_AND_CHILD
        else:
            kind = OTHER_CLASS
        least, least_near = ONE_CLASS if is_same else TWO_CLASSES
        is_equal = gap == 0 and one == other
        if not is_equal and (iou >= least or gap <= NEAR and iou >= least_near):
            places[kind.code].append((row, first))
    for kind in CHECKS:
        first_of = dict(sorted(places[kind.code], reverse=True))  # of several, the first stays
        yield from found(kind, data, sorted(first_of.items()))


def _near_pairs(data: CocoData) -> Iterator[tuple[int, int, float, float]]:
    """Row, an earlier row, IoU, largest distance of two sides: of boxes at about one place."""
    is_box = data.usable & (data.layouts == XYWH) & ~data.crowd
    rows = np.flatnonzero(is_box & (data.image_of >= 0) & (data.category_of >= 0))
    rows = rows[np.lexsort((data.corners[rows, 0], data.image_of[rows]))]
    images, boxes = data.image_of[rows], data.corners[rows]
    # The right box of a pair starts before this share of the left one.
    reach = boxes[:, 0] + np.maximum((1 - ONE_CLASS[0]) * (boxes[:, 2] - boxes[:, 0]), NEAR)
    left, step = np.arange(len(rows) - 1), 1
    while len(left):
        left = left[left + step < len(rows)]
        right = left + step
        is_near = (images[left] == images[right]) & (boxes[right, 0] <= reach[left])
        left, right = left[is_near], right[is_near]
        overlaps = ious(boxes[left], boxes[right])
        gaps = np.abs(boxes[left] - boxes[right]).max(1)
        is_same = (overlaps >= ONE_CLASS[0]) | (gaps <= NEAR) & (overlaps >= ONE_CLASS[1])
        for place in np.flatnonzero(is_same):
            pair = sorted((int(rows[left[place]]), int(rows[right[place]])), reverse=True)
            yield *pair, float(overlaps[place]), float(gaps[place])
        step += 1
