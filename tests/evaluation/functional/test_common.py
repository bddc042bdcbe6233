"""The mean over known values."""

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.common import mean_of_known


def test_mean_of_known():
    values = np.array([[1, np.nan, 3], [np.nan] * 3])
    assert mean_of_known(values, axis=1) == pytest.approx([2, np.nan], nan_ok=True)
    assert mean_of_known(values) == 2 and np.isnan(mean_of_known(values[1:]))
