"""Groups of classes that are alike."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmdet_multigrain.taxonomy.suggest import (
    GroupTree,
    adjusted_rand,
    alike_by_confusions,
    alike_by_vectors,
)


def planted(rng, *, classes=24, groups=4, boxes=3000, noise=0.2):
    """Groups, and confusions that stay inside them but for a share of noise."""
    index = rng.permutation(np.repeat(np.arange(groups), classes // groups))
    inside = (index[:, None] == index) & ~np.eye(classes, dtype=bool)
    others = ~np.eye(classes, dtype=bool)
    chance = (1 - noise) * inside / inside.sum() + noise * others / others.sum()
    return index, rng.multinomial(boxes, chance.ravel()).reshape(classes, classes)


def partition(index):
    return {frozenset(np.flatnonzero(index == group).tolist()) for group in np.unique(index)}


@pytest.mark.parametrize('seed', range(20))
def test_planted_groups_are_found_in_noise(seed):
    index, counts = planted(np.random.default_rng(seed))
    found = GroupTree(alike_by_confusions(counts)).groupings[4]
    assert adjusted_rand(found, index) >= 0.95


@pytest.mark.parametrize('seed', range(10))
def test_exchanged_classes_exchange_the_answer(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(15, 6))
    order = rng.permutation(15)
    first = GroupTree(alike_by_vectors(vectors)).groupings
    second = GroupTree(alike_by_vectors(vectors[order])).groupings
    assert first.keys() == second.keys() and len(first) > 1
    for number, index in first.items():
        assert partition(index[order]) == partition(second[number])


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('classes', [4, 5, 9, 30])
def test_groups_are_neither_tiny_nor_huge(classes, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.15 + rng.random((classes, classes)) ** 8 * 4)
    tree = GroupTree(alike_by_confusions(counts))
    for number, index in tree.groupings.items():
        sizes = np.bincount(index)
        assert np.count_nonzero(sizes > 1) == number > 1
        assert sizes.max() <= 0.6 * len(tree.known)
        assert list(dict.fromkeys(index.tolist())) == list(range(len(sizes)))
        again = GroupTree(alike_by_confusions(counts)).groupings[number]
        assert index.tolist() == again.tolist()


def test_a_class_alone_joins_the_group_that_it_is_most_like():
    """Two pairs; class 4 is like the second pair, but so little that the cut leaves it alone."""
    alike = np.zeros((5, 5))
    for left, right, value in ((0, 1, 0.9), (2, 3, 0.8), (4, 2, 0.2), (4, 3, 0.3), (4, 0, 0.1)):
        alike[left, right] = alike[right, left] = value
    assert GroupTree(alike).groupings[2].tolist() == [0, 0, 1, 1, 1]


def test_a_full_group_takes_no_more():
    """Six in each of two groups of at most 8: of 13, one more is like the first but has no room."""
    alike = np.full((13, 13), 0.01)
    alike[:7, :7] = alike[7:11, 7:11] = 0.9
    alike[11, :7] = alike[:7, 11] = 0.5
    alike[12, :7] = alike[:7, 12] = 0.4
    alike[11:, 7:11] = 0.3
    alike[7:11, 11:] = 0.3
    alike[11, 12] = alike[12, 11] = 0
    found = GroupTree(alike).groupings[2]
    assert np.bincount(found).max() <= 7
    assert len(set(found[:7].tolist())) == 1 and found[12] == found[7] != found[0]


def test_a_group_is_filled_to_its_limit():
    """Of 10 classes a group has 6 at most: both that are alone join the first four."""
    alike = np.zeros((10, 10))
    alike[:8, :8] = 0.3
    alike[:4, :4] = alike[4:8, 4:8] = 0.9
    alike[8:, :4] = alike[:4, 8:] = 0.2
    assert GroupTree(alike).groupings[2].tolist() == [0] * 4 + [1] * 4 + [0] * 2


def test_classes_of_which_nothing_is_known_stay_alone():
    counts = np.zeros((7, 7), int)
    for left, right in ((0, 2), (3, 5)):
        counts[left, right] = 5
    tree = GroupTree(alike_by_confusions(counts))
    assert tree.known.tolist() == [0, 2, 3, 5]
    assert tree.groupings[2].tolist() == [0, 1, 0, 2, 3, 2, 4]
    vectors = np.array([[1, 0], [1, 0.1], [0, 0], [0, 1], [0.1, 1]])
    assert GroupTree(alike_by_vectors(vectors)).groupings[2].tolist() == [0, 0, 1, 2, 2]


@pytest.mark.parametrize('scale', [2.0**700, 2.0**-700])
def test_the_length_of_a_vector_does_not_matter(scale):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(6, 4))
    vectors[2] = 0
    assert np.array_equal(
        alike_by_vectors(scale * vectors), alike_by_vectors(vectors), equal_nan=True
    )
    assert np.isnan(alike_by_vectors(vectors)[2]).all()


@pytest.mark.parametrize(
    'alike', [np.ones((1, 1)), np.full((4, 4), np.nan), np.ones((3, 3)), np.ones((2, 2))]
)
def test_too_few_classes_make_no_groups(alike):
    assert GroupTree(alike).groupings == {}


def test_ties_are_joined_in_class_order():
    assert GroupTree(np.ones((6, 6))).links[:, :2].tolist()[0] == [0, 1]
    alike = np.full((6, 6), 0.1)
    for left, right in ((0, 3), (1, 4), (2, 5)):
        alike[left, right] = alike[right, left] = 0.7
    tree = GroupTree(alike)
    assert tree.links[:3, :2].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert tree.groupings[3].tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize('boxes', range(1, 30))
def test_classes_that_are_only_taken_for_each_other(boxes):
    counts = np.zeros((4, 4), int)
    counts[0, 1] = counts[3, 2] = boxes
    alike = alike_by_confusions(counts)
    assert alike[0, 1] <= 1 and GroupTree(alike).groupings[2].tolist() == [0, 0, 1, 1]


def test_similarity_of_confusions_by_hand():
    counts = np.array([[90, 4, 0], [0, 50, 1], [0, 0, 7]])
    alike = alike_by_confusions(counts)
    assert alike[0, 1] == alike[1, 0] == pytest.approx(4 / np.sqrt(4 * 5))
    assert alike[1, 2] == pytest.approx(1 / np.sqrt(5 * 1)) and alike[0, 2] == 0
    assert alike_by_vectors(np.array([[1, 0], [0, 2], [-3, 0]])).tolist() == [
        [1, 0.5, 0],
        [0.5, 1, 0.5],
        [0, 0.5, 1],
    ]


def naive_rand(left, right):
    """By counting pairs, one by one."""
    pairs = list(itertools.combinations(range(len(left)), 2))
    first, second = ([index[a] == index[b] for a, b in pairs] for index in (left, right))
    both = sum(x and y for x, y in zip(first, second, strict=True))
    expected = sum(first) * sum(second) / len(pairs)
    return (both - expected) / ((sum(first) + sum(second)) / 2 - expected)


@pytest.mark.parametrize('seed', range(20))
def test_adjusted_rand(seed):
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 4, (2, 12))
    assert adjusted_rand(left, right) == pytest.approx(naive_rand(left, right))
    assert adjusted_rand(left, 7 - left) == 1
    assert adjusted_rand(np.arange(5), np.arange(5)) == adjusted_rand([0], [0]) == 1
