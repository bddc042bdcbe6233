"""A prediction that tests describe and draw."""

from __future__ import annotations

import numpy as np
import pytest

from mmdet_multigrain.apis.detector import Prediction


@pytest.fixture
def prediction() -> Prediction:
    """Three detections in a gray image of 200 x 100 pixels."""
    return Prediction(
        image=np.full((100, 200, 3), 128, np.uint8),
        labels=np.array([1, 3, 0]),
        scores=np.array([0.91, 0.5, 0.25], np.float32),
        boxes=np.array([[20, 40, 80, 90], [100.5, 30, 160.25, 70], [0, 0, 200, 100]], np.float32),
    )
