"""Groups judged on photos that they were not found on."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.grouping import (
    DRAWS,
    Trial,
    best,
    confusions,
    cross_judge,
    judge,
)
from mmdet_multigrain.taxonomy import Taxonomy

from ...signatures import defaults


def drawn(rng, frequencies, boxes=300):
    """Confusions by frequency only."""
    chance = np.outer(frequencies, frequencies)
    np.fill_diagonal(chance, 0)
    return rng.multinomial(boxes, (chance / chance.sum()).ravel()).reshape(chance.shape)


@cache
def p_values(kind):
    """Of 60 trials without structure: p, p of the best of all numbers, and p by frequency."""
    rng = np.random.default_rng(0)
    frequencies = np.ones(12) if kind == 'equal' else 1 / np.arange(1, 13)
    values = []
    for seed in range(60):
        trials = cross_judge(drawn(rng, frequencies), drawn(rng, frequencies), draws=49, seed=seed)
        if trials:
            values.append((trials[0].p, best(trials)[1], trials[0].p_by_frequency))
    assert len(values) > 40
    return np.sort(np.array(values), axis=0)


@pytest.mark.parametrize('column', range(3))
def test_p_is_uniform_without_structure(column):
    """Kolmogorov and Smirnov: of 60 uniform values, 0.21 is exceeded once in 100 times."""
    values = p_values('equal')[:, column]
    assert np.abs(values - np.arange(1, 1 + len(values)) / len(values)).max() < 0.21
    assert (values <= 0.06).sum() <= 9


def test_frequencies_alone_are_no_structure():
    """With a long tail random groups are beaten without any structure; frequencies are not."""
    values = p_values('tail')
    assert (values[:, :2] <= 0.04).mean() > 0.8
    assert (values[:, 2] <= 0.06).sum() <= 9 and 0.3 < values[:, 2].mean() < 0.75


def test_shares_by_hand():
    index = np.array([0, 0, 1, 1])
    counts = np.array([[50, 3, 1, 0], [0, 9, 0, 0], [0, 2, 8, 0], [0, 0, 4, 1]])
    (trial,) = judge({2: [index]}, [counts])
    assert trial.share == 7 / 10 and len(trial.random) == len(trial.by_frequency) == DRAWS
    # The three ways to pair four classes have 7, 1 and 2 of 10 confusions inside.
    assert {*np.unique(trial.random)} == {0.7, 0.1, 0.2}
    assert trial.random.mean() == pytest.approx(1 / 3, abs=0.03)
    assert trial.p == (1 + (trial.random == 0.7).sum()) / (1 + DRAWS)
    assert trial.excess == pytest.approx(0.7 - trial.random.mean())
    other = judge({2: [index]}, [counts], seed=1)[0]
    assert other.random.tolist() != trial.random.tolist()
    assert judge({2: [index]}, [counts])[0].random.tolist() == trial.random.tolist()


def test_each_half_is_judged_by_groups_of_the_other():
    halves = []
    for boxes, triples in ((2, [(0, 1, 2), (3, 4, 5)]), (1, [(0, 3, 4), (1, 2, 5)])):
        counts = np.zeros((6, 6), int)
        for triple in triples:
            counts[np.ix_(triple, triple)] = np.triu(np.full((3, 3), boxes), 1)
        halves.append(counts)
    for order in (halves, halves[::-1]):
        (trial,) = (one for one in cross_judge(*order) if one.num_groups == 2)
        # Each grouping keeps two of the six pairs of the other half together.
        assert trial.share == (2 * 1 + 2 * 2) / 18


def test_classes_without_confusions_are_not_exchanged():
    """Otherwise groups of the others would beat random ones without any structure."""
    counts = np.zeros((30, 30), int)
    counts[:4, :4] = 1
    (trial,) = judge({2: [np.array([0, 0, 1, 1, *range(2, 28)])]}, [counts])
    assert trial.share == 1 / 3 and trial.random.tolist() == [trial.share] * DRAWS and trial.p == 1


def test_without_confusions_nothing_is_judged():
    none = np.zeros((4, 4), int)
    assert judge({2: [np.array([0, 0, 1, 1])]}, [none + np.eye(4, dtype=int)]) == []
    assert cross_judge(none, none) == []


def test_the_best_number_and_its_chance():
    def trial(number, share, random):
        return Trial(number, share, np.array(random), np.zeros(2))

    trials = [trial(2, 0.9, [0.8, 0.6]), trial(3, 0.5, [0.1, 0.1]), trial(4, 0.5, [0.1, 0.1])]
    chosen, p = best(trials)
    assert chosen is trials[1] and p == 1 / 3
    # One of two draws is 0.1 above its mean at 2 groups, so as good as 3 groups are at +0.1.
    assert best([trials[0], trial(3, 0.2, [0.1, 0.1])])[1] == 1 / 3
    assert best([trial(2, 0.75, [0.8, 0.6]), trial(3, 0.2, [0.1, 0.1])])[1] == 2 / 3


TAXONOMY = Taxonomy.load(
    dict(groups=dict(z=['c', 'a'], y=['d', 'b']), classes=['a', 'b', 'c', 'd'])
)


def test_confusions_of_two_halves_in_label_order():
    """Photo n has a box of class n % 4 that is taken for the next class."""
    photos = np.arange(16)
    labels = photos % 4
    boxes = np.tile([0.0, 0, 9, 9], (16, 1))
    truth = GroundTruth(
        image_ids=tuple(range(16)),
        images=photos,
        labels=labels,
        boxes=boxes,
        areas=np.full(16, 81.0),
        crowd=np.zeros(16, bool),
    )
    found = Detections(photos, (labels + 1) % 4, boxes, np.full(16, 0.5))
    expected = 2 * np.roll(np.eye(4, dtype=int), 1, axis=1)
    for half in confusions(truth, found, TAXONOMY):
        assert half.tolist() == expected.tolist()
    together = confusions(truth, found, TAXONOMY, group_of=photos // 8 + 5)
    assert [half.tolist() for half in together] == [expected.tolist()] * 2
    by_class = confusions(truth, found, TAXONOMY, group_of=labels)
    assert sorted(np.unique(sum(by_class)).tolist()) == [0, 4]
    assert not (by_class[0] * by_class[1]).any()


def test_defaults():
    assert defaults(confusions) == dict(seed=0)
    assert defaults(cross_judge) == defaults(judge) == dict(draws=1000, seed=0)
