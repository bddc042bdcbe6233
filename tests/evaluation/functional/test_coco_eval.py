"""Matching: hand-computed cases, and equality of the two engines in every array."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.coco_eval import evaluate_detections, evaluate_levels
from mmdet_multigrain.evaluation.functional.engines import ENGINES
from mmdet_multigrain.utils.errors import EvaluationError

from .random_cases import random_case

BOTH = pytest.mark.parametrize('engine', ENGINES)


def ground_truth(rows, num_images=1):
    """Rows: image, label, x, y, width, height[, crowd]."""
    rows = np.array([[*row, 0][:7] for row in rows], dtype=float).reshape(-1, 7)
    return GroundTruth(
        image_ids=tuple(range(num_images)),
        images=rows[:, 0].astype(int),
        labels=rows[:, 1].astype(int),
        boxes=rows[:, 2:6],
        areas=rows[:, 4] * rows[:, 5],
        crowd=rows[:, 6].astype(bool),
    )


def detections(rows):
    """Rows: image, label, x, y, width, height, score."""
    rows = np.array(rows, dtype=float).reshape(-1, 7)
    return Detections(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:6], rows[:, 6])


@BOTH
def test_half_of_the_boxes_found(engine):
    gt = ground_truth([(0, 0, 0, 0, 10, 10), (0, 1, 50, 0, 10, 10), (0, 1, 80, 0, 10, 10)])
    dt = detections(
        [
            (0, 0, 0, 0, 10, 10, 0.9),
            (0, 1, 50, 0, 10, 10, 0.8),  # one of two; the other is missed
            (0, 1, 0, 50, 10, 10, 0.7),  # on nothing, ranked after
        ]
    )
    result = evaluate_detections(gt, dt, num_classes=2, engine=engine)
    # Precision is 1 at the recall thresholds 0.00, 0.01, ..., 0.50 and 0 at the other 50.
    assert result.class_ap() == pytest.approx([1, 51 / 101], abs=1e-12)
    assert result.mean_ap() == pytest.approx((1 + 51 / 101) / 2, abs=1e-12)
    assert result.mean_recall() == pytest.approx((1 + 0.5) / 2)
    assert result.mean_recall(max_dets=1) == pytest.approx((1 + 0.5) / 2)
    assert result.mean_ap(area='small') == result.mean_ap()
    assert np.isnan(result.mean_ap(area='large'))
    assert result.num_gt.tolist() == [1, 2]
    assert (result.num_images, result.num_detections, result.engine) == (1, 3, engine)


@BOTH
def test_poor_box_counts_at_low_thresholds_only(engine):
    gt = ground_truth([(0, 0, 0, 0, 100, 100)])
    dt = detections([(0, 0, 0, 0, 100, 62, 0.5)])  # IoU 0.62: right at 0.50, 0.55 and 0.60
    result = evaluate_detections(gt, dt, num_classes=1, engine=engine)
    assert result.mean_ap() == pytest.approx(0.3, abs=1e-12)
    assert result.mean_ap(iou=0.5) == pytest.approx(1, abs=1e-12)
    assert result.mean_ap(iou=0.75) == 0
    assert result.mean_ap(area='large') == pytest.approx(0.3, abs=1e-12)
    only_50 = evaluate_detections(gt, dt, num_classes=1, engine=engine, iou_thrs=[0.5])
    assert only_50.mean_ap() == pytest.approx(1, abs=1e-12)
    assert np.isnan(only_50.mean_ap(iou=0.75)) and np.isnan(only_50.class_ap(iou=0.75)).all()


@BOTH
def test_false_positive_ranked_first_halves_precision(engine):
    gt = ground_truth([(0, 0, 0, 0, 10, 10)])
    dt = detections([(0, 0, 50, 50, 10, 10, 0.9), (0, 0, 0, 0, 10, 10, 0.8)])
    result = evaluate_detections(gt, dt, num_classes=1, engine=engine)
    assert result.mean_ap() == pytest.approx(0.5, abs=1e-12)


@BOTH
def test_crowd_neither_rewards_nor_punishes(engine):
    gt = ground_truth([(0, 0, 0, 0, 10, 10), (0, 0, 50, 50, 40, 40, 1), (0, 1, 0, 0, 9, 9, 1)])
    dt = detections(
        [
            (0, 0, 55, 55, 10, 10, 0.9),
            (0, 0, 60, 60, 10, 10, 0.8),
            (0, 0, 0, 0, 10, 10, 0.7),
            (0, 1, 0, 0, 9, 9, 0.9),
        ]
    )
    result = evaluate_detections(gt, dt, num_classes=2, engine=engine)
    assert result.class_ap() == pytest.approx([1, np.nan], abs=1e-12, nan_ok=True)
    assert result.num_gt.tolist() == [1, 0]


@BOTH
@pytest.mark.parametrize('num_images', [0, 1, 3])
def test_nothing_to_measure(engine, num_images):
    empty = ground_truth([], num_images=num_images), detections([])
    result = evaluate_detections(*empty, num_classes=2, engine=engine)
    assert np.isnan(result.mean_ap()) and np.isnan(result.class_ap()).all()
    assert np.isnan(result.mean_recall())
    assert result.precision.shape == (10, 101, 2, 4, 3)


@BOTH
def test_no_detections_is_zero_not_unknown(engine):
    gt = ground_truth([(1, 1, 0, 0, 10, 10)], num_images=2)
    result = evaluate_detections(gt, detections([]), num_classes=2, engine=engine)
    assert result.mean_ap() == 0
    assert result.class_ap() == pytest.approx([np.nan, 0], nan_ok=True)


@BOTH
def test_at_most_100_detections_per_image_count(engine):
    gt = ground_truth([(0, 0, 0, 0, 10, 10)])
    wrong = [(0, 0, 200 + 20 * n, 0, 10, 10, 0.9) for n in range(100)]
    right = (0, 0, 0, 0, 10, 10, 0.1)
    for rows, expected in ((wrong + [right], 0), (wrong[:99] + [right], 0.01)):
        result = evaluate_detections(gt, detections(rows), num_classes=1, engine=engine)
        assert result.mean_ap() == pytest.approx(expected, abs=1e-12)


@BOTH
def test_swapped_inside_the_group(engine):
    boxes = [(0, 0, 0, 0, 10, 10), (0, 1, 50, 0, 10, 10), (0, 2, 0, 50, 10, 10)]
    labels = (1, 0, 2)
    dt = detections([(0, label, *box[2:], 0.9) for label, box in zip(labels, boxes, strict=True)])
    coarse, fine = evaluate_levels(ground_truth(boxes), dt, [(0, 0, 1), (0, 1, 2)], engine=engine)
    assert fine.class_ap() == pytest.approx([0, 0, 1], abs=1e-12)
    assert coarse.class_ap() == pytest.approx([1, 1], abs=1e-12)
    assert coarse.num_gt.tolist() == [2, 1]


def full_image(counts):
    """One image with that many boxes of each class, on a grid; all found."""
    labels = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(len(labels))
    rows = np.column_stack([0 * places, labels, 20 * (places % 40), 20 * (places // 40)])
    rows = np.hstack([rows, np.full((len(rows), 2), 10)])
    return ground_truth(rows), detections(np.column_stack([rows, np.linspace(1, 0.5, len(rows))]))


@BOTH
def test_the_limit_of_a_superclass_is_that_of_its_classes_together(engine):
    case = full_image([100, 100, 100, 3])
    coarse, fine = evaluate_levels(*case, [(0, 0, 0, 1), (0, 1, 2, 3)], engine=engine)
    for level in (coarse, fine):
        assert level.class_ap() == pytest.approx(1) and level.num_cut == 0
        assert level.mean_recall() == 1
    assert (fine.max_dets, coarse.max_dets) == ((1, 10, 100), (1, 10, 300))


@BOTH
def test_what_the_limit_cuts_is_counted(engine):
    case = full_image([300, 50, 3])
    coarse, fine = evaluate_levels(*case, [(0, 0, 1), (0, 1, 2)], engine=engine)
    assert (fine.num_cut, coarse.num_cut, fine.num_detections) == (200, 150, 353)
    # Recall 100 / 300 reaches the thresholds 0.00 to 0.33.
    assert fine.class_ap() == pytest.approx([34 / 101, 1, 1])
    assert coarse.class_ap() == pytest.approx([58 / 101, 1])
    coarse, fine = evaluate_levels(*case, [(0, 0, 1), (0, 1, 2)], engine=engine, max_dets=300)
    assert fine.mean_ap() == coarse.mean_ap() == pytest.approx(1)
    assert fine.num_cut == coarse.num_cut == 0 and fine.max_dets == (1, 10, 300)


@settings(max_examples=40, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    max_dets=st.sampled_from([1, 3, 20]),
    on_grid=st.booleans(),
)
def test_superclasses_equal_pycocotools_with_their_limit(seed, max_dets, on_grid):
    case = random_case(
        np.random.default_rng(seed), num_images=3, num_classes=5, max_gt=60, max_dt=400,
        on_grid=on_grid, crowd_share=0.1,
    )  # fmt: skip
    index = (0, 1, 0, 0, 1)
    coarse, _ = evaluate_levels(*case, [index, range(5)], max_dets=max_dets)
    for group, children in enumerate((3, 2)):
        own = [boxes.relabel(index) for boxes in case]
        reference = evaluate_detections(
            *own, num_classes=2, engine='pycocotools', max_dets=[max_dets * children]
        )
        assert coarse.class_ap()[group] == pytest.approx(
            reference.class_ap()[group], abs=1e-12, nan_ok=True
        )


@settings(max_examples=150, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_images=st.integers(1, 6),
    num_classes=st.integers(1, 5),
    max_gt=st.sampled_from([0, 3, 40]),
    max_dt=st.sampled_from([0, 5, 60, 800]),
    on_grid=st.booleans(),
    scores=st.sampled_from(['free', 'few']),
    crowd_share=st.sampled_from([0, 0.3, 1]),
)
def test_engines_give_identical_arrays(seed, num_classes, **kwargs):
    rng = np.random.default_rng(seed)
    case = random_case(rng, num_classes=num_classes, **kwargs)
    fast, reference = (
        evaluate_detections(*case, num_classes=num_classes, engine=engine)
        for engine in ('hotcoco', 'pycocotools')
    )
    for name in ('precision', 'recall', 'scores', 'iou_thrs', 'num_gt'):
        np.testing.assert_array_equal(getattr(fast, name), getattr(reference, name), name)


def test_order_of_images_and_boxes_does_not_matter_without_ties():
    rng = np.random.default_rng(3)
    gt, dt = random_case(
        rng,
        num_images=5,
        num_classes=3,
        max_gt=60,
        max_dt=300,
        on_grid=False,
        crowd_share=0.1,
    )
    order = rng.permutation(len(dt.scores))
    shuffled = Detections(dt.images[order], dt.labels[order], dt.boxes[order], dt.scores[order])
    results = [evaluate_detections(gt, d, num_classes=3) for d in (dt, shuffled)]
    np.testing.assert_array_equal(results[0].precision, results[1].precision)
    assert 0 < results[0].mean_ap() < 1


def test_quiet(capfd):
    gt, dt = ground_truth([(0, 0, 0, 0, 9, 9)]), detections([(0, 0, 0, 0, 9, 9, 1)])
    for engine in ENGINES:
        assert evaluate_detections(gt, dt, num_classes=1, engine=engine).engine == engine
    assert evaluate_detections(gt, dt, num_classes=1).engine == 'hotcoco'
    assert capfd.readouterr() == ('', '')


def test_labels_must_be_in_range():
    with pytest.raises(EvaluationError, match='detections: labels run from 0 to 2, .* 2 classes'):
        evaluate_detections(
            ground_truth([]),
            detections([(0, 0, 0, 0, 9, 9, 0.5), (0, 2, 0, 0, 9, 9, 0.5)]),
            num_classes=2,
        )


def test_needs_neither_torch_nor_mmdet():
    code = (
        'import sys\n'
        "sys.modules.update(dict.fromkeys(('torch', 'mmengine', 'mmcv', 'mmdet')))\n"
        'from mmdet_multigrain import evaluation\n'
        "assert not hasattr(evaluation, 'MultiGrainedCocoMetric')\n"
        'assert callable(evaluation.evaluate_levels) and callable(evaluation.summarize)\n'
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
