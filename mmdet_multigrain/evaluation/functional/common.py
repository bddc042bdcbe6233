"""What all measures share: COCO's grids of IoU and recall, columns, and a mean that leaves out NaN."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

IOU_THRS = np.linspace(0.5, 0.95, 10)
RECALL_THRS = np.linspace(0, 1, 101)
MAX_DETS = 100  # COCO's limit on detections per image and class
IOU_THRS.setflags(write=False)
RECALL_THRS.setflags(write=False)

Rows = TypeVar('Rows', bound='Columns')


class Columns:
    """Data classes of arrays of one length: the columns of a table; None where one is not known."""

    def __getitem__(self: Rows, chosen: np.ndarray | slice) -> Rows:
        """The rows that a mask, index or slice selects."""
        columns = (getattr(self, column.name) for column in fields(self))
        return type(self)(*(None if column is None else column[chosen] for column in columns))


def mean_of_known(values: np.ndarray, *, axis: int | None = None) -> Any:
    """Mean of the values that are not NaN, NaN without any; over an axis, or a float over all."""
    known = ~np.isnan(values)
    if axis is None:  # only the known values, in this order: sums round as pycocotools' do
        return float(values[known].mean()) if known.any() else float('nan')
    with np.errstate(invalid='ignore'):
        return np.where(known, values, 0).sum(axis=axis) / known.sum(axis=axis)
