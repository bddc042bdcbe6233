"""ExactAspectRatioBatchSampler: the batches of MMDetection's, beginning anywhere."""

from __future__ import annotations

from itertools import islice
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.dataset import InfiniteSampler

from mmdet_multigrain.datasets.samplers import (
    ExactAspectRatioBatchSampler,
    ExactInfiniteSampler,
    ExactSampler,
    exact_sampler,
)


class Photos:
    """A data set of which only the sizes are known; to load an image fails."""

    def __init__(self, upright):
        self.upright = upright

    def __len__(self):
        return len(self.upright)

    def get_data_info(self, index):
        return dict(width=2, height=3) if self.upright[index] else dict(width=3, height=3)


def samplers(kind, upright, *, rank=0, world_size=1):
    with mock.patch.object(exact_sampler, 'get_dist_info', return_value=(rank, world_size)):
        return kind(Photos(upright), seed=3)


def test_by_hand():
    sampler = samplers(ExactSampler, [True, False, True, True, False])
    sampler.shuffle = False
    batches = list(ExactAspectRatioBatchSampler(sampler, 2))
    assert batches == [[0, 2], [1, 4], [3]]
    assert [[sample.entropy[2] for sample in batch] for batch in batches] == batches
    assert list(ExactAspectRatioBatchSampler(sampler, 2, drop_last=True)) == [[0, 2], [1, 4]]


@settings(max_examples=80, deadline=None)
@given(
    upright=st.lists(st.booleans(), min_size=1, max_size=12),
    batch_size=st.integers(1, 4),
    world_size=st.integers(1, 2),
    skip=st.integers(0, 25),
)
def test_batches_without_end_are_those_of_the_stock_sampler(upright, batch_size, world_size, skip):
    sampler = samplers(ExactInfiniteSampler, upright, rank=world_size - 1, world_size=world_size)
    number = skip + 10
    expected = list(islice(AspectRatioBatchSampler(sampler, batch_size), number))
    batches = ExactAspectRatioBatchSampler(sampler, batch_size)
    assert list(islice(batches, number)) == expected
    batches.begin_at(epoch=0, batch=skip)
    found = list(islice(batches, number - skip))
    assert found == expected[skip:]
    assert [[sample.entropy for sample in batch] for batch in found] == [
        [sample.entropy for sample in batch] for batch in expected[skip:]
    ]


@settings(max_examples=80, deadline=None)
@given(
    upright=st.lists(st.booleans(), min_size=1, max_size=12),
    batch_size=st.integers(1, 4),
    epoch=st.integers(0, 2),
    skip=st.integers(0, 12),
)
def test_batches_of_an_epoch_hold_each_image_once(upright, batch_size, epoch, skip):
    sampler = samplers(ExactSampler, upright)
    sampler.set_epoch(epoch)
    batches = ExactAspectRatioBatchSampler(sampler, batch_size)
    whole = list(batches)
    assert len(whole) == len(batches)
    assert sorted(sum(whole, [])) == list(range(len(upright)))
    assert sorted(map(sorted, whole)) == sorted(
        map(sorted, AspectRatioBatchSampler(sampler, batch_size))
    )
    batches.begin_at(epoch=epoch, batch=skip)
    assert list(batches) == whole[skip:]
    dropping = ExactAspectRatioBatchSampler(sampler, batch_size, drop_last=True)
    expected = [batch for batch in whole if len(batch) == batch_size]
    assert list(dropping) == expected and len(dropping) == len(expected)


def test_another_sampler_is_refused_with_the_fix():
    with pytest.raises(ValueError, match=r'not on a InfiniteSampler; set train_dataloader\.'):
        ExactAspectRatioBatchSampler(InfiniteSampler(Photos([True]), seed=0), 2)
