"""ExactSampler, ExactInfiniteSampler: each epoch whole, in an order that can begin anywhere."""

from __future__ import annotations

import pickle
from itertools import islice
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets.samplers import (
    ExactInfiniteSampler,
    ExactSampler,
    SampleIndex,
    exact_sampler,
)
from mmdet_multigrain.utils.seeding import Stream


def make(kind, size, *, rank=0, world_size=1, **options):
    with mock.patch.object(exact_sampler, 'get_dist_info', return_value=(rank, world_size)):
        return kind(range(size), seed=7, **options)


def positions(samples):
    return [sample.entropy[2] for sample in samples]


def test_what_is_yielded_is_an_int_with_seed_stream_and_position():
    first = next(iter(make(ExactInfiniteSampler, 5)))
    assert isinstance(first, SampleIndex) and first in range(5)
    assert first.entropy == (7, Stream.SAMPLE, 0)
    again = pickle.loads(pickle.dumps(first))
    assert (type(again), again, again.entropy) == (SampleIndex, first, first.entropy)


def test_order_by_hand():
    """The order is part of the promise: a run of today is resumed by the code of tomorrow."""
    assert list(make(ExactSampler, 6)) == [1, 5, 4, 0, 2, 3]
    assert list(make(ExactSampler, 3, shuffle=False)) == [0, 1, 2]
    assert list(islice(make(ExactInfiniteSampler, 2, shuffle=False), 5)) == [0, 1, 0, 1, 0]


def test_epochs_and_seeds_have_their_own_orders():
    sampler = make(ExactSampler, 50)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    sampler.seed = 8
    assert list(sampler) not in (first, second)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 9), world_size=st.integers(1, 4), epoch=st.integers(0, 3))
def test_processes_share_an_epoch_and_fill_it_up_from_its_beginning(size, world_size, epoch):
    shares = []
    for rank in range(world_size):
        sampler = make(ExactSampler, size, rank=rank, world_size=world_size)
        sampler.set_epoch(epoch)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler) == -(-size // world_size)
    in_turn = [sample for turn in zip(*shares, strict=True) for sample in turn]
    assert sorted(in_turn[:size]) == list(range(size))
    assert in_turn[size:] == (in_turn[:size] * world_size)[: len(in_turn) - size]
    first = epoch * len(in_turn)
    assert positions(in_turn) == list(range(first, first + len(in_turn)))


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 9), world_size=st.integers(1, 4))
def test_processes_share_epochs_without_end(size, world_size):
    shares = [
        list(islice(make(ExactInfiniteSampler, size, rank=rank, world_size=world_size), 3 * size))
        for rank in range(world_size)
    ]
    in_turn = [sample for turn in zip(*shares, strict=True) for sample in turn]
    assert positions(in_turn) == list(range(3 * size * world_size))
    for first in range(0, len(in_turn), size):
        assert sorted(in_turn[first : first + size]) == list(range(size))


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 9), world_size=st.integers(1, 3), skip=st.integers(0, 40), data=st.data()
)
def test_it_begins_anywhere_once(size, world_size, skip, data):
    rank = data.draw(st.integers(0, world_size - 1))
    sampler = make(ExactInfiniteSampler, size, rank=rank, world_size=world_size)
    whole = list(islice(sampler, skip + 10))
    sampler.begin_at(epoch=0, skip=skip)
    rest = list(islice(sampler, 10))
    assert rest == whole[skip:] and positions(rest) == positions(whole)[skip:]
    assert list(islice(sampler, 10)) == whole[:10]

    sampler = make(ExactSampler, size, rank=rank, world_size=world_size)
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.set_epoch(0)
    sampler.begin_at(epoch=2, skip=skip)
    assert list(sampler) == whole[skip:]
    assert list(sampler) == whole


def test_a_seed_is_agreed_on_if_none_is_given():
    with mock.patch.object(exact_sampler, 'sync_random_seed', return_value=7):
        assert list(ExactSampler(range(6))) == [1, 5, 4, 0, 2, 3]


@pytest.mark.parametrize('workers', [0, 1])
def test_a_plain_loader_takes_it(workers):
    loader = DataLoader(
        range(6), batch_size=2, sampler=make(ExactSampler, 6), num_workers=workers, collate_fn=list
    )
    assert list(loader) == [[1, 5], [4, 0], [2, 3]]
