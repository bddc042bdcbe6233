"""Answers as specific as they can be trusted, with a bound on the expected share of wrong ones.

An answer to a detection is the finest node on the path from its class to the root whose probability
is above a threshold, else "object". The threshold is chosen by conformal risk control (arXiv
2208.02814, theorem 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .common import Columns

ALWAYS_LEAF = -1.0  # a threshold below all probabilities
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Lineages(Columns):
    """Detections that match an object, each with the nodes from its class up to the root."""

    # (M, L) of each node given foreground, the class first; they never fall on the way up
    probabilities: np.ndarray
    # (M, L) bool, whether the object does not belong to that node; never true above a node that is
    # right
    wrong: np.ndarray
    photos: np.ndarray  # (M,) photo of each detection
    # (M,) cluster of that photo: photos of one site or sequence are not independent. Default: each
    # photo on its own.
    clusters: np.ndarray | None = None

    @property
    def num_clusters(self) -> int:
        """Photos, or clusters of them, with a match."""
        return len(np.unique(self.photos if self.clusters is None else self.clusters))

    def answers(self, theta: float) -> np.ndarray:
        """(M,) level of each answer: 0 for the class, L for "object"."""
        return answer_levels(self.probabilities, theta)

    def losses(self, theta: float) -> np.ndarray:
        """Share of wrong answers in each cluster: the mean of the shares in its photos."""
        wrong = np.pad(self.wrong, ((0, 0), (0, 1)))
        wrong = np.take_along_axis(wrong, self.answers(theta)[:, None], axis=1)[:, 0]
        _, cluster = np.unique(
            self.photos if self.clusters is None else self.clusters, return_inverse=True
        )
        return np.bincount(cluster, weights=self._weights() * wrong)

    def threshold(self, accuracy: float) -> float | None:
        """The smallest threshold with which wrong answers are expected to be rare enough.

        Of a new photo (or cluster) like these that has a match, the expected share of wrong answers
        is at most `1 - accuracy` (0 to 1, exclusive), averaged over draws of the calibration
        photos. It is smallest among `ALWAYS_LEAF` and the probabilities; None with fewer than 1 /
        (1 - accuracy) - 1 photos, where only "object" is sure enough.
        """
        alpha, n = 1 - accuracy, self.num_clusters
        if n < 1 / alpha - 1 - _ROUNDING:
            return None
        wrong = np.pad(self.wrong.astype(float), ((0, 0), (0, 1)))
        falls = self._weights()[:, None] * (wrong[:, :-1] - wrong[:, 1:])
        order = np.argsort(self.probabilities, axis=None, kind='stable')
        thetas = self.probabilities.ravel()[order]
        # At a threshold equal to a node's probability the answer has left that node.
        is_last = np.append(thetas[1:] > thetas[:-1], True)
        total = math.fsum(falls.ravel())
        sums = total - np.cumsum(falls.ravel()[order])[is_last]
        thetas, sums = np.append(ALWAYS_LEAF, thetas[is_last]), np.append(total, sums)
        return float(thetas[np.argmax(sums + 1 <= alpha * (n + 1) + _ROUNDING)])

    def _weights(self) -> np.ndarray:
        """(M,) what a detection adds to the loss of its cluster if its answer is wrong."""
        _, photo, matches = np.unique(self.photos, return_inverse=True, return_counts=True)
        weights = 1 / matches[photo]
        if self.clusters is not None:
            _, first = np.unique(photo, return_index=True)
            _, cluster, photos = np.unique(
                self.clusters[first], return_inverse=True, return_counts=True
            )
            weights /= photos[cluster][photo]
        return weights


def answer_levels(probabilities: np.ndarray, theta: float) -> np.ndarray:
    """(M,) level of each answer, 0 for the class to L for "object": the finest above `theta`, strictly.

    Probabilities are (M, L), the class first, and never fall on the way up; below 0, `theta` makes
    all answers classes.
    """
    return np.sum(probabilities <= theta, axis=1)
