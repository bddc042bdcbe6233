"""Calibration of scores: how often detections with a given score are hits.

At one IoU threshold; `error_analysis` decides which detections are hits. Needs hotcoco, neither
torch nor mmdet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.utils.errors import EvaluationError

from .boxes import Detections
from .engines import choose_engine
from .error_analysis import DetectionErrors, Kind


@dataclass(frozen=True)
class ScoreBin:
    """Detections with scores from `lower` to `upper`.

    Attributes:
        lower: Lower end, inclusive.
        upper: Upper end, exclusive except in the last bin.
        count: Number of detections.
        score: Mean score; NaN for an empty bin.
        precision: Share of hits; NaN for an empty bin.
    """

    lower: float
    upper: float
    count: int
    score: float
    precision: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far scores are from the probability of a hit.

    Attributes:
        ece: Expected calibration error: mean over the detections of the gap between score and
            precision of their bin, 0 to 1; NaN without detections.
        mce: Maximum calibration error: the largest gap of a bin.
        bins: Bins of equal width from score 0 to 1.
        class_ece: (K,) `ece` of the detections of each class.
    """

    ece: float
    mce: float
    bins: tuple[ScoreBin, ...]
    class_ece: np.ndarray


def measure_calibration(
    detections: Detections, errors: DetectionErrors, *, num_classes: int, num_bins: int = 10
) -> Calibration:
    """Compare scores with the share of hits, as hotcoco does.

    Args:
        detections: Detected boxes, scores from 0 to 1.
        errors: Their outcomes. Detections on a crowd box or beyond the limit are ignored.
        num_classes: Number K of classes.
        num_bins: Number of bins.

    Raises:
        EvaluationError: A score is below 0 or above 1, or hotcoco is missing.
    """
    choose_engine('hotcoco')
    from hotcoco import metrics

    counted = errors.kinds < Kind.MISSED
    scores, labels = detections.scores[counted], detections.labels[counted]
    hits = errors.kinds[counted] == Kind.HIT
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
