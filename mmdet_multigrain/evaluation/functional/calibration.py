"""How far scores can be trusted: the share of hits among detections of about one score.

Here belongs calibration at one IoU threshold; which detection is a hit belongs in
`error_analysis`. Needs hotcoco, neither torch nor mmdet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.utils.errors import EvaluationError

from .coco_eval import Detections, choose_engine
from .error_analysis import DetectionErrors, Kind


@dataclass(frozen=True)
class ScoreBin:
    """Detections of scores from `lower` to `upper`.

    Attributes:
        lower: Lower end, part of the bin.
        upper: Upper end, part of the last bin only.
        count: Detections.
        score: Their mean score; NaN without any.
        precision: Share of hits among them; NaN without any.
    """

    lower: float
    upper: float
    count: int
    score: float
    precision: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far scores are from being probabilities of a hit.

    Attributes:
        ece: Expected calibration error: mean over the detections of the gap between score and
            precision of their bin, 0 to 1; NaN without detections.
        mce: The largest gap of a bin.
        bins: From score 0 to 1, of equal widths.
        class_ece: (K,) the same for the detections of one class.
    """

    ece: float
    mce: float
    bins: tuple[ScoreBin, ...]
    class_ece: np.ndarray


def measure_calibration(
    detections: Detections, found: DetectionErrors, *, num_classes: int, num_bins: int = 10
) -> Calibration:
    """Compare scores with the share of hits, as hotcoco does.

    Args:
        detections: Detected boxes, scores from 0 to 1.
        found: What became of them. Detections on a crowd box or beyond the limit do not count.
        num_classes: K.
        num_bins: Number of bins.

    Raises:
        EvaluationError: If a score is below 0 or above 1, or hotcoco is missing.
    """
    choose_engine('hotcoco')
    from hotcoco import metrics

    counted = found.kinds < Kind.MISSED
    scores, labels = detections.scores[counted], detections.labels[counted]
    hits = found.kinds[counted] == Kind.HIT
    if len(scores) and not 0 <= scores.min() <= scores.max() <= 1:
        raise EvaluationError(
            f'scores run from {scores.min():g} to {scores.max():g}; calibration needs '
            'probabilities, 0 to 1'
        )

    def gaps(chosen: np.ndarray) -> tuple[float, float]:
        if not chosen.any():
            return float('nan'), float('nan')
        return metrics.calibration_error(scores[chosen], hits[chosen], num_bins)

    ece, mce = gaps(np.ones(len(scores), dtype=bool))
    return Calibration(
        ece=ece,
        mce=mce,
        bins=tuple(
            ScoreBin(
                lower=row['bin_lower'],
                upper=row['bin_upper'],
                count=row['count'],
                score=row['avg_confidence'] if row['count'] else float('nan'),
                precision=row['avg_accuracy'] if row['count'] else float('nan'),
            )
            for row in metrics.calibration_curve(scores, hits, num_bins)
        ),
        class_ece=np.array([gaps(labels == label)[0] for label in range(num_classes)]),
    )
