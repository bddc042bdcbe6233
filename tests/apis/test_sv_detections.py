"""Detections to supervision and back."""

from __future__ import annotations

import sys
from dataclasses import fields

import numpy as np
import pytest

from mmdet_multigrain.apis.detector import Prediction
from mmdet_multigrain.apis.sv_detections import from_supervision, to_supervision
from mmdet_multigrain.utils.errors import ConfigError, TaxonomyError

IMAGE = np.zeros((80, 100, 3), np.uint8)


@pytest.fixture
def sv():
    return pytest.importorskip('supervision')


@pytest.fixture
def prediction():
    """Three detections with answers of two, three and no levels up."""
    lineage = np.array([[0.4, 0.7, 0.9], [0.3, 0.35, 0.4], [0.95, 0.95, 0.97]])
    return Prediction(
        image=IMAGE,
        labels=np.array([1, 4, 0]),
        scores=np.array([0.9, 0.5, 0.25], np.float32),
        boxes=np.array([[1, 2, 30, 40], [5, 6, 7, 8], [0, 0, 100, 80]], np.float32),
        lineage=lineage,
        calibrated=lineage + 0.01,
        answer_levels=np.array([2, 3, 0]),
        rois=np.array([7, 3, 9]),
        iou_thr=0.4,
    )


def same(left, right):
    for one in fields(Prediction):
        np.testing.assert_array_equal(getattr(left, one.name), getattr(right, one.name), one.name)
    return True


def test_names_and_numbers(sv, prediction, three_levels):
    found = to_supervision(prediction, three_levels)
    assert isinstance(found, sv.Detections) and len(found) == 3
    assert found.data['class_name'].tolist() == ['vest', 'hat', 'shirt']
    assert found.data['superclass'].tolist() == ['body', 'head', 'body']
    assert found.data['path'].tolist() == ['body/upper/vest', 'head/hat', 'body/upper/shirt']
    assert found.data['answer'].tolist() == ['body', 'object', 'shirt']
    np.testing.assert_allclose(found.data['answer_score'], [0.91, 1, 0.96])
    assert found.xyxy.tolist() == prediction.boxes.tolist()
    assert found.confidence.tolist() == prediction.scores.tolist()
    assert found.class_id.tolist() == [1, 4, 0]


def test_there_and_back(sv, prediction, three_levels):
    found = to_supervision(prediction, three_levels)
    assert same(from_supervision(found, IMAGE, three_levels), prediction)
    kept = found[found.confidence > 0.4]
    assert same(from_supervision(kept, IMAGE, three_levels), prediction.above(0.4))
    mixed = from_supervision(found[[2, 0, 1]], IMAGE, three_levels)  # by falling score again
    assert same(mixed, prediction)


def test_without_answers_and_without_detections(sv, prediction, three_levels):
    plain = Prediction(IMAGE, prediction.labels, prediction.scores, prediction.boxes)
    for one in (plain, plain.above(1)):
        found = to_supervision(one, three_levels)
        assert {*found.data} == {'class_name', 'superclass', 'path'}
        assert same(from_supervision(found, IMAGE, three_levels), one)
    none = from_supervision(sv.Detections.empty(), IMAGE, three_levels)
    assert none.labels.shape == (0,) and none.boxes.shape == (0, 4)


def test_detections_from_elsewhere(sv, three_levels):
    boxes = np.array([[0, 0, 1, 1], [2, 2, 3, 3]], np.float32)
    names = np.array(['Vest', 'hat'])
    annotated = sv.Detections(boxes, class_id=np.array([90, 91]), data={'class_name': names})
    found = from_supervision(annotated, IMAGE, three_levels)
    assert found.labels.tolist() == [1, 4] and found.scores.tolist() == [1, 1]
    numbered = sv.Detections(boxes, class_id=np.array([3, 0]))
    assert from_supervision(numbered, IMAGE, three_levels).labels.tolist() == [3, 0]
    for wrong in (sv.Detections(boxes), sv.Detections(boxes, class_id=np.array([0, 5]))):
        with pytest.raises(ConfigError, match='class_id has no label .0 to 4. for each detection'):
            from_supervision(wrong, IMAGE, three_levels)
    annotated.data['class_name'] = np.array(['vest', 'sock'])
    with pytest.raises(TaxonomyError, match="class 'sock' is not in taxonomy"):
        from_supervision(annotated, IMAGE, three_levels)


def test_without_the_package(prediction, three_levels, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ConfigError, match='installed: pip install -r requirements/with_other_too'):
        to_supervision(prediction, three_levels)
