"""Choose the threshold of answers on annotated photos, and see on others what it is worth.

Calibrators, threshold and check come from three disjoint parts of the photos, else the promise
would not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from .answers import AnswerRule
from .functional.calibrators import CALIBRATORS
from .functional.intervals import CONFIDENCE
from .functional.risk_control import Lineages

PARTS = ('calibrators', 'theta', 'check')
SHARES = (0.3, 0.4, 0.3)  # of the photos or clusters
WITHOUT_CALIBRATORS = (0, 0.6, 0.4)


@dataclass(frozen=True)
class Seen:
    """What answers are worth on photos that chose nothing."""

    wrong: float  # mean over the photos (or clusters) of the share of wrong answers
    # ends of its 95% interval (Wilson's, as if a photo were right or wrong as a whole, which makes
    # it rather too wide than too narrow)
    low: float
    high: float
    shares: tuple[float, ...]  # share of the answers on each level, the class first, "object" last

    @classmethod
    def on(cls, lineages: Lineages, theta: float) -> Seen:
        """Answers with a threshold; NaN without a match."""
        count, levels = lineages.num_clusters, lineages.probabilities.shape[1] + 1
        if not count:
            return cls(math.nan, math.nan, math.nan, (math.nan,) * levels)
        wrong, z = float(lineages.losses(theta).mean()), ndtri(0.5 + CONFIDENCE / 2)
        middle = (wrong + z**2 / (2 * count)) / (1 + z**2 / count)
        spread = wrong * (1 - wrong) / count + (z / (2 * count)) ** 2
        margin = z / (1 + z**2 / count) * math.sqrt(spread)
        answers = np.bincount(lineages.answers(theta), minlength=levels)
        low, high = max(0.0, middle - margin), min(1.0, middle + margin)
        return cls(wrong, float(low), float(high), tuple((answers / answers.sum()).tolist()))


class AnswerCalibration:
    """Calibrators of a detector, and the parts of its matches to choose and check thresholds on.

    Args:
        matches: All detections that match an object, with raw probabilities; photos are positions.
        taxonomy: Of the lineages.
        num_photos: Number I of photos, also without matches.
        clusters: (I,) cluster of each photo. Default: each photo on its own.
        calibrator: `platt`, `isotonic` or `none`.
        seed: Deals photos, or clusters, out to the parts.

    Attributes:
        rule: Turns lineages into calibrated ones; always answers "object".
        parts: The matches of each part, calibrated.
        sizes: By part: `photos`, `with_match`, `matches`; `clusters` (with a match) if there are.

    Raises:
        EvaluationError: No detection matches an object.
    """

    def __init__(
        self,
        matches: Lineages,
        taxonomy: Taxonomy,
        *,
        num_photos: int,
        clusters: np.ndarray | None = None,
        calibrator: str = 'platt',
        seed: int = 0,
    ) -> None:
        if not len(matches.photos):
            raise EvaluationError('no detection matches an object; a lower --score-thr has more')
        cluster_of = np.arange(num_photos) if clusters is None else np.asarray(clusters)
        kind = CALIBRATORS.get(calibrator)
        part_of = deal(cluster_of, SHARES if kind else WITHOUT_CALIBRATORS, seed=seed)
        if clusters is not None:
            matches = replace(matches, clusters=cluster_of[matches.photos])
        raw = {name: matches[part_of[matches.photos] == part] for part, name in enumerate(PARTS)}
        calibrators = ()
        if kind:
            first = raw['calibrators']
            columns = zip(first.probabilities.T, ~first.wrong.T, strict=True)
            calibrators = tuple(kind.fit(*column) for column in columns)
        self.rule = AnswerRule(None, taxonomy, calibrators)
        self.parts = {
            name: replace(part, probabilities=self.rule.probabilities(part.probabilities))
            for name, part in raw.items()
        }
        self.sizes = {
            name: {
                'photos': int((part_of == number).sum()),
                'with_match': len(np.unique(self.parts[name].photos)),
                'matches': len(self.parts[name].photos),
                **({} if clusters is None else {'clusters': self.parts[name].num_clusters}),
            }
            for number, name in enumerate(PARTS)
        }

    def at(self, accuracy: float, **facts: Any) -> tuple[AnswerRule, Seen]:
        """The rule for a share of right answers (0 to 1, exclusive), and what the check part shows of it.

        `facts` are other attributes of the rule.
        """
        chosen_on, theta = self.parts['theta'], self.parts['theta'].threshold(accuracy)
        seen, reason = Seen.on(self.parts['check'], 1 if theta is None else theta), None
        if theta is None:
            needed = math.ceil(1 / (1 - accuracy) - 1 - 1e-9)
            what = 'photos' if chosen_on.clusters is None else 'clusters of photos'
            reason = (
                f'{accuracy:.4g} needs {needed} {what} with a match for the threshold, there are '
                f'{chosen_on.num_clusters}; only "object" is sure enough'
            )
        content = None if math.isnan(seen.wrong) else {**vars(seen), 'shares': [*seen.shares]}
        rule = replace(
            self.rule, theta=theta, accuracy=accuracy, reason=reason, seen=content, **facts
        )
        return rule, seen


def deal(clusters: np.ndarray, shares: tuple[float, ...], *, seed: int) -> np.ndarray:
    """(I,) part of each photo: clusters are drawn, whatever is in them."""
    names, cluster = np.unique(clusters, return_inverse=True)
    rank = np.random.default_rng(seed).permutation(len(names))
    ends = np.round(np.cumsum(shares) / sum(shares) * len(names))
    return np.searchsorted(ends, rank, side='right')[cluster]


def promise(accuracy: float, *, score_thr: float, grouping: str | None = None) -> str:
    """What a threshold promises, and what not."""
    photo = 'a new photo like these that has a match'
    if grouping:
        photo = f'a new cluster of photos like these ({grouping}) that has a match'
    return (
        f'On {photo}, the expected share of wrong answers is at most {1 - accuracy:.4g}, averaged '
        f'over draws of the calibration photos. It is a mean over {"clusters and " * bool(grouping)}'
        'photos, not over detections; it holds for the answers of single detections that score '
        f'{score_thr:g} or more and match an object (IoU 0.5), not for merged answers, and says '
        'nothing of detections without an object.'
    )
