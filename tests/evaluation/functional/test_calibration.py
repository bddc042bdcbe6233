"""Calibration: hand-computed cases, and equality with hotcoco's evaluator."""

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.calibration import measure_calibration
from mmdet_multigrain.evaluation.functional.engines import hotcoco_evaluator
from mmdet_multigrain.evaluation.functional.error_analysis import (
    DetectionErrors,
    Kind,
    analyze_errors,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

pytest.importorskip('hotcoco')


def measure(rows, **kwargs):
    """Rows: label, score, kind."""
    count = len(rows)
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0, int)] * 3
    dt = Detections(np.zeros(count, int), columns[0], np.zeros((count, 4)), columns[1])
    found = DetectionErrors(
        columns[2].astype(np.uint8), np.full(count, -1), np.zeros(count), *[np.zeros(0, int)] * 2
    )
    return measure_calibration(dt, found, **kwargs)


def test_gap_between_score_and_share_of_hits():
    result = measure(
        [
            (0, 0.9, Kind.HIT),
            (0, 0.7, Kind.BACKGROUND),  # mean score 0.8, half of them hit
            (1, 0.1, Kind.LOCALIZATION),
            (1, 0.2, Kind.ON_CROWD),
            (1, 0.3, Kind.BEYOND_LIMIT),  # do not count
        ],
        num_bins=2,
    )
    assert [(row.lower, row.upper, row.count) for row in result.bins] == [(0, 0.5, 1), (0.5, 1, 2)]
    assert [row.score for row in result.bins] == pytest.approx([0.1, 0.8])
    assert [row.precision for row in result.bins] == [0, 0.5]
    assert result.ece == pytest.approx((0.1 + 2 * 0.3) / 3)


def test_no_detections():
    result = measure([])
    assert np.isnan(result.ece)
    assert len(result.bins) == 10
    assert all(row.count == 0 and np.isnan([row.score, row.precision]).all() for row in result.bins)


def test_scores_that_are_no_probabilities():
    with pytest.raises(EvaluationError, match='scores run from -1.5 to 0.5; calibration needs'):
        measure([(0, -1.5, Kind.HIT), (1, 0.5, Kind.HIT)])


def test_same_as_hotcoco():
    rng = np.random.default_rng(0)
    boxes = rng.uniform(10, 40, (60, 4))
    gt = GroundTruth(
        tuple(range(4)),
        rng.integers(0, 4, 60),
        rng.integers(0, 3, 60),
        boxes,
        boxes[:, 2] * boxes[:, 3],
        rng.random(60) < 0.2,
    )
    source = rng.integers(0, 60, 300)
    dt = Detections(
        gt.images[source],
        np.where(rng.random(300) < 0.7, gt.labels[source], 0),
        np.abs(boxes[source] + rng.normal(0, 3, (300, 4))),
        rng.random(300),
    )
    evaluator = hotcoco_evaluator(gt, dt, num_classes=3, iou_thrs=[0.5], max_dets=[20])
    theirs = evaluator.calibration(n_bins=10, iou_threshold=0.5)
    found = analyze_errors(gt, dt, Taxonomy('plain', ['a', 'b', 'c']), max_dets=20).detections
    ours = measure_calibration(dt, found)
    assert (found.kinds == Kind.BEYOND_LIMIT).any() and (found.kinds == Kind.ON_CROWD).any()
    assert ours.ece == pytest.approx(theirs['ece'], abs=1e-12)
    assert [row.count for row in ours.bins] == [row['count'] for row in theirs['bins']]
