"""What the detections of each variant say beside AP: errors, confusions, calibration.

Here belongs how the runs (seeds) of one variant come together: means of what is a share or a
gain, sums of counts for the confusion matrix. What an error is belongs in `evaluation`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from mmdet_multigrain.evaluation.functional.calibration import Calibration, measure_calibration
from mmdet_multigrain.evaluation.functional.confusion import Confusion, measure_confusion
from mmdet_multigrain.evaluation.functional.error_analysis import Loss, analyze_errors
from mmdet_multigrain.utils.errors import EvaluationError, ReportError

from .load import TOLERANCE, Run


@dataclass(frozen=True, eq=False)
class KindLoss:
    """Errors of one kind, mean over the runs of a variant.

    Attributes:
        name: Of the kind.
        count: Errors.
        gain: Rise in AP50 if they alone were fixed ("dAP"), 0 to 1.
        class_counts: (K,) errors by class.
        class_gains: (K,) rise in the AP50 of each class; NaN without ground truth.
    """

    name: str
    count: float
    gain: float
    class_counts: np.ndarray
    class_gains: np.ndarray


@dataclass(frozen=True)
class ScoreRange:
    """Detections of about one score, of all runs of a variant."""

    count: int
    score: float
    precision: float


@dataclass(frozen=True, eq=False)
class VariantAnalysis:
    """What the detections of a variant say.

    Attributes:
        variant: Its name.
        num_runs: How many runs came together.
        ap50: Mean AP at IoU 0.5.
        losses: One for each kind of error (`evaluation.error_analysis.ERRORS`).
        confusion: With the counts of all runs; None if it cannot be made.
        score_ranges: By rising score; none if calibration cannot be measured.
        calibration_error: Expected calibration error, 0 to 1; NaN likewise.
        remarks: Why something is missing.
    """

    variant: str
    num_runs: int
    ap50: float
    losses: tuple[KindLoss, ...]
    confusion: Confusion | None
    score_ranges: tuple[ScoreRange, ...]
    calibration_error: float
    remarks: tuple[str, ...]


def analyze_variants(runs: Sequence[Run], *, progress: bool = False) -> list[VariantAnalysis]:
    """Analyze each variant of which all runs have detections, in the order given.

    Raises:
        ReportError: Ground truth and detections of a run do not give the AP50 of its result.
    """
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(run.variant, []).append(run)
    complete = {
        name: own for name, own in members.items() if all(run.has_detections for run in own)
    }
    with tqdm(
        total=sum(map(len, complete.values())),
        desc='errors',
        unit='run',
        leave=False,
        disable=not progress,
    ) as bar:
        return [_analyze_variant(name, own, bar) for name, own in complete.items()]


def _analyze_variant(variant: str, runs: Sequence[Run], bar: tqdm) -> VariantAnalysis:
    taxonomy = runs[0].result.taxonomy
    errors, confusions, calibrations, remarks = [], [], [], {}
    for run in runs:
        max_dets = run.result.summary.max_dets
        found = analyze_errors(run.ground_truth, run.detections, taxonomy, max_dets=max_dets)
        _check_ap50(run, found.ap)
        errors.append(found)
        try:
            confusions.append(
                measure_confusion(run.ground_truth, run.detections, taxonomy, max_dets=max_dets)
            )
            calibrations.append(
                measure_calibration(
                    run.detections, found.detections, num_classes=taxonomy.num_classes
                )
            )
        except EvaluationError as error:  # no hotcoco, or scores that are no probabilities
            remarks[f'{run.source}: {error}'] = None
        bar.update()
    whole = len(runs)
    return VariantAnalysis(
        variant=variant,
        num_runs=whole,
        ap50=_mean([one.ap for one in errors]),
        losses=tuple(map(_mean_loss, zip(*(one.losses for one in errors), strict=True))),
        confusion=_sum_confusions(confusions) if len(confusions) == whole else None,
        score_ranges=_join_ranges(calibrations) if len(calibrations) == whole else (),
        calibration_error=(
            _mean([one.ece for one in calibrations]) if len(calibrations) == whole else math.nan
        ),
        remarks=tuple(remarks),
    )


def _check_ap50(run: Run, ap50: float) -> None:
    """Boxes of another file with as many of each class show here only."""
    written = run.result.summary.fine.coco['AP50']
    if abs(ap50 - written) > TOLERANCE:
        raise ReportError(
            f'{run.source}: its AP50 is {written:.6f}, but its detections on {run.test_set.path} '
            f'give {ap50:.6f}; name the file that it was tested on, or test it again'
        )


def _mean_loss(losses: Sequence[Loss]) -> KindLoss:
    return KindLoss(
        name=losses[0].name,
        count=_mean([loss.count for loss in losses]),
        gain=_mean([loss.gain for loss in losses]),
        class_counts=np.mean([loss.class_counts for loss in losses], axis=0),
        class_gains=np.mean([loss.class_gains for loss in losses], axis=0),
    )


def _sum_confusions(confusions: Sequence[Confusion]) -> Confusion:
    return dataclasses.replace(confusions[0], counts=sum(one.counts for one in confusions))


def _join_ranges(calibrations: Sequence[Calibration]) -> tuple[ScoreRange, ...]:
    """The same bin of all runs as one, weighted by detections; empty ones are left out."""
    ranges = []
    for bins in zip(*(one.bins for one in calibrations), strict=True):
        known = [one for one in bins if one.count]
        count = sum(one.count for one in known)
        if count:
            ranges.append(
                ScoreRange(
                    count,
                    sum(one.count * one.score for one in known) / count,
                    sum(one.count * one.precision for one in known) / count,
                )
            )
    return tuple(ranges)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
