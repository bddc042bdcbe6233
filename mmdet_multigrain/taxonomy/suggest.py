"""Groups of classes that are alike: average linkage, cut into groups that are not tiny nor huge.

Needs SciPy, which `Taxonomy` itself does not.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

MIN_SIZE, MAX_SHARE = 2, 0.6
_TIE = 1e-9  # far below differences that mean anything


def alike_by_confusions(counts: np.ndarray) -> np.ndarray:
    """(K, K) how often classes are taken for each other, relative to the mistakes of both, 0 to 1.

    `counts` (K, K) are boxes by their class and by the class they are taken for; hits do not count.
    Rows and columns of classes that are never mistaken are NaN.
    """
    both = (counts + counts.T).astype(float)
    np.fill_diagonal(both, 0)
    sums = both.sum(axis=1)
    scale = np.sqrt(np.where(sums > 0, sums, np.nan))
    return np.minimum(both / scale[:, None] / scale, 1)  # rounding


def alike_by_vectors(vectors: np.ndarray) -> np.ndarray:
    """(K, K) cosines of (K, D) vectors, from 0 (opposite) to 1; NaN where a vector is zero."""
    # By powers of two, which round nothing: squares of 1e200 would be infinite, of 1e-200 zero.
    exponents = np.frexp(np.abs(vectors).max(axis=1, keepdims=True))[1]
    vectors = np.ldexp(vectors, -exponents)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, np.nan)
    return (1 + np.clip(unit @ unit.T, -1, 1)) / 2


class GroupTree:
    """The tree of average linkage; of equally similar pairs, the first in class order is joined first.

    Args:
        alike: (K, K) symmetric similarities from 0 to 1, kept. Classes with NaN stay out.

    Attributes:
        known: Labels of the classes in the tree.
        links: SciPy's linkage of these; None if there are fewer than two.
    """

    def __init__(self, alike: np.ndarray) -> None:
        off_diagonal = ~np.eye(len(alike), dtype=bool)
        self.alike = alike
        self.known = np.flatnonzero((np.isfinite(alike) & off_diagonal).any(axis=1))
        self.links = None
        if len(self.known) > 1:
            inner = alike[np.ix_(self.known, self.known)].copy()
            np.fill_diagonal(inner, 1)
            far = squareform(1 - inner, checks=False)
            ties = np.linspace(0, _TIE, len(far))
            self.links = linkage(far + ties, method='average')

    @functools.cached_property
    def groupings(self) -> dict[int, np.ndarray]:
        """Groups of all K classes by how many groups there are (from 2 on), as (K,) numbers.

        The coarsest cut with so many groups of `MIN_SIZE` classes; classes that it leaves alone
        join the most similar group that has room for them. A group has at most `MAX_SHARE` of
        the classes in the tree. A class that is not in the tree, or is like none of any group, stays
        without a group: it has a number of its own. Numbers are by first appearance.
        """
        found: dict[int, np.ndarray] = {}
        limit = int(MAX_SHARE * len(self.known) + 1e-9)
        cuts = [
            fcluster(self.links, size, criterion='maxclust') - 1
            for size in range(2, len(self.known))
        ]
        numbers = [int(np.count_nonzero(np.bincount(cut) >= MIN_SIZE)) for cut in cuts]
        # Beyond the most groups, cuts only leave more and more classes alone.
        last = len(numbers) - numbers[::-1].index(max(numbers)) if numbers else 0
        for index, number in zip(cuts[:last], numbers, strict=False):
            sizes = np.bincount(index)
            if number > 1 and sizes.max() <= limit and number not in found:
                joined = np.arange(len(self.alike)) + len(sizes)
                joined[self.known] = self._join_single(index, sizes, limit)
                _, first, rows = np.unique(joined, return_index=True, return_inverse=True)
                found[number] = np.argsort(np.argsort(first))[rows]
        return dict(sorted(found.items()))

    def _join_single(self, index: np.ndarray, sizes: np.ndarray, limit: int) -> np.ndarray:
        """Move classes of too small clusters into the cluster that they are most like on average."""
        members = np.eye(len(sizes))[index]
        inner = np.nan_to_num(self.alike[np.ix_(self.known, self.known)])
        mean = inner @ members / sizes
        mean[:, sizes < MIN_SIZE] = 0
        index, sizes = index.copy(), sizes.copy()
        alone = np.flatnonzero(sizes[index] < MIN_SIZE)
        for row in alone[np.argsort(-mean[alone].max(axis=1), kind='stable')]:
            room = np.where(sizes < limit, mean[row], 0)
            if room.any():
                index[row] = room.argmax()
                sizes[index[row]] += 1
        return index


def adjusted_rand(left: np.ndarray, right: np.ndarray) -> float:
    """Agreement of two groupings of K classes, as (K,) numbers: 1 if equal, 0 on average at random.

    Hubert and Arabie (1985). 1, too, where neither could be otherwise: all alone, or all in one.
    """

    def pairs(sizes: np.ndarray) -> float:
        return float((sizes * (sizes - 1) / 2).sum())

    numbers = [np.unique(index, return_inverse=True)[1] for index in (left, right)]
    both = np.unique(np.stack(numbers), axis=1, return_counts=True)[1]
    first, second = (pairs(np.bincount(index)) for index in numbers)
    total = len(left) * (len(left) - 1) / 2
    expected = first * second / total if total else 0.0
    most = (first + second) / 2
    return 1.0 if most == expected else (pairs(both) - expected) / (most - expected)
