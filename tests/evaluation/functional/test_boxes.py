"""Columns of boxes: from annotations and from results, and what they reject."""

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.utils.errors import EvaluationError


def test_from_annotations_maps_ids_and_drops_the_rest():
    frame = dict(bbox=[1, 2, 3, 4], area=12, iscrowd=0)
    gt = GroundTruth.from_annotations(
        ['b', 'a'],
        [
            dict(image_id='b', category_id=7, **frame),
            dict(image_id='a', category_id=3, **frame | dict(iscrowd=1)),
            dict(image_id='c', category_id=3, **frame),
            dict(image_id='a', category_id=4, **frame),
        ],
        cat_ids=[7, -2, 3],
    )
    assert gt.image_ids == ('a', 'b')
    assert gt.images.tolist() == [1, 0] and gt.labels.tolist() == [0, 2]
    assert gt.box_counts(3).tolist() == [1, 0, 0]


def test_boxes_marked_ignore_are_not_missed():
    frame = dict(image_id=1, category_id=1, bbox=[1, 2, 3, 4], area=12, iscrowd=0)
    annotations = [frame, {**frame, 'ignore': True}, {**frame, 'ignore': False}]
    gt = GroundTruth.from_annotations([1], annotations, cat_ids=[1])
    assert gt.crowd.tolist() == [False, True, False] and gt.box_counts(1).tolist() == [2]


def test_ids_of_images_may_be_numbers_and_text():
    # JSON lets a file mix them, and no other reader minds.
    truth = GroundTruth.from_annotations(['b', 10, '1', 9], [], [])
    assert truth.image_ids == (9, 10, '1', 'b')


def test_from_images_gives_widths_and_image_positions():
    none = np.zeros((0, 4), dtype=np.float32)
    dt = Detections.from_images(
        (10, 20, 30),
        [
            (
                30,
                np.array([1, 0]),
                np.array([[1, 2, 4, 8], [0, 0, 5, 6]], np.float32),
                np.array([0.5, 0.25], np.float32),
            ),
            (10, np.zeros(0, int), none, none[:, 0]),
        ],
    )
    assert dt.images.tolist() == [2, 2] and dt.labels.tolist() == [1, 0]
    assert dt.boxes.tolist() == [[1, 2, 3, 6], [0, 0, 5, 6]]
    assert dt.scores.tolist() == [0.5, 0.25]
    assert len(Detections.from_images((10,), []).scores) == 0


@pytest.mark.parametrize(('box', 'score'), [((0, 0, 9, 9), np.nan), ((0, 0, np.inf, 9), 0.5)])
def test_detections_must_be_finite(box, score):
    boxes = np.array([(0, 0, 9, 9), box], dtype=float)
    with pytest.raises(EvaluationError, match='1 of 2 detections .* not finite .*number 1'):
        Detections(np.zeros(2, int), np.zeros(2, int), boxes, np.array([0.5, score]))


def test_images_must_be_known_and_come_once():
    one = (np.zeros(1, int), np.zeros((1, 4)), np.ones(1))
    with pytest.raises(EvaluationError, match="1 of 2 images .*first: image id 'x'"):
        Detections.from_images(('a',), [('a', *one), ('x', *one)])
    with pytest.raises(EvaluationError, match='two results'):
        Detections.from_images(('a',), [('a', *one), ('a', *one)])


def test_boxes_without_a_class_are_crowds_of_each_class_that_they_may_be():
    frame = dict(image_id=1, bbox=[1, 2, 3, 4], area=12, iscrowd=0)
    labels = [4, 0, 5, 1]
    annotations = [{**frame, 'category_id': label, 'area': 10 + label} for label in labels]
    truth = GroundTruth.from_annotations([1], annotations, range(6))
    sets = np.eye(4, dtype=bool)  # three classes, background, a group, the object
    sets = np.vstack([sets, [[1, 0, 1, 0], [1, 1, 1, 0]]]).astype(bool)
    spread = truth.crowds_per_class(sets)
    assert spread.labels.tolist() == [0, 1, 0, 2, 0, 1, 2]
    assert spread.areas.tolist() == [10, 11, 14, 14, 15, 15, 15]
    assert spread.crowd.tolist() == [False] * 2 + [True] * 5
    assert len(spread.boxes) == len(spread.images) == 7
    assert spread.crowds_per_class(sets) is spread
