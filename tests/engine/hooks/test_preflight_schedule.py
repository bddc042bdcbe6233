"""Learning rate and length of a run, as the preflight tells them."""

import pytest
import torch
from mmengine.hooks import CheckpointHook

from mmdet_multigrain.engine.hooks import PreflightHook
from mmdet_multigrain.engine.hooks.preflight_hook import (
    learning_rate_line,
    length_line,
)

from .preflight_cases import runner_of

BASE = dict(base_batch_size=24, enable=False)
ON = dict(base_batch_size=24, enable=True)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), '0.005 after warm-up, for batches of 3 images'),
        (dict(batch=3, processes=8, scaling=BASE), '0.005 after warm-up, for batches of 24 images'),
        (
            dict(scaling=BASE),
            '0.005 after warm-up, for batches of 3 images; the schedule is for '
            '24: auto_scale_lr gives 0.000625',
        ),
        (
            dict(processes=2, scaling=BASE),
            '0.005 after warm-up, for batches of 6 images; the '
            'schedule is for 24: auto_scale_lr gives 0.00125',
        ),
        (
            dict(lr=0.000625, scaling=ON),
            '0.000625 after warm-up, for batches of 3 images; scaled from the schedule for 24 (the '
            'number of iterations is not scaled)',
        ),
        (
            dict(processes=2, steps=4, scaling=BASE),
            '0.005 after warm-up, for batches of 24 images (4 steps accumulated)',
        ),
        (
            dict(steps=4, scaling=BASE),
            '0.005 after warm-up, for batches of 12 images (4 steps accumulated); the schedule is for '
            '24: linear scaling gives 0.0025',
        ),
        (
            dict(steps=4, lr=0.000625, scaling=ON),
            '0.000625 after warm-up, for batches of 12 images (4 steps accumulated); scaled from the '
            'schedule for 24 (the number of iterations is not scaled): linear scaling gives 0.0025',
        ),
        (
            dict(lr=0.1, scaling=dict(base_batch_size=3)),
            '0.1 after warm-up, for batches of 3 images',
        ),
    ],
)
def test_learning_rate(options, expected):
    assert learning_rate_line(runner_of(**options)) == f'Learning rate {expected}'


def test_learning_rate_after_a_warm_up_began():
    runner = runner_of(lr=0.005)
    torch.optim.lr_scheduler.LinearLR(runner.optim_wrapper.optimizer, start_factor=0.001)
    assert runner.optim_wrapper.param_groups[1]['lr'] < 1e-5
    assert learning_rate_line(runner).startswith('Learning rate 0.005 ')


def test_mmengine_scales_as_the_line_says():
    """The figure after auto_scale_lr is what MMEngine then takes."""
    from mmengine.runner import Runner

    before = runner_of(batch=3, processes=2, scaling=BASE)
    after = runner_of(batch=3, processes=2, scaling=ON)
    after._train_dataloader = dict(batch_size=3)
    after.param_schedulers = None
    Runner.scale_lr(after, after.optim_wrapper, ON)
    rate = after.optim_wrapper.param_groups[1]['lr']
    assert learning_rate_line(before).endswith(f'auto_scale_lr gives {rate:g}')
    assert f'Learning rate {rate:g} ' in learning_rate_line(after)


@pytest.mark.parametrize(
    ('hook', 'expected'),
    [
        (dict(by_epoch=False, interval=50), '; 3 checkpoints, every 50 iterations'),
        (dict(by_epoch=True, interval=2), '; 3 checkpoints, every 2 epochs'),
        (dict(by_epoch=False, interval=-1), ''),
    ],
)
def test_length(hook, expected):
    hooks = [PreflightHook(), CheckpointHook(**hook)]
    runner = runner_of(batch=4, processes=2, train=range(64), hooks=hooks)
    line = 'Run of 120 iterations with 8 images each: 15 epochs of 64 images'
    assert length_line(runner) == line + expected
