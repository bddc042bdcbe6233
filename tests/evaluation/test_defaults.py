"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.evaluation.functional import (
    answer_matching,
    answer_metrics,
    bootstrap,
    calibration,
    coco_eval,
    confusion,
    error_analysis,
    matching,
)
from mmdet_multigrain.evaluation.metrics import multi_grained_coco_metric

from ..signatures import defaults

DEFAULTS = {
    answer_matching.match_objects: dict(iou_thr=0.5),
    answer_metrics.resample_matches: dict(seed=0, progress=False),
    bootstrap.resample_ap: dict(resamples=2000, seed=0, max_dets=100, progress=False),
    calibration.measure_calibration: dict(num_bins=10),
    coco_eval.CocoResult.class_ap: dict(area='all'),
    coco_eval.CocoResult.mean_ap: dict(area='all'),
    coco_eval.CocoResult.mean_recall: dict(area='all'),
    coco_eval.evaluate_detections: dict(engine='auto', max_dets=(1, 10, 100)),
    confusion.Confusion.most_confused: dict(limit=10),
    confusion.measure_confusion: dict(iou_thr=0.5),
    error_analysis.analyze_errors: dict(pos_thr=0.5, bg_thr=0.1, max_dets=100),
    matching.suppress: dict(iou_thr=0.5),
    matching.unsuppressed: dict(iou_thr=0.5),
    multi_grained_coco_metric.MultiGrainedCocoMetric: dict(
        engine='auto', max_dets=100, allow_missing=False, allow_unknown=False, classwise=True
    ),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
