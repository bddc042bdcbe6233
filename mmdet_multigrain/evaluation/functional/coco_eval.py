"""COCO box evaluation: ground truth and detections in, precision and recall arrays out.

The boxes are matched by one of the `engines`; `summary` names and averages the arrays along a
taxonomy.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .boxes import Detections, GroundTruth, check_labels
from .common import IOU_THRS, MAX_DETS, mean_of_known
from .engines import ENGINES, choose_engine
from .matching import group_limit, group_limits, within_limit

AREAS = ('all', 'small', 'medium', 'large')


@dataclass(frozen=True, eq=False)
class CocoResult:
    """The arrays of a COCO evaluation; -1 where there is nothing to measure.

    Axes: T IoU thresholds, R = 101 recall thresholds, K classes in label order, A = 4 area
    ranges (`AREAS`), M limits on detections per image and class.
    """

    precision: np.ndarray  # (T, R, K, A, M) interpolated precision
    recall: np.ndarray  # (T, K, A, M) highest recall
    scores: np.ndarray  # (T, R, K, A, M) score at which the recall threshold is reached
    iou_thrs: np.ndarray  # (T,) IoU thresholds
    max_dets: tuple[int, ...]  # M limits, ascending. AP is read at the last one.
    num_gt: np.ndarray  # (K,) boxes of each class, without crowds
    num_images: int  # images evaluated on, including those without boxes
    num_detections: int  # detections before any limit
    num_cut: int  # detections beyond the last limit
    engine: str  # name of the engine

    def class_ap(self, *, iou: float | None = None, area: str = 'all') -> np.ndarray:
        """(K,) AP of each class, 0 to 1, at one or over all IoUs; NaN for a class without boxes."""
        values = self._precision(iou, area)
        if not len(values):
            return np.full(values.shape[2], np.nan)
        return values.mean(axis=(0, 1))  # a class is known at all thresholds or at none

    def mean_ap(self, *, iou: float | None = None, area: str = 'all') -> float:
        """Mean AP over the classes that have boxes; NaN if no class has any."""
        return mean_of_known(self._precision(iou, area))

    def mean_recall(self, *, max_dets: int | None = None, area: str = 'all') -> float:
        """Mean over classes and IoU thresholds of the highest recall (AR); NaN without any.

        At one of the limits on detections, by default the last, and in one of the `AREAS`.
        """
        limit = -1 if max_dets is None else self.max_dets.index(max_dets)
        return mean_of_known(_known(self.recall[:, :, AREAS.index(area), limit]))

    def _precision(self, iou: float | None, area: str) -> np.ndarray:
        thresholds = slice(None) if iou is None else np.isclose(self.iou_thrs, iou)
        return _known(self.precision[thresholds][:, :, :, AREAS.index(area), -1])


def limits_up_to(max_dets: int) -> tuple[int, ...]:
    """COCO's limits on detections per image and class, with `max_dets` as the last."""
    return *(limit for limit in (1, 10) if limit < max_dets), max_dets


def evaluate_detections(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    num_classes: int,
    engine: str = 'auto',
    iou_thrs: Sequence[float] | None = None,
    max_dets: Sequence[int] = limits_up_to(MAX_DETS),
) -> CocoResult:
    """Match detections to ground truth as COCO does and accumulate precision and recall.

    Args:
        ground_truth: Annotated boxes.
        detections: Detected boxes on the same images.
        num_classes: Number K of classes; labels are 0 to K - 1.
        engine: `hotcoco`, `pycocotools`, or `auto` (hotcoco if installed). Both give the same
            arrays; pycocotools takes some hundred times as long.
        iou_thrs: IoU thresholds. Default: 0.50 to 0.95 in steps of 0.05.
        max_dets: Limits on detections per image and class.

    Raises:
        EvaluationError: The engine is unknown or missing, or a label is out of range.
    """
    engine = choose_engine(engine)
    iou_thrs = np.atleast_1d(np.asarray(IOU_THRS if iou_thrs is None else iou_thrs, np.float64))
    max_dets = tuple(sorted(max_dets))
    check_labels(ground_truth, detections, num_classes)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluator = ENGINES[engine](
            ground_truth, detections, num_classes=num_classes, iou_thrs=iou_thrs, max_dets=max_dets
        )
        evaluator.accumulate()
    return CocoResult(
        precision=np.asarray(evaluator.eval['precision']),
        recall=np.asarray(evaluator.eval['recall']),
        scores=np.asarray(evaluator.eval['scores']),
        iou_thrs=iou_thrs,
        max_dets=max_dets,
        num_gt=ground_truth.box_counts(num_classes),
        num_images=len(ground_truth.image_ids),
        num_detections=len(detections.scores),
        num_cut=int(np.count_nonzero(~within_limit(detections, max_dets[-1]))),
        engine=engine,
    )


def evaluate_levels(
    ground_truth: GroundTruth,
    detections: Detections,
    group_indices: Sequence[Sequence[int]],
    *,
    max_dets: int = MAX_DETS,
    **kwargs: Any,
) -> list[CocoResult]:
    """Evaluate once for each level of a taxonomy.

    The last one is the protocol *leaf*, the others are *superclass*: both sides are relabeled by
    superclass, so that a detection of the right superclass counts, whatever its fine class; a
    second one on the same object is a duplicate, whatever its fine class. Nothing is suppressed.
    The limit of a superclass is `max_dets` times the number of its fine classes.

    Args:
        ground_truth: Boxes with labels of any granularity. On levels finer than its label, a box
            is a crowd of each group that it may be.
        detections: Boxes with fine labels.
        group_indices: For each level, the group of each fine label.
        max_dets: Limit on detections per image and fine class.
        **kwargs: Further arguments of `evaluate_detections`.
    """
    check_labels(ground_truth, detections, len(group_indices[-1]))
    results = []
    for index in group_indices:
        found, limits = detections.relabel(index), group_limits(index, max_dets)
        # The engines know one limit for all classes, here that of the largest group.
        kept = within_limit(found, limits)
        result = evaluate_detections(
            ground_truth.relabel(index).leave_out(found),
            found[kept],
            num_classes=len(limits),
            max_dets=limits_up_to(int(limits.max())),
            **kwargs,
        )
        cut = int(np.count_nonzero(~kept))
        results.append(replace(result, num_detections=len(kept), num_cut=cut))
    return results


def evaluate_groups(
    ground_truth: GroundTruth,
    detections: Detections,
    index: Sequence[int],
    *,
    max_dets: int = MAX_DETS,
    **kwargs: Any,
) -> CocoResult:
    """The protocol *group*: one answer for each group and object.

    Args:
        ground_truth: Boxes with labels of any granularity.
        detections: Boxes with groups as labels, suppressed inside the group: by the head, or by
            `suppress`.
        index: Group of each class.
        max_dets: Limit on detections per image and class; see `group_limit`.
        **kwargs: Further arguments of `evaluate_detections`.
    """
    truth = ground_truth.in_groups(index)
    limit = group_limit(index, max_dets)
    return evaluate_levels(truth, detections, [range(max(index) + 1)], max_dets=limit, **kwargs)[0]


def _known(values: np.ndarray) -> np.ndarray:
    """COCO's arrays with NaN instead of -1."""
    return np.where(values > -1, values, np.nan)
