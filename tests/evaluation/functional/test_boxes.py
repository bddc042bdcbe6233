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


SETS = np.vstack([np.eye(4), [[1, 0, 1, 0], [1, 1, 1, 0]]]).astype(bool)  # K = 3, a group, object


def any_granularity(labels, **kwargs):
    """Boxes of one image with these labels; the area tells which one each is."""
    frame = dict(image_id=1, bbox=[1, 2, 3, 4], iscrowd=0)
    annotations = [{**frame, 'category_id': label, 'area': 10 + label} for label in labels]
    return GroundTruth.from_annotations([1], annotations, range(6), sets=SETS, **kwargs)


@pytest.mark.parametrize(
    ('index', 'labels', 'areas', 'num_boxes'),
    [
        ((0, 1, 2), [0, 1, 0, 2, 0, 1, 2], [10, 11, 14, 14, 15, 15, 15], 2),  # the classes
        ((0, 1, 0), [0, 0, 1, 0, 1], [14, 10, 11, 15, 15], 3),  # the group is one
        ((0, 0, 1), [0, 0, 0, 1, 0, 1], [10, 11, 14, 14, 15, 15], 2),  # another grouping
        ((0, 0, 0), [0] * 4, [14, 10, 15, 11], 4),  # one group of all
    ],
)
def test_a_box_is_of_the_group_that_its_label_is_in_else_a_crowd_of_each(
    index, labels, areas, num_boxes
):
    truth = any_granularity([4, 0, 5, 1]).relabel(index)
    assert truth.labels.tolist() == labels
    assert truth.areas.tolist() == areas
    assert truth.crowd.tolist() == [False] * num_boxes + [True] * (len(labels) - num_boxes)
    assert len(truth.boxes) == len(truth.images) == len(labels) and truth.sets is None
    again = truth.relabel(range(max(index) + 1))
    assert again.labels.tolist() == labels


def test_a_crowd_of_a_superclass_stays_one():
    annotation = dict(image_id=1, bbox=[1, 2, 3, 4], area=12, iscrowd=1, category_id=4)
    truth = GroundTruth.from_annotations([1], [annotation], range(6), sets=SETS)
    assert truth.relabel((0, 1, 0)).crowd.tolist() == [True]


def test_labels_in_another_vocabulary_then_relabeled_are_those_relabeled():
    truth = any_granularity([4, 0, 5, 1, 2], unannotated={1: [2]})
    for index, then in (((0, 1, 0), (0, 0)), ((0, 1, 2), (0, 1, 0)), ((1, 1, 0), (1, 0))):
        steps = truth.in_groups(index).relabel(then)
        at_once = truth.relabel(np.asarray(then)[list(index)])
        for name in ('images', 'labels', 'areas', 'crowd', 'unannotated'):
            assert getattr(steps, name).tolist() == getattr(at_once, name).tolist(), name


def test_unannotated_classes_are_crowds_around_their_detections():
    truth = GroundTruth.from_annotations(
        ['a', 'b'],
        [dict(image_id='b', bbox=[1, 2, 3, 4], area=12, iscrowd=0, category_id=0)],
        range(3),
        unannotated={'b': [0, 2]},
    )
    assert truth.unannotated.tolist() == [[False] * 3, [True, False, True]]
    assert truth.relabel((0, 0, 1)).unannotated.tolist() == [[False] * 2, [True] * 2]
    found = Detections.from_images(
        ['a', 'b'],
        [
            (name, np.array([0, 1, 2, 2]), np.tile([5.0, 6, 9, 9], (4, 1)), np.ones(4))
            for name in 'ab'
        ],
    )
    left = truth.leave_out(found)
    assert left.images.tolist() == [1, 1, 1] and left.labels.tolist() == [0, 0, 2]
    assert left.crowd.tolist() == [False, True, True]
    assert left.boxes[1:].tolist() == [[4, 5, 6, 5]] * 2 and left.areas.tolist() == [12, 30, 30]
    none = Detections.from_images(['a', 'b'], [])
    assert truth.leave_out(none) is truth
    plain = GroundTruth.from_annotations(['a'], [], range(3), unannotated={'a': ()})
    assert plain.unannotated is None and plain.leave_out(found) is plain


def test_lineages_follow_their_detections():
    columns = np.array([0, 0, 1]), np.array([2, 0, 1]), np.ones((3, 4)), np.array([0.5, 0.4, 0.3])
    lineages = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    found = Detections(*columns, lineages)
    assert found[np.array([2, 0])].lineages.tolist() == [[0.5, 0.6], [0.1, 0.2]]
    assert found.relabel((0, 0, 1)).lineages is None  # they start from the classes
    assert Detections(*columns)[np.array([True, False, True])].lineages is None
