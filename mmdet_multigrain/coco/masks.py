"""The box around an object's mask: of its polygons, or of its run-length encoding."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmdet_multigrain.coco.columns import MAX_COORDINATE

UNKNOWN = (np.nan,) * 4
MAX_SIDE = 1 << 16  # pixels of a run-length encoded mask


def outline(segmentation: Any) -> tuple[float, ...]:
    """(x1, y1, x2, y2) around a mask in COCO's form; NaN if there is none, or it is not usable."""
    if not segmentation:
        return UNKNOWN
    try:
        if isinstance(segmentation, dict):
            return _of_runs(segmentation)
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        points = np.concatenate([_points(polygon) for polygon in polygons])
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, MemoryError):
        return UNKNOWN
    if not (np.abs(points) <= MAX_COORDINATE).all():
        return UNKNOWN
    x1, y1, x2, y2 = *points.min(0).tolist(), *points.max(0).tolist()
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else UNKNOWN


def _points(polygon: list[Any]) -> np.ndarray:
    """(points, 2) x and y; also of numbers written as text."""
    points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    if len(points) < 3:
        raise ValueError('not a polygon')
    return points


def _of_runs(runs: dict[str, Any]) -> tuple[float, ...]:
    from pycocotools import mask

    height, width = runs['size']
    counts = runs['counts']
    if not all(type(side) is int and 0 < side < MAX_SIDE for side in (height, width)):
        return UNKNOWN  # the library divides by it
    if isinstance(counts, list):
        if sum(counts) != height * width:
            return UNKNOWN
        runs = mask.frPyObjects(runs, height, width)
    x, y, w, h = mask.toBbox(runs).tolist()
    return (x, y, x + w, y + h) if w > 0 and h > 0 else UNKNOWN
