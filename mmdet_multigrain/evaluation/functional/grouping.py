"""How well groups hold on other photos: the share of confusions inside them, against random groups.

On the photos that groups were found on any grouping looks good, so they are found on one half of
the photos and judged on the other, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.coco.split import stratify
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.suggest import GroupTree, alike_by_confusions

from .boxes import Detections, GroundTruth
from .confusion import balanced_score, measure_confusion

DRAWS = 1000
_FITS = 50  # rounds of proportional fitting; 20 are enough for most


@dataclass(frozen=True, eq=False)
class Trial:
    """Groups on photos that they were not found on."""

    num_groups: int  # how many groups of several classes
    share: float  # share of confusions inside groups
    random: np.ndarray  # (D,) the same of random groups of these sizes
    # (D,) the same of these groups if a class were taken for others only as often as the margins of
    # the confusions make it. With a long tail, groups of frequent classes are above `random`, but
    # not above this.
    by_frequency: np.ndarray

    @property
    def excess(self) -> float:
        """How far the share is above the mean of random groups."""
        return self.share - float(self.random.mean())

    @property
    def p(self) -> float:
        """Chance that random groups do as well: (1 + how many do) / (1 + D)."""
        return _p(self.random, self.share)

    @property
    def p_by_frequency(self) -> float:
        """Chance that frequencies alone do as well."""
        return _p(self.by_frequency, self.share)


def confusions(
    ground_truth: GroundTruth,
    detections: Detections,
    taxonomy: Taxonomy,
    *,
    group_of: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes taken for another class on two halves of the photos, (K, K) each, in label order.

    Every class is in both halves as evenly as possible; photos of one group (`group_of`, (I,)) stay
    in one half. The score from which detections count is that of all photos (`balanced_score`).
    """
    photos, classes = len(ground_truth.image_ids), taxonomy.num_classes
    group_of = (
        np.arange(photos) if group_of is None else np.unique(group_of, return_inverse=True)[1]
    )
    counts = np.zeros((group_of.max(initial=0) + 1, classes + 1), np.int64)
    np.add.at(counts, (group_of[ground_truth.images], ground_truth.labels), 1)
    np.add.at(counts, (group_of, classes), 1)
    half_of = stratify(counts, np.full(2, 0.5), np.random.default_rng(seed))[group_of]
    min_score = balanced_score(ground_truth, detections)
    found = []
    for half in range(2):
        measured = measure_confusion(
            ground_truth[half_of[ground_truth.images] == half],
            detections[half_of[detections.images] == half],
            taxonomy,
            min_score=min_score,
        )
        order = np.argsort(measured.labels)
        found.append(measured.mistaken[np.ix_(order, order)])
    return tuple(found)


def cross_judge(
    first: np.ndarray, second: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> list[Trial]:
    """Groups found on each half of the photos, judged on the other by `draws` random groups.

    Args:
        first: (K, K) confusions of one half; hits do not count.
        second: (K, K) those of the other.

    Returns:
        A trial for each number of groups that both halves can make; none without confusions.
    """
    halves = [GroupTree(alike_by_confusions(counts)).groupings for counts in (first, second)]
    numbers = sorted(halves[0].keys() & halves[1].keys())
    groupings = {n: [half[n] for half in halves] for n in numbers}
    return judge(groupings, [second, first], draws=draws, seed=seed)


def judge(
    groupings: Mapping[int, Sequence[np.ndarray]],
    counts: Sequence[np.ndarray],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Trial]:
    """Groups on photos that they were not found on.

    Random groups are the same groups with the classes exchanged: only those with a confusion. Of two
    groupings, the second gets the inverse of the first's exchange, as if the classes of the second
    half were renamed; so p is exact where no class resembles another more than the rest.

    Args:
        groupings: By number of groups, the group of each class, (K,), in each of one or two groupings.
        counts: For each of these, (K, K) confusions of other photos; hits do not count.
        draws: Number D of random groups.
        seed: Of these.
    """
    counts = [np.where(np.eye(len(one), dtype=bool), 0, one) for one in counts]
    total = sum(int(one.sum()) for one in counts)
    if not total:
        return []
    involved = np.flatnonzero(sum(one + one.T for one in counts).any(axis=1))
    rng = np.random.RandomState(seed)  # its stream never changes (NEP 19)
    exchanges = np.tile(np.arange(len(counts[0])), (1 + draws, 1))  # the first changes nothing
    exchanges[1:, involved] = [rng.permutation(involved) for _ in range(draws)]
    pairs = [(*np.nonzero(one), one[np.nonzero(one)]) for one in counts]
    expected = [_by_margins(one) for one in counts]
    trials = []
    for number, indices in groupings.items():
        inside, by_frequency = np.zeros(len(exchanges)), np.zeros(draws)
        for index, exchange, (rows, columns, boxes), margins in zip(
            indices, (exchanges, np.argsort(exchanges, axis=1)), pairs, expected, strict=False
        ):
            drawn = index[exchange]
            inside += [(groups[rows] == groups[columns]) @ boxes for groups in drawn]
            chance = margins[index[:, None] == index].sum()
            by_frequency += rng.binomial(boxes.sum(), min(1.0, chance), draws)
        shares = inside / total
        trials.append(Trial(number, float(shares[0]), shares[1:], by_frequency / total))
    return trials


def _by_margins(counts: np.ndarray) -> np.ndarray:
    """(K, K) shares of all confusions that only depend on row and column (quasi-independence)."""
    shares = (~np.eye(len(counts), dtype=bool)).astype(float)
    for _ in range(_FITS):
        for axis in (1, 0):
            sums = shares.sum(axis=axis, keepdims=True)
            wanted = counts.sum(axis=axis, keepdims=True)
            shares *= np.divide(wanted, sums, out=np.zeros_like(sums), where=sums > 0)
    return shares / max(1.0, shares.sum())


def best(trials: Sequence[Trial]) -> tuple[Trial, float]:
    """The trial whose share is the farthest above its random mean, the first of equal ones.

    And the chance that the best of as many trials of random groups is as far above.
    """
    chosen = max(trials, key=lambda trial: trial.excess)
    random = np.max([trial.random - trial.random.mean() for trial in trials], axis=0)
    return chosen, _p(random, chosen.excess)


def _p(random: np.ndarray, found: float) -> float:
    # Sums of the same numbers may differ by rounding.
    return (1 + int(np.count_nonzero(random >= found - 1e-12))) / (1 + len(random))
