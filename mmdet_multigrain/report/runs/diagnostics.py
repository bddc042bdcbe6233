"""What the detections of each variant tell beyond AP: errors, confusions, calibration.

Runs (seeds) of one variant are merged: means of costs and of calibration, sums of confusion
counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from mmdet_multigrain.evaluation.functional.calibration import (
    Calibration,
    ScoreBin,
    measure_calibration,
)
from mmdet_multigrain.evaluation.functional.confusion import Confusion, measure_confusion
from mmdet_multigrain.evaluation.functional.error_analysis import ErrorCost, analyze_errors
from mmdet_multigrain.utils.errors import EvaluationError, ReportError

from .run import TOLERANCE, Run, complete_variants


@dataclass(frozen=True, eq=False)
class VariantDiagnostics:
    """What the detections of a variant tell."""

    variant: str
    num_runs: int
    ap50: float  # mean AP at IoU 0.5
    # of each kind of error (`error_analysis.ERRORS`), means over the runs
    costs: tuple[ErrorCost, ...]
    confusion: Confusion | None  # counts of all runs; None if it cannot be measured
    min_scores: tuple[float, ...]  # lowest score of the detections that it counts, of each run
    # detections of all runs by score; empty if calibration cannot be measured
    score_bins: tuple[ScoreBin, ...]
    calibration_error: float  # expected calibration error, 0 to 1; NaN if it cannot be measured
    remarks: tuple[str, ...]  # why something is missing


def diagnose_variants(runs: Sequence[Run], *, progress: bool = False) -> list[VariantDiagnostics]:
    """Diagnose each variant whose runs all have detections, in the order given.

    Raises:
        ReportError: Detections of a run do not reproduce the AP50 of its result.
    """
    complete = complete_variants(runs)
    total = sum(map(len, complete.values()))
    with tqdm(total=total, desc='errors', unit='run', leave=False, disable=not progress) as bar:
        return [_diagnose(name, own, bar) for name, own in complete.items()]


def _diagnose(variant: str, runs: Sequence[Run], bar: tqdm) -> VariantDiagnostics:
    taxonomy = runs[0].result.taxonomy
    errors, confusions, calibrations, remarks = [], [], [], []
    for run in runs:
        truth, detections = run.ground_truth, run.detections
        max_dets = run.result.max_dets
        found = analyze_errors(truth, detections, taxonomy, max_dets=max_dets)
        written = run.result.summary.fine.coco['AP50']
        # Only this notices another file with as many boxes of each class.
        if abs(found.ap - written) > TOLERANCE:
            raise ReportError(
                f'{run.source}: its AP50 is {written:.6f}, but its detections on '
                f'{run.test_set.path} give {found.ap:.6f}; name the file that it was tested on, or '
                'test it again'
            )
        errors.append(found)
        try:
            confusions.append(measure_confusion(truth, detections, taxonomy))
            calibrations.append(measure_calibration(detections, found.detections))
        except EvaluationError as error:  # no hotcoco, or scores that are not probabilities
            remarks.append(f'{run.source}: {error}')
        bar.update()
    confusion = None
    if len(confusions) == len(runs):
        counts = sum(one.counts for one in confusions)
        confusion = replace(confusions[0], counts=counts)
    calibrated = len(calibrations) == len(runs)
    return VariantDiagnostics(
        variant=variant,
        num_runs=len(runs),
        ap50=_mean([one.ap for one in errors]),
        costs=tuple(map(_mean_cost, zip(*(one.costs for one in errors), strict=True))),
        confusion=confusion,
        min_scores=tuple(one.min_score for one in confusions),
        score_bins=_merge_bins(calibrations) if calibrated else (),
        calibration_error=_mean([one.ece for one in calibrations]) if calibrated else math.nan,
        remarks=tuple(remarks),
    )


def _mean_cost(costs: Sequence[ErrorCost]) -> ErrorCost:
    return ErrorCost(
        name=costs[0].name,
        count=_mean([cost.count for cost in costs]),
        delta_ap=_mean([cost.delta_ap for cost in costs]),
        class_counts=np.mean([cost.class_counts for cost in costs], axis=0),
        class_delta_ap=np.mean([cost.class_delta_ap for cost in costs], axis=0),
    )


def _merge_bins(calibrations: Sequence[Calibration]) -> tuple[ScoreBin, ...]:
    """Each bin over all runs, weighted by detections; empty bins are left out."""
    merged = []
    for bins in zip(*(one.bins for one in calibrations), strict=True):
        known = [one for one in bins if one.count]
        if count := sum(one.count for one in known):
            score = sum(one.count * one.score for one in known) / count
            precision = sum(one.count * one.precision for one in known) / count
            merged.append(replace(bins[0], count=count, score=score, precision=precision))
    return tuple(merged)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
