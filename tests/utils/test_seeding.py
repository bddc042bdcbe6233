"""Streams of random numbers by seed and place."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mmdet_multigrain.utils import seeding
from mmdet_multigrain.utils.seeding import (
    Stream,
    drawing_from,
    name_entropy,
    permutation,
    seed_generators,
)


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


@pytest.mark.parametrize(
    ('place', 'expected'),
    [
        ((3, Stream.MODEL, 5, 0), (0.9030091024701247, 0.9127170654008758, 0.17639869451522827)),
        ((3, Stream.SAMPLE, 5), (0.37624547980835954, 0.7172203559256629, 0.9719758033752441)),
        (
            (7, Stream.VALUES, name_entropy('backbone.conv1.weight')),
            (0.2128140454831362, 0.5572003202915201, 0.8666434288024902),
        ),
    ],
    ids=['model', 'sample', 'values'],
)
@pytest.mark.parametrize('devices', [True, False])
def test_draws_never_change(place, expected, devices):
    """A run of today is resumed by the code of tomorrow."""
    seed_generators(place, devices=devices)
    assert draws() == expected
    with drawing_from(place):
        assert draws() == expected


def test_the_number_of_a_name_never_changes():
    assert name_entropy('backbone.conv1.weight') == 7650926354883544682
    assert {stream.name: int(stream) for stream in Stream} == dict(
        ORDER=0, SAMPLE=1, MODEL=2, VALUES=3
    )


def test_permutations_never_change():
    assert permutation(8, (0, Stream.ORDER, 0)).tolist() == [6, 3, 5, 0, 7, 2, 1, 4]
    assert sorted(permutation(1000, (0, Stream.ORDER, 1))) == list(range(1000))


@pytest.mark.parametrize('there', [True, False])
def test_devices_are_seeded_if_there_are_some(monkeypatch, there):
    seeded = []
    monkeypatch.setattr(seeding, '_has_devices', lambda: there)
    monkeypatch.setattr(torch, 'manual_seed', seeded.append)
    with drawing_from((0,)):  # which leaves the devices alone
        seed_generators((1, 2))
    assert len(seeded) == there
