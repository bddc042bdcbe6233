"""What all measures share: COCO's grids of IoU and recall, and a mean that leaves out NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

IOU_THRS = np.linspace(0.5, 0.95, 10)
RECALL_THRS = np.linspace(0, 1, 101)
MAX_DETS = 100  # COCO's limit on detections per image and class
IOU_THRS.setflags(write=False)
RECALL_THRS.setflags(write=False)


def mean_of_known(values: np.ndarray, *, axis: int | None = None) -> Any:
    """Mean of the values that are not NaN, NaN without any; over an axis, or a float over all."""
    known = ~np.isnan(values)
    if axis is None:  # only the known values, in this order: sums round as pycocotools' do
        return float(values[known].mean()) if known.any() else float('nan')
    with np.errstate(invalid='ignore'):
        return np.where(known, values, 0).sum(axis=axis) / known.sum(axis=axis)
