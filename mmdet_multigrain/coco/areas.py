"""Whether the `area` of an annotation is that of its object, and what it is instead.

Some tools write the area of the image, or that of another size of the photo. Sizes in statistics and
in AP by size would then be wrong, while training is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .columns import CocoColumns
from .masks import MAX_COORDINATE, mask_area

MAX_AREA = 1.5  # times the box or mask, whichever is larger
MIN_AREA = 0.02  # times the box; a mask may be thin
MIN_OF_MASK = 0.5  # times the mask; polygons may overlap or have holes
MAX_OBJECT = 0.9  # of an image; the area of a larger object may be that of the image
SAMPLE = 1000  # masks that are measured; all are if one of these has another area
MIN_BOXES = 5  # fewer do not show that all areas are of another scale
SAME_SCALE = 0.02  # relative difference
ELLIPSE = math.pi / 4  # of its box: no other scale


@dataclass(frozen=True, eq=False)
class JudgedAreas:
    """Areas of annotations."""

    # (N,) in square pixels: `area` where it can be that of the object, else that of the mask, else
    # that of the box; NaN where neither is usable
    areas: np.ndarray
    are_wrong: np.ndarray  # (N,) bool; `area` is a positive number, and that of something else
    are_told: np.ndarray  # (N,) bool; of these, that of the image, or not that of a mask


def judge_areas(columns: CocoColumns) -> JudgedAreas:
    """Compare each `area` with the mask, the box, the image and the other areas of the file."""
    of_box = np.where(columns.usable, columns.boxes[:, 2:].prod(1), np.nan)
    known = columns.usable & (columns.areas > 0) & (columns.areas <= MAX_COORDINATE**2)
    of_mask = np.full(len(known), np.nan)
    rows = np.flatnonzero(known & columns.has_mask)

    def measure(chosen: np.ndarray) -> np.ndarray:
        masks = (mask_area(columns.annotations[row].get('segmentation')) for row in chosen)
        of_mask[chosen] = np.fromiter(masks, float, len(chosen))
        return known & _are_wrong(columns, of_box, of_mask)

    are_wrong = measure(rows[:: max(1, len(rows) // SAMPLE)])
    if len(rows) > SAMPLE:
        is_odd = are_wrong[rows] & np.isnan(of_mask[rows])  # for its box; the mask may be thin
        sampled = are_wrong[rows] & ~is_odd
        are_wrong = measure(rows if sampled.any() else rows[is_odd])
    of_object = np.where(np.isfinite(of_mask), of_mask, of_box)
    return JudgedAreas(
        areas=np.where(known & ~are_wrong, columns.areas, np.where(known, of_object, of_box)),
        are_wrong=are_wrong,
        are_told=are_wrong & (np.isfinite(of_mask) | _are_of_image(columns, of_box)),
    )


def _are_wrong(columns: CocoColumns, of_box: np.ndarray, of_mask: np.ndarray) -> np.ndarray:
    """(N,) whether an area is a wrong one, where it is known."""
    areas = columns.areas
    with np.errstate(invalid='ignore', over='ignore', divide='ignore'):
        largest = np.fmax(of_box, of_mask)
        smaller = MIN_OF_MASK * np.fmin(of_box, of_mask) - 2
        least = np.where(np.isfinite(of_mask), smaller, MIN_AREA * of_box)
        wrong = (areas > MAX_AREA * largest + 1) | (areas < least)
        return wrong | _are_of_image(columns, largest) | _of_another_scale(columns, of_box, of_mask)


def _are_of_image(columns: CocoColumns, of_object: np.ndarray) -> np.ndarray:
    """(N,) whether an area is that of the image, and the object is clearly smaller."""
    of_image = columns.of_boxes(columns.stated).prod(1)
    with np.errstate(invalid='ignore', over='ignore', divide='ignore'):
        same = np.abs(columns.areas / of_image - 1) < 1e-6
        return same & (of_object < MAX_OBJECT * of_image)


def _of_another_scale(columns: CocoColumns, of_box: np.ndarray, of_mask: np.ndarray) -> np.ndarray:
    """(N,) whether an area is one of many that are the same multiple of their mask or box."""
    has_mask = np.isfinite(of_mask)
    ratio = columns.areas / np.where(has_mask, of_mask, of_box)
    # Of a mask that was not measured, and where the tool wrote the area of the box.
    open_ = columns.has_mask & ~has_mask | has_mask & (np.abs(columns.areas - of_box) <= 1)
    judged = columns.usable & (columns.areas > 0) & np.isfinite(ratio) & ~open_
    if judged.sum() < MIN_BOXES:
        return np.zeros(len(ratio), bool)
    scale = np.median(ratio[judged])
    same = np.abs(ratio / scale - 1) < SAME_SCALE
    if same[judged].mean() < 0.95 or abs(scale - 1) < 0.1 or abs(scale - ELLIPSE) < SAME_SCALE:
        return np.zeros(len(ratio), bool)
    return judged & same
