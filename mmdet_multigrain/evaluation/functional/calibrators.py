"""Calibrators: from the probability of a node to the share of right answers where it is that high.

They never fall, so that the order of the detections stays. Each level has its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from mmdet_multigrain.utils.errors import EvaluationError

_SURE = 1e-7  # about the distance of the largest float32 below 1


@dataclass(frozen=True)
class Platt:
    """A logistic curve over the logit of the probability (Platt, 1999).

    Raises:
        EvaluationError: No such curve.
    """

    slope: float  # 0 or above; 1 with offset 0 changes nothing
    offset: float  # of the logit

    def __post_init__(self) -> None:
        if not (_is_finite(self.slope, self.offset) and self.slope >= 0):
            raise EvaluationError('the slope of a curve is 0 or above, its offset finite')

    @classmethod
    def fit(cls, probabilities: np.ndarray, right: np.ndarray) -> Platt:
        """The most likely curve, with Platt's targets instead of 0 and 1, so that it is finite.

        Args:
            probabilities: (M,) of a node, from 0 to 1.
            right: (M,) bool, whether the object belongs to it.
        """
        logits, hits = _logits(probabilities), np.sum(right)
        targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

        def loss(curve: np.ndarray) -> tuple[float, np.ndarray]:
            z = curve[0] * logits + curve[1]
            residual = expit(z) - targets
            return np.logaddexp(0, z).sum() - targets @ z, np.array(
                [residual @ logits, residual.sum()]
            )

        found = minimize(loss, (1, 0), jac=True, bounds=[(0, None), (None, None)])
        return cls(*found.x.tolist())

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, of the same shape."""
        return expit(self.slope * _logits(probabilities) + self.offset)


@dataclass(frozen=True)
class Isotonic:
    """The best curve that never falls (isotonic regression), straight between its knots.

    Raises:
        EvaluationError: No such curve.
    """

    x: Sequence[float]  # probabilities, rising
    y: Sequence[float]  # calibrated ones; outside of `x` the nearest one holds

    def __post_init__(self) -> None:
        ok = 0 < len(self.x) == len(self.y) and _is_finite(*self.x, *self.y)
        if not ok or np.any(np.diff(self.x) <= 0) or np.any(np.diff(self.y) < 0):
            raise EvaluationError('the knots of a curve rise in x and do not fall in y')
        if not 0 <= self.y[0] <= self.y[-1] <= 1:
            raise EvaluationError('the y of a curve is a probability, from 0 to 1')

    @classmethod
    def fit(cls, probabilities: np.ndarray, right: np.ndarray) -> Isotonic:
        """Pool adjacent violators; arguments as in `Platt.fit`."""
        x, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
        blocks: list[tuple[float, int, int]] = []  # right ones, all, number of the last x
        for number, block in enumerate(zip(np.bincount(place, right), counts, strict=True)):
            hits, size = block
            while blocks and blocks[-1][0] * size >= hits * blocks[-1][1]:
                before, others, _ = blocks.pop()
                hits, size = hits + before, size + others
            blocks.append((hits, size, number))
        knots, first = {}, 0
        for hits, size, last in blocks:
            knots |= {float(x[first]): hits / size, float(x[last]): hits / size}
            first = last + 1
        return (
            cls(tuple(knots), tuple(map(float, knots.values()))) if knots else cls((0, 1), (0, 1))
        )

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, of the same shape."""
        return np.interp(probabilities, self.x, self.y)


Calibrator = Platt | Isotonic
CALIBRATORS: dict[str, type[Calibrator]] = {'platt': Platt, 'isotonic': Isotonic}


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return logit(np.clip(np.asarray(probabilities, float), _SURE, 1 - _SURE))


def _is_finite(*values: float) -> bool:
    return all(type(value) in (int, float) and math.isfinite(value) for value in values)
