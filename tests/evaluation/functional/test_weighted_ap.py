"""AP under weights: by hand, against COCO's evaluation, and against images that are copied."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.coco_eval import evaluate_levels
from mmdet_multigrain.evaluation.functional.weighted_ap import (
    IOU_THRS,
    rank_curves,
)
from mmdet_multigrain.evaluation.functional.weighted_ap import _hits_needed as hits_needed

from .random_cases import random_case

LEVELS = [(0, 0, 1), (0, 1, 2)]


def weighted_ap(gt, dt, weights, levels=LEVELS, **kwargs):
    """(B, T, K) for each level, of weights (I, B)."""
    weights = np.asarray(weights, dtype=np.float32)
    return [
        np.stack([curve.ap(weights) for curve in level], axis=-1)
        for level in rank_curves(gt, dt, levels, **kwargs)
    ]


def boxes_of(rows):
    return np.array(rows, dtype=float).reshape(-1, 4)


def copied(gt, dt, weights):
    """Each image as often as its weight says, under new ids, copies side by side."""
    weights = np.asarray(weights, dtype=int)
    first = np.cumsum(weights) - weights

    def places(images):
        """Index of the boxes to copy, and the new image of each copy."""
        source = np.repeat(np.arange(len(images)), weights[images])
        copy = np.concatenate([np.zeros(0, int), *(np.arange(weights[i]) for i in images)])
        return source, first[images[source]] + copy

    source, images = places(gt.images)
    truth = GroundTruth(
        tuple(range(weights.sum())),
        images,
        gt.labels[source],
        gt.boxes[source],
        gt.areas[source],
        gt.crowd[source],
    )
    source, images = places(dt.images)
    return truth, Detections(images, dt.labels[source], dt.boxes[source], dt.scores[source])


def assert_same(ours, results, row):
    for values, result in zip(ours, results, strict=True):
        expected = np.stack([result.class_ap(iou=iou) for iou in IOU_THRS])
        np.testing.assert_allclose(values[row], expected, rtol=0, atol=1e-12)


def test_by_hand():
    box = (0, 0, 10, 10)
    gt = GroundTruth(
        (0, 1),
        np.array([0, 1]),
        np.zeros(2, int),
        boxes_of([box, box]),
        np.full(2, 100.0),
        np.zeros(2, bool),
    )
    # The false positive of image 0 ranks first, then its hit, then that of image 1.
    dt = Detections(
        np.array([0, 0, 1]),
        np.zeros(3, int),
        boxes_of([(50, 50, 9, 9), box, box]),
        np.array([0.9, 0.8, 0.7]),
    )
    (ap,) = weighted_ap(gt, dt, [[1, 3, 0, 1, 0], [1, 1, 2, 0, 0]], levels=[(0,)])
    expected = [
        2 / 3,  # 0 1 1: precision 1/2, then 2/3, which is highest throughout
        4 / 7,  # 000 111 1: 3/6, then 4/7
        1,  # 11
        1 / 2,  # 0 1
        np.nan,  # no box at all
    ]
    for threshold in range(10):
        assert ap[:, threshold, 0] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_hits_for_each_recall_threshold():
    """COCO's threshold of 0.95 lies above 19 / 20 by a last digit, so that takes 20 hits."""
    numbers = np.arange(1, 401)
    found = hits_needed(numbers.astype(float))
    for number, needed in zip(numbers, found, strict=True):
        recalls = np.arange(number + 1) / number
        expected = np.searchsorted(recalls, np.linspace(0, 1, 101), side='left')
        np.testing.assert_array_equal(needed, expected)
    assert found[19, 94:97].tolist() == [19, 20, 20]
    assert hits_needed(np.zeros(1)).tolist() == hits_needed(np.ones(1)).tolist()


@pytest.mark.parametrize('num_hits', [18, 19, 20])
def test_twenty_boxes(num_hits):
    """As COCO: 19 hits of 20 reach the recall thresholds below 0.95."""
    boxes = boxes_of([(20 * number, 0, 10, 10) for number in range(20)])
    gt = GroundTruth(
        (0,), np.zeros(20, int), np.zeros(20, int), boxes, np.full(20, 100.0), np.zeros(20, bool)
    )
    dt = Detections(
        np.zeros(num_hits, int), np.zeros(num_hits, int), boxes[:num_hits],
        np.linspace(1, 0.1, num_hits),
    )  # fmt: skip
    (ap,) = weighted_ap(gt, dt, [[1]], levels=[(0,)])
    assert ap == pytest.approx({18: 91, 19: 95, 20: 101}[num_hits] / 101)
    assert_same([ap], evaluate_levels(gt, dt, [(0,)]), 0)


def test_recall_threshold_inside_a_step():
    """Two hits in a row: the first reaches a recall of 0.5, at the precision of both."""
    box, other = (0, 0, 10, 10), (50, 50, 10, 10)
    gt = GroundTruth(
        (0,),
        np.zeros(3, int),
        np.zeros(3, int),
        boxes_of([box, other, (90, 0, 5, 5)]),
        np.full(3, 100.0),
        np.zeros(3, bool),
    )
    dt = Detections(
        np.zeros(3, int),
        np.zeros(3, int),
        boxes_of([(30, 30, 9, 9), box, other]),
        np.array([0.9, 0.8, 0.7]),
    )
    (ap,) = weighted_ap(gt, dt, [[1]], levels=[(0,)], iou_thrs=[0.5])
    assert ap == pytest.approx(67 / 101 * 2 / 3)  # recall 0.00 to 0.66


@settings(max_examples=100, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_images=st.integers(1, 6),
    max_gt=st.sampled_from([0, 3, 40, 120]),
    max_dt=st.sampled_from([0, 5, 60, 900]),
    on_grid=st.booleans(),
    crowd_share=st.sampled_from([0, 0.3, 1]),
    scores=st.sampled_from(['free', 'few', 'between']),
)
def test_weights_of_one_are_cocos_evaluation(seed, num_images, **kwargs):
    gt, dt = random_case(
        np.random.default_rng(seed), num_images=num_images, num_classes=3, **kwargs
    )
    ours = weighted_ap(gt, dt, np.ones((num_images, 1)))
    assert_same(ours, evaluate_levels(gt, dt, LEVELS), 0)


@settings(max_examples=60, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_images=st.integers(1, 6),
    max_gt=st.sampled_from([3, 40]),
    max_dt=st.sampled_from([5, 60, 400]),
    on_grid=st.booleans(),
    crowd_share=st.sampled_from([0, 0.3]),
    scores=st.sampled_from(['free', 'between']),
)
def test_weights_are_copies_of_images(seed, num_images, **kwargs):
    rng = np.random.default_rng(seed)
    gt, dt = random_case(rng, num_images=num_images, num_classes=3, **kwargs)
    weights = rng.integers(0, 4, (num_images, 3))
    ours = weighted_ap(gt, dt, weights)
    for row, column in enumerate(weights.T):
        assert_same(ours, evaluate_levels(*copied(gt, dt, column), LEVELS), row)


@pytest.mark.parametrize(
    ('num_wrong', 'coarse_ap', 'fine_ap'),
    [
        ([60, 60], 1 / 121, 1 / 61),
        ([150, 0], 1 / 151, 0),
        ([0, 198], 1 / 199, 1),
        ([99, 101], 0, 1 / 100),
    ],
)
def test_limits_of_a_superclass_and_of_a_class(num_wrong, coarse_ap, fine_ap):
    box = (0, 0, 10, 10)
    gt = GroundTruth(
        (0,),
        np.zeros(1, int),
        np.zeros(1, int),
        boxes_of([box]),
        np.full(1, 100.0),
        np.zeros(1, bool),
    )
    total = sum(num_wrong)
    dt = Detections(
        np.zeros(total + 1, int),
        np.repeat([0, 1, 0], [*num_wrong, 1]),
        boxes_of([*[(100, 100, 9, 9)] * total, box]),
        np.linspace(1, 0.1, total + 1),
    )
    coarse, fine = weighted_ap(gt, dt, [[1]])
    assert coarse[0, :, 0] == pytest.approx(coarse_ap)
    assert fine[0, :, 0] == pytest.approx(fine_ap)
    assert_same([coarse, fine], evaluate_levels(gt, dt, LEVELS), 0)


def test_sums_beyond_what_float32_holds():
    gt, dt = random_case(
        np.random.default_rng(1),
        num_images=3,
        num_classes=3,
        max_gt=40,
        max_dt=400,
        on_grid=False,
        crowd_share=0.1,
        scores='free',
    )
    one, huge = (weighted_ap(gt, dt, np.full((3, 1), weight)) for weight in (1, 2**23 + 1))
    for ours, theirs in zip(one, huge, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
        assert 0 < np.nanmean(ours) < 1
