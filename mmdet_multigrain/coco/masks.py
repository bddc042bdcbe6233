"""Masks in COCO's forms, polygons and run-length encoding: the box around one, and its area."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as library

MAX_COORDINATE = 1e9  # a larger number (infinity, NaN) is not a coordinate
MAX_SIDE = 1 << 16  # pixels of a run-length encoded mask
_UNKNOWN = (np.nan,) * 4


def outline(segmentation: Any) -> tuple[float, ...]:
    """(x1, y1, x2, y2) around a mask; NaN if there is none, or it is not usable."""
    mask = _read(segmentation)
    if mask is None:
        return _UNKNOWN
    if isinstance(mask, dict):
        x, y, w, h = library.toBbox(mask).tolist()
        return (x, y, x + w, y + h) if w > 0 and h > 0 else _UNKNOWN
    points = np.concatenate(mask)
    x1, y1, x2, y2 = *points.min(0).tolist(), *points.max(0).tolist()
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else _UNKNOWN


def mask_area(segmentation: Any) -> float:
    """Square pixels of a mask, the sum of its polygons; NaN if there is none, or none usable."""
    mask = _read(segmentation)
    if mask is None:
        return np.nan
    if isinstance(mask, dict):
        return float(library.area(mask)) or np.nan
    area = 0.0
    for x, y in (polygon.T for polygon in mask):
        area += abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    return area or np.nan


def _read(segmentation: Any) -> list[np.ndarray] | dict[str, Any] | None:
    """(points, 2) of each polygon, or runs that the library reads; None if it is neither."""
    if not segmentation:
        return None
    try:
        if isinstance(segmentation, dict):
            return _runs(segmentation)
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        # Also of numbers written as text.
        polygons = [np.array(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, MemoryError):
        return None
    are_usable = all(len(p) >= 3 and (np.abs(p) <= MAX_COORDINATE).all() for p in polygons)
    return polygons if are_usable else None


def _runs(runs: dict[str, Any]) -> dict[str, Any] | None:
    height, width = runs['size']
    counts = runs['counts']
    if not all(type(side) is int and 0 < side < MAX_SIDE for side in (height, width)):
        return None  # the library divides by it
    if isinstance(counts, list):
        # NumPy 1.26 wraps a negative number around.
        if min(counts, default=0) < 0 or sum(counts) != height * width:
            return None
        return library.frPyObjects(runs, height, width)
    library.area(runs)  # raises where the library cannot read them
    return runs
