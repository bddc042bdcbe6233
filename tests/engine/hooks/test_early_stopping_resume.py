"""Early stopping of a run that was interrupted: it ends where the whole one does."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EarlyStoppingHook
from torch.utils.data import DataLoader, Dataset

from benchmarks.reliability import tiny_run as tiny
from mmdet_multigrain.datasets.samplers import ExactInfiniteSampler
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.engine.hooks import ExactResumeHook


class Same(Dataset):
    """Twelve equal samples."""

    def __len__(self):
        return 12

    def __getitem__(self, number):
        return dict(inputs=torch.linspace(-1, 1, tiny.WIDTH))


def train(folder, scores, *, resume=False, **stopping):
    """A run that validates after each iteration; the number of its last one."""
    runner = tiny.build(folder, scores=scores, iterations=12)
    runner._train_dataloader = DataLoader(Same(), sampler=ExactInfiniteSampler(Same()))
    runner._train_loop = dict(type='ExactIterBasedTrainLoop', max_iters=12, val_interval=1)
    runner._resume = 'auto' if resume else False
    runner.register_hook(ExactResumeHook())
    runner.register_hook(EarlyStoppingHook(tiny.METRIC, rule='greater', **stopping))
    runner.train()
    return runner.iter


@pytest.mark.parametrize('killed', [1, 3])
@pytest.mark.parametrize(
    ('scores', 'stopping', 'last'),
    [
        ((0.9, *[0.1] * 11), dict(patience=3, min_delta=0.0), 4),
        ((0.1, 0.25, 0.4, 0.41, *[0.42] * 8), dict(patience=2, min_delta=0.1), 5),
        ((0.1, 0.2, 0.1, 0.1, 0.9, 0.1), dict(patience=9, stopping_threshold=0.5), 5),
    ],
)
def test_a_resumed_run_stops_where_the_whole_one_does(tmp_path, scores, stopping, last, killed):
    assert train(tmp_path / 'whole', scores, **stopping) == last

    def event(stage, path):
        if (stage, path.name) == ('open', f'iter_{killed + 1}.pth'):
            raise RuntimeError('killed')

    with tiny.events(event), pytest.raises(RuntimeError):
        train(tmp_path / 'run', scores, **stopping)
    assert train(tmp_path / 'run', scores, resume=True, **stopping) == last
    assert train(tmp_path / 'run', scores, resume=True, **stopping) == last  # it has ended


def test_checkpoints_hold_what_early_stopping_has_counted(tmp_path):
    train(tmp_path / 'run', (0.9, 0.1, 0.1), patience=2)
    meta = read_checkpoint(str(tmp_path / 'run' / 'iter_3.pth'))['meta']
    assert meta['early_stopping'] == [(1, 0.9)]
    hook, runner = EarlyStoppingHook(tiny.METRIC, rule='greater'), SimpleNamespace(_resume=True)
    runner.hooks, runner._load_from = [hook], 'iter_3.pth'
    runner.logger = SimpleNamespace(warning=lambda line: None)
    ExactResumeHook().after_load_checkpoint(runner, {'meta': {'early_stopping': [(1, 0.9)]}})
    assert (hook.wait_count, hook.best_score) == (1, 0.9)
    runner._resume, hook.wait_count, hook.best_score = False, 0, -math.inf
    ExactResumeHook().after_load_checkpoint(runner, {'meta': {'early_stopping': [(1, 0.9)]}})
    assert (hook.wait_count, hook.best_score) == (0, -math.inf)
