"""Confusion matrix: hand-computed cases, its order and blocks, and what is read off it."""

from dataclasses import replace

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.confusion import (
    Block,
    ConfusedPair,
    balanced_score,
    measure_confusion,
    order_by_superclass,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

pytest.importorskip('hotcoco')

# In label order the groups are mixed: top, bottom, top, bottom, and a hat of its own.
MIXED = Taxonomy(
    'mixed',
    ['shirt', 'jeans', 'coat', 'skirt', 'hat'],
    [['top'], ['bottom'], ['top'], ['bottom'], []],
)
ORDER = ('shirt', 'coat', 'jeans', 'skirt', 'hat')
DEEP = Taxonomy('deep', ['a', 'd', 'c', 'b'], [['x', 'y'], ['w', 'v'], ['x', 'z'], ['x', 'y']])


def place(number):
    return (20 * number, 0, 10, 10)


def case(truths, predictions, num_images=1):
    """Truths: label, number of place[, crowd]; predictions: label, number, score."""
    rows = [(label, number, *(crowd or [False])) for label, number, *crowd in truths]
    boxes = np.array([place(row[1]) for row in rows], dtype=float).reshape(-1, 4)
    gt = GroundTruth(
        image_ids=tuple(range(num_images)),
        images=np.zeros(len(rows), dtype=int),
        labels=np.array([row[0] for row in rows], dtype=int),
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=np.array([row[2] for row in rows], dtype=bool),
    )
    return gt, Detections(
        images=np.zeros(len(predictions), dtype=int),
        labels=np.array([row[0] for row in predictions], dtype=int),
        boxes=np.array([place(row[1]) for row in predictions], dtype=float).reshape(-1, 4),
        scores=np.array([row[2] for row in predictions], dtype=float),
    )


def measure(truths, predictions, taxonomy=MIXED, **kwargs):
    return measure_confusion(*case(truths, predictions), taxonomy, **kwargs)


def test_rows_are_ordered_by_superclass():
    result = measure([], [])
    assert result.names == ORDER
    assert result.labels.tolist() == [0, 2, 1, 3, 4]
    assert result.blocks == ((Block('top', 0, 2), Block('bottom', 2, 4), Block('hat', 4, 5)),)
    assert result.counts.shape == (6, 6) and not result.counts.any()
    assert np.isnan(result.shares).all()
    assert np.isnan(result.share_within) and np.isnan(result.chance_within)
    assert result.most_confused() == ()


def test_blocks_of_every_level():
    labels, blocks = order_by_superclass(DEEP)
    assert labels.tolist() == [0, 3, 2, 1]
    assert blocks == (
        (Block('x', 0, 3), Block('w', 3, 4)),
        (Block('y', 0, 2), Block('z', 2, 3), Block('v', 3, 4)),
    )


def test_each_box_counts_once():
    result = measure(
        [(0, 0), (0, 1), (2, 2), (1, 3), (4, 4)],
        [
            (0, 0, 0.9),  # shirt, right
            (2, 1, 0.8),  # shirt called coat
            (0, 1, 0.7),  # right, but that shirt is taken: on the background
            (3, 2, 0.6),  # coat called skirt
            (1, 3, 0.5),  # jeans, right
            (4, 9, 0.5),  # hat on nothing; the real hat is without detection
            (4, 4, 0.2),  # below the minimum
        ],
    )
    expected = np.zeros((6, 6), dtype=int)
    shirt, coat, jeans, skirt, hat, nothing = range(6)
    expected[shirt, [shirt, coat]] = 1
    expected[coat, skirt] = expected[jeans, jeans] = expected[hat, nothing] = 1
    expected[nothing, [shirt, hat]] = 1
    np.testing.assert_array_equal(result.counts, expected)
    assert result.shares[shirt].tolist() == [0.5, 0.5, 0, 0, 0, 0]
    assert result.mistaken.sum() == 2
    assert result.mistaken_by_level.tolist() == [1, 1]
    assert result.share_within == 0.5
    # A shirt and a coat have one sibling each among four other classes.
    assert result.chance_within == pytest.approx(1 / 4)
    assert result.most_confused() == (
        ConfusedPair('shirt', 'coat', 1, 0.5, 1),
        ConfusedPair('coat', 'skirt', 1, 1, 0),
    )


def test_minimum_score_but_no_limit():
    boxes = [(0, 0)], [(2, 0, 0.9), (0, 0, 0.2), (1, 7, 0.1)]
    assert measure(*boxes).counts[-1].sum() == 0
    assert measure(*boxes, min_score=0).counts[-1].sum() == 2
    many = measure([(0, n) for n in range(300)], [(0, n, 0.9) for n in range(300)])
    assert many.counts[0, 0] == many.counts.sum() == 300


@pytest.mark.parametrize(
    ('iou_thr', 'met'), [(0.3, [1, 1, 1]), (0.5, [0, 1, 1]), (0.75, [0, 0, 1]), (None, [0, 1, 1])]
)
def test_iou_from_which_a_detection_meets_a_box(iou_thr, met):
    """Boxes of 10 x 10, of which detections cover 0.4, 0.6 and 0.8."""
    gt, dt = case([(0, n) for n in range(3)], [(2, n, 0.9) for n in range(3)])
    dt.boxes[:, 2] = [4, 6, 8]
    options = {} if iou_thr is None else dict(iou_thr=iou_thr)
    found = measure_confusion(gt, dt, MIXED, **options)
    assert found.iou_thr == (iou_thr or 0.5) and found.min_score == 0.9
    shirt, coat, nothing = 0, 1, 5
    assert found.counts[shirt, coat] == sum(met)
    assert found.counts[shirt, nothing] == found.counts[nothing, coat] == 3 - sum(met)


def test_detections_on_a_crowd_of_their_class_are_left_out():
    """As in AP; another class there, and a second detection of a box, are on the background."""
    result = measure([(0, 0, True)], [(0, 0, 0.9)], min_score=0)
    assert not result.counts.any()
    shirt, coat, nothing = 0, 1, 5
    result = measure(
        [(0, 0, True), (0, 1), (0, 1, True)],
        [(2, 0, 0.9), (0, 1, 0.8), (0, 1, 0.7)],
        min_score=0,
    )
    assert result.counts[nothing, coat] == result.counts[nothing, shirt] == 1
    assert result.counts[shirt, shirt] == 1 and result.counts.sum() == 3


def test_boxes_of_which_only_the_superclass_is_known():
    """Three tops, of which one is known to be a shirt: it is not the best detection."""
    gt, found = case([(0, 0), (5, 1), (5, 2)], [(0, 1, 0.9), (2, 2, 0.8), (2, 0, 0.7)])
    sets = np.vstack([np.eye(5, 6, dtype=bool), [True, False, True, False, False, False]])
    gt = replace(gt, sets=sets).relabel(range(5))
    assert gt.crowd.sum() == 4 and balanced_score(gt, found) == 0.7
    confusion = measure_confusion(gt, found, MIXED)
    assert confusion.counts[0, 1] == confusion.counts.sum() == 1


def test_most_confused_first():
    truths = [(0, n) for n in range(5)]
    predictions = [(label, n, 0.9) for n, label in enumerate((1, 1, 2, 2, 3))]
    pairs = measure(truths, predictions).most_confused(limit=2)
    assert [(pair.predicted, pair.count, pair.share) for pair in pairs] == [
        ('coat', 2, 0.4),
        ('jeans', 2, 0.4),
    ]


def test_confusions_by_deepest_level():
    truths = [(0, n) for n in range(6)]
    predictions = [(label, n, 0.9) for n, label in enumerate((3, 3, 3, 2, 2, 1))]
    result = measure(truths, predictions, DEEP)
    assert result.mistaken_by_level.tolist() == [1, 2, 3]
    assert result.share_within == pytest.approx(5 / 6)
    assert result.chance_within == pytest.approx(2 / 3)
    assert [pair.shared_levels for pair in result.most_confused()] == [2, 1, 0]


@pytest.mark.parametrize(
    'taxonomy', [Taxonomy('plain', ['a', 'b', 'c']), Taxonomy('plain', ['a', 'b', 'c']).ungrouped()]
)
def test_without_groups_everything_is_across(taxonomy):
    result = measure([(0, 0)], [(1, 0, 0.9)], taxonomy)
    assert result.names == ('a', 'b', 'c')
    assert result.share_within == result.chance_within == 0


def test_one_class():
    result = measure([(0, 0), (0, 1)], [(0, 0, 0.9)], Taxonomy('one', ['a']))
    assert result.counts.tolist() == [[1, 1], [0, 0]]
    assert np.isnan(result.share_within) and np.isnan(result.chance_within)


def test_order_of_boxes_does_not_matter_without_ties():
    rng = np.random.default_rng(0)
    truths = [(int(rng.integers(5)), n) for n in range(30)]
    predictions = [(int(rng.integers(5)), int(rng.integers(35)), score) for score in rng.random(80)]
    plain = measure(truths, predictions)
    mixed = measure(
        [truths[i] for i in rng.permutation(30)], [predictions[i] for i in rng.permutation(80)]
    )
    np.testing.assert_array_equal(plain.counts, mixed.counts)
    rows = np.bincount([label for label, _ in truths], minlength=5)[plain.labels]
    np.testing.assert_array_equal(plain.counts[:-1].sum(axis=1), rows)


def test_label_out_of_range():
    with pytest.raises(EvaluationError, match='labels run from 5 to 5'):
        measure([(5, 0)], [])


@pytest.mark.parametrize(
    ('boxes', 'scores', 'expected'),
    [
        (2, [0.9, 0.1764, 0.1, 0.05], 0.176),  # as many as boxes, rounded down
        (2, [0.17, 0.03], 0.03),
        (9, [0.9, 0.012345], 0.0123),  # fewer than boxes: all
        (1, [0.29], 0.29),
        (1, [0.9999], 0.999),
        (1, [7.0, 3.0], 7.0),
        (2, [-1.5, -2.345], -2.35),  # logits
        (1, [0.0], 0.0),
        (3, [], 0.0),
        (0, [0.8, 0.4], 0.8),
    ],
)
def test_balanced_score(boxes, scores, expected):
    gt, found = case([(0, n) for n in range(boxes)], [(0, 0, score) for score in scores])
    assert balanced_score(gt, found) == pytest.approx(expected, abs=1e-12)
    assert balanced_score(gt, found) <= min(sorted(scores, reverse=True)[: max(boxes, 1)] or [0])


def test_crowds_are_not_counted_for_the_balanced_score():
    gt, found = case([(0, 0), (0, 1, True)], [(0, 0, 0.9), (0, 1, 0.5)])
    assert balanced_score(gt, found) == 0.9


def test_detections_that_are_left_out_do_not_raise_the_balanced_score():
    """The image does not annotate hats; the two that are found score highest."""
    gt, found = case(
        [(0, 0), (0, 1)], [(4, 7, 0.9), (4, 8, 0.8), (0, 0, 0.5), (2, 1, 0.4), (0, 5, 0.1)]
    )
    gt = replace(gt, unannotated=np.arange(5)[None] == 4)
    assert balanced_score(gt, found) == 0.4
    confusion = measure_confusion(gt, found, MIXED)
    assert confusion.min_score == 0.4
    assert confusion.counts.sum() == confusion.counts[0, :2].sum() == 2


def test_confusions_of_a_detector_with_low_scores():
    """The default threshold is of the data: a fixed one of 0.3 would find no confusion here."""
    truths = [(0, n) for n in range(20)]
    result = measure(truths, [(2, n, 0.18 - n / 1000) for n in range(20)])
    assert result.min_score == 0.161 and result.mistaken.sum() == 20
    assert measure(truths, [(2, n, 0.18) for n in range(20)], min_score=0.3).mistaken.sum() == 0
    nothing = measure(truths, [])
    assert nothing.min_score == 0 and nothing.counts[0, -1] == 20


def test_of_several_trees_the_first_has_the_blocks(two_trees, three_levels):
    found = measure([(1, 0)], [(2, 0, 0.9)], two_trees)
    expected = measure([(1, 0)], [(2, 0, 0.9)], three_levels)
    assert found.blocks == expected.blocks and len(found.blocks) == 2
    assert found.shared_levels.tolist() == expected.shared_levels.tolist()
