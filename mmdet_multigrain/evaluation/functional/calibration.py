"""Calibration of scores: how often detections with a given score are hits.

At one IoU threshold; `error_analysis` decides which detections are hits. Needs hotcoco.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmdet_multigrain.utils.errors import EvaluationError

from .boxes import Detections
from .engines import choose_engine
from .error_analysis import DetectionErrors, Kind


@dataclass(frozen=True)
class ScoreBin:
    """Detections with scores from `lower` to `upper`."""

    lower: float  # lower end, inclusive
    upper: float  # upper end, exclusive except in the last bin
    count: int  # number of detections
    score: float  # mean score; NaN for an empty bin
    precision: float  # share of hits; NaN for an empty bin


@dataclass(frozen=True)
class Calibration:
    """How far scores are from the probability of a hit."""

    # expected calibration error: mean over the detections of the gap between score and precision of
    # their bin, 0 to 1; NaN without detections
    ece: float
    bins: tuple[ScoreBin, ...]  # bins of equal width from score 0 to 1


def measure_calibration(
    detections: Detections, errors: DetectionErrors, *, num_bins: int = 10
) -> Calibration:
    """Compare scores (0 to 1) with the share of hits in bins, as hotcoco does.

    Detections on a crowd box or beyond the limit are ignored.

    Raises:
        EvaluationError: A score is below 0 or above 1, or hotcoco is missing.
    """
    choose_engine('hotcoco')
    from hotcoco import metrics

    counted = errors.kinds < Kind.MISSED
    scores = detections.scores[counted]
    hits = errors.kinds[counted] == Kind.HIT
    if len(scores) and not 0 <= scores.min() <= scores.max() <= 1:
        raise EvaluationError(
            f'scores run from {scores.min():g} to {scores.max():g}; calibration needs '
            'probabilities, 0 to 1'
        )

    ece = metrics.calibration_error(scores, hits, num_bins)[0] if len(scores) else float('nan')
    return Calibration(
        ece=ece,
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
    )
