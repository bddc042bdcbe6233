"""The length of a run: what is a part of it, what a warm-up is, and what is undone."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdet_multigrain.engine.runner.run_length import (
    reset_schedule,
    resolve_length,
    schedule_of,
    world_size,
)


def resolved(length=200, *, scheduler=(), **entries):
    cfg = Config(dict(max_iters=length, param_scheduler=list(scheduler), **entries))
    resolve_length(cfg, from_data=False)
    return cfg


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (0.5, 100),
        (1.0, 200),
        (0.001, 1),  # at least one
        (0.0126, 3),  # rounded
        (1, 1),
        (7, 7),
        (1.5, 1.5),
        (-1, -1),
        (0, 1),
    ],
)
def test_intervals(value, expected):
    entries = dict(
        train_cfg=dict(val_interval=value),
        default_hooks=dict(checkpoint=dict(interval=value), logger=dict(interval=value)),
    )
    cfg = resolved(**entries)
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == expected
    assert cfg.default_hooks.logger.interval == value


def test_places_of_schedulers():
    cosine = dict(type='CosineAnnealingLR', begin=0.25, end=1.0, T_max=0.5)
    steps = dict(type='MultiStepLR', begin=0, end=7, milestones=[0.5, 0.75, 3, 1.0])
    found = resolved(scheduler=[cosine, steps]).param_scheduler
    assert found[0] == dict(type='CosineAnnealingLR', begin=50, end=200, T_max=0.5)
    assert found[1] == dict(type='MultiStepLR', begin=0, end=7, milestones=[100, 150, 3, 200])


WARM_UP = dict(type='LinearLR', start_factor=0.1, begin=0, end=50)


@pytest.mark.parametrize(
    ('change', 'length', 'end'),
    [
        ({}, 200, 20),
        ({}, 500, 50),
        ({}, 501, 50),
        ({}, 499, 49),
        ({}, 5, 1),
        (dict(begin=1), 200, 50),
        (dict(type='PolyLR'), 200, 50),
        (dict(start_factor=1.0), 200, 50),
        (dict(start_factor=0.5, end_factor=0.5), 200, 50),
        (dict(start_factor=0.5, end_factor=0.6), 200, 20),
        (dict(end=1.0), 200, 200),  # a part of the run, not a number of iterations
    ],
)
def test_a_warm_up_is_a_tenth_at_most(change, length, end):
    found = resolved(length, scheduler=[{**WARM_UP, **change}]).param_scheduler[0]
    assert found['end'] == end


def test_defaults_of_a_warm_up():
    found = resolved(scheduler=[dict(type='LinearLR', end=50)]).param_scheduler[0]
    assert found['end'] == 20  # MMEngine begins at a third, in the first iteration


def test_only_the_decay_behind_the_warm_up_moves_with_it():
    behind = dict(type='CosineAnnealingLR', begin=50, end=1.0)
    later = dict(type='CosineAnnealingLR', begin=60, end=50)
    found = resolved(scheduler=[WARM_UP, behind, later]).param_scheduler
    assert [(one['begin'], one['end']) for one in found] == [(0, 20), (20, 200), (60, 50)]


def test_without_a_length_everything_stays():
    entries = dict(train_cfg=dict(max_iters=None, val_interval=0.5))
    cfg = Config(entries)
    resolve_length(cfg, from_data=True)
    assert cfg.to_dict() == entries


def test_a_length_that_the_loop_has_stays():
    assert resolved(train_cfg=dict(max_iters=30)).train_cfg.max_iters == 30
    assert resolved(train_cfg=dict(max_iters=None)).train_cfg.max_iters == 200
    assert 'max_iters' not in resolved(train_cfg=dict(max_epochs=3)).train_cfg


@pytest.mark.parametrize('value', [0, -3, 'many', 0.0])
@pytest.mark.parametrize('key', ['epochs', 'max_iters'])
def test_lengths_that_cannot_be(key, value):
    with pytest.raises(ValueError, match=f'^{key}={value!r} is not a positive number'):
        resolve_length(Config({key: value}), from_data=False)


def test_what_was_set_is_undone_where_it_stands():
    entries = dict(
        train_cfg=dict(max_iters=None, val_interval=0.5),
        default_hooks=dict(checkpoint=dict(interval=0.25)),
    )
    cfg = Config(dict(max_iters=200, param_scheduler=[WARM_UP], **entries))
    before, schedule = cfg.to_dict(), schedule_of(cfg)
    resolve_length(cfg, from_data=False)
    cfg.train_cfg.val_interval = 17  # by the user since then
    reset_schedule(cfg, schedule, max_iters=200)
    assert cfg.train_cfg.val_interval == 17
    cfg.train_cfg.val_interval = 0.5
    assert cfg.to_dict() == before
    reset_schedule(cfg, schedule, max_iters=None)
    assert cfg.to_dict() == before


def test_a_schedule_holds_copies_of_what_there_is():
    steps = dict(type='MultiStepLR', milestones=[1, 2])
    cfg = Config(dict(train_cfg=dict(val_interval=3), param_scheduler=[steps]))
    schedule = schedule_of(cfg)
    assert schedule == {
        'train_cfg.val_interval': 3,
        'param_scheduler.0.type': 'MultiStepLR',
        'param_scheduler.0.milestones': [1, 2],
    }
    cfg.param_scheduler[0].milestones.append(3)
    assert schedule['param_scheduler.0.milestones'] == [1, 2]
    by_parameter = dict(lr=[steps])
    assert schedule_of(Config(dict(param_scheduler=by_parameter))) == {}
    assert schedule_of(Config({})) == {}


@pytest.mark.parametrize(('value', 'expected'), [(None, 1), ('', 1), ('3', 3)])
def test_processes(monkeypatch, value, expected):
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    if value is not None:
        monkeypatch.setenv('WORLD_SIZE', value)
    assert world_size(Config(dict(launcher='pytorch'))) == expected
    assert world_size(Config(dict(launcher='none'))) == world_size(Config({})) == 1
