"""The mean over known values."""

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from mmdet_multigrain.evaluation.functional.common import (
    IOU_THRS,
    MAX_DETS,
    RECALL_THRS,
    mean_of_known,
)


def test_mean_of_known():
    values = np.array([[1, np.nan, 3], [np.nan] * 3])
    assert mean_of_known(values, axis=1) == pytest.approx([2, np.nan], nan_ok=True)
    assert mean_of_known(values) == 2 and np.isnan(mean_of_known(values[1:]))


def test_cocos_grids():
    """As pycocotools: to the last bit, since comparisons with them decide."""
    params = COCOeval(iouType='bbox').params
    assert IOU_THRS.tolist() == params.iouThrs.tolist() and not IOU_THRS.flags.writeable
    assert RECALL_THRS.tolist() == params.recThrs.tolist() and not RECALL_THRS.flags.writeable
    assert MAX_DETS == params.maxDets[-1]
