"""Fixtures of the metric's tests."""

import pytest

from .metric_cases import BOXES, coco_content, write


@pytest.fixture
def ann_file(tmp_path):
    return write(tmp_path / 'val.json', coco_content(BOXES, 3))
