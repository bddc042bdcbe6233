"""Streams of random numbers by seed and place."""

from __future__ import annotations

import random

import numpy as np
import torch

from mmdet_multigrain.utils.seeding import Stream, drawing_from, permutation, seed_generators


def draws():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_a_place_has_its_numbers_however_one_comes_there():
    seed_generators((3, Stream.MODEL, 5, 0))
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    draws()
    seed_generators((3, Stream.MODEL, 5, 0))
    assert draws() == expected
    places = [(3, Stream.MODEL, 5, 1), (3, Stream.MODEL, 6, 0), (3, Stream.SAMPLE, 5, 0)]
    others = []
    for place in [*places, (4, Stream.MODEL, 5, 0)]:
        seed_generators(place)
        others.append(draws())
    numbers = [number for three in [expected, *others] for number in three]
    assert len(set(numbers)) == 15


def test_drawing_leaves_no_trace():
    seed_generators((1,))
    expected = draws()
    seed_generators((1,))
    with drawing_from((2, Stream.SAMPLE, 0)):
        within = draws()
    assert draws() == expected
    try:
        seed_generators((1,))
        with drawing_from((2, Stream.SAMPLE, 0)):
            assert draws() == within
            raise KeyError
    except KeyError:
        assert draws() == expected


def test_permutations_never_change():
    assert permutation(8, (0, Stream.ORDER, 0)).tolist() == [6, 3, 5, 0, 7, 2, 1, 4]
    assert sorted(permutation(1000, (0, Stream.ORDER, 1))) == list(range(1000))
