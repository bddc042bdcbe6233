"""The position of a run: seeds of processes, loaders set to a batch, steps of the optimizer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import LinearLR, LinearMomentum
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from mmdet_multigrain.datasets.samplers import (
    ExactAspectRatioBatchSampler,
    ExactInfiniteSampler,
    ExactSampler,
)
from mmdet_multigrain.engine.runner.positions import (
    VALIDATED,
    begin_at,
    between_steps,
    exact_sampler,
    is_validated,
    replay_schedule,
    run_seed,
)
from mmdet_multigrain.utils.errors import ConfigError


class Photos(list):
    """Numbers as images, of which every third is upright."""

    def get_data_info(self, index):
        return dict(width=2, height=3 if index % 3 == 0 else 1)


def loader(kind, *, by_shape):
    data = Photos(range(12))
    sampler = kind(data, seed=0)
    if by_shape:
        batches = ExactAspectRatioBatchSampler(sampler, 2)
        return DataLoader(data, batch_sampler=batches, collate_fn=list)
    return DataLoader(data, batch_size=2, sampler=sampler, collate_fn=list)


@pytest.mark.parametrize('by_shape', [False, True])
def test_an_epoch_begins_at_any_batch(by_shape):
    whole = loader(ExactSampler, by_shape=by_shape)
    begin_at(whole, seed=4, epoch=2, batch=0)
    expected = list(whole)
    part = loader(ExactSampler, by_shape=by_shape)
    begin_at(part, seed=4, epoch=2, batch=4)
    assert list(part) == expected[4:] and len(expected) == 6
    for other in (dict(seed=5, epoch=2), dict(seed=4, epoch=1)):
        begin_at(part, batch=0, **other)
        assert list(part) != expected


@pytest.mark.parametrize('by_shape', [False, True])
def test_without_end(by_shape):
    def first(batch):
        endless = loader(ExactInfiniteSampler, by_shape=by_shape)
        begin_at(endless, seed=4, epoch=0, batch=batch)
        return [next(iterator) for iterator in [iter(endless)] for _ in range(9 - batch)]

    assert first(7) == first(0)[7:]


def test_what_cannot_begin_anywhere():
    data = Photos(range(4))
    others = (
        DataLoader(data, batch_size=2),
        DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 2, False)),
        SimpleNamespace(batch_sampler=object()),
    )
    for other in others:
        assert exact_sampler(other) is None
    with pytest.raises(ConfigError, match='^SequentialSampler cannot begin at an iteration'):
        begin_at(others[0], seed=0, epoch=0, batch=0)

    class Own(BatchSampler):
        """Not torch's: it may reorder what it gets."""

    sampler = ExactSampler(data, seed=0)
    own = DataLoader(data, batch_sampler=Own(sampler, 2, False))
    assert exact_sampler(own) is None
    for by_shape in (True, False):
        assert isinstance(exact_sampler(loader(ExactSampler, by_shape=by_shape)), ExactSampler)


def test_all_processes_share_the_seed():
    for differs, seed in ((False, 9), (True, 7)):
        runner = SimpleNamespace(seed=9, rank=2, _randomness_cfg=dict(diff_rank_seed=differs))
        assert run_seed(runner) == seed
    assert run_seed(SimpleNamespace(seed=9, rank=2, _randomness_cfg={})) == 9


def test_the_model_as_it_is_now():
    hub = MessageHub('positions')
    hub.update_info(VALIDATED, 4)
    assert is_validated(SimpleNamespace(message_hub=hub, iter=4))
    assert not is_validated(SimpleNamespace(message_hub=hub, iter=5))


@pytest.mark.parametrize(
    ('steps', 'iteration', 'expected'),
    [(1, 3, False), (2, 3, True), (2, 4, False), (2, 7, False), (3, 4, True)],
)
def test_between_two_steps(steps, iteration, expected):
    optimizer = SimpleNamespace(_accumulative_counts=steps)
    runner = SimpleNamespace(optim_wrapper=optimizer, max_iters=7)
    assert between_steps(runner, iteration) is expected
    assert not between_steps(SimpleNamespace(optim_wrapper=None, max_iters=7), iteration)


@pytest.mark.parametrize('by_name', [False, True])
def test_schedulers_of_several_values_are_replayed(by_name):
    """Each from the value that it began with, not from that of the checkpoint."""

    def made():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
        options = dict(by_epoch=False, begin=0, end=5)
        rate = LinearLR(optimizer, start_factor=0.1, **options)
        return optimizer.param_groups[0], [rate, LinearMomentum(optimizer, 0.5, **options)]

    expected, schedulers = made()
    for scheduler in schedulers * 2:
        scheduler.step()
    found, schedulers = made()
    found.update(lr=7.0, momentum=0.1)
    runner = SimpleNamespace(
        param_schedulers=dict(zip('ab', [[one] for one in schedulers], strict=True))
        if by_name
        else schedulers,
        epoch=0,
        iter=2,
        train_dataloader=range(9),
    )
    replay_schedule(runner)
    assert (found['lr'], found['momentum']) == (expected['lr'], expected['momentum'])
    assert found['lr'] < 1 and found['momentum'] < 0.9
    replay_schedule(SimpleNamespace(param_schedulers=None, epoch=0, iter=2, train_dataloader=[]))
