"""What the runner makes of configs, loaders and checkpoints before MMEngine sees them."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets import SeededDataset
from mmdet_multigrain.datasets.samplers import ExactInfiniteSampler, ExactSampler
from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.engine.runner import runner as module
from mmdet_multigrain.engine.runner.stop_request import begin_worker

from .test_runner import unbuilt


@pytest.mark.parametrize('kind', [Config, dict])
def test_a_copy_of_the_config_is_resolved(monkeypatch, kind):
    resolved = []
    monkeypatch.setattr(module, 'resolve', resolved.append)
    monkeypatch.setattr(Runner, 'from_cfg', classmethod(lambda cls, cfg: (cls, cfg)))
    given = kind(dict(a=dict(b=1)))
    built, cfg = MultigrainRunner.from_cfg(given)
    assert built is MultigrainRunner and isinstance(cfg, Config) and resolved == [cfg]
    cfg.a.b = 2
    assert given['a']['b'] == 1


@pytest.mark.parametrize(
    ('sampler', 'seeded'),
    [
        (dict(type='ExactSampler'), True),
        (dict(type=ExactInfiniteSampler), True),
        (dict(type='DefaultSampler'), False),
        (dict(type=DefaultSampler), False),
        (dict(type='NoSuchSampler'), False),
        (dict(type=None), False),
        (DefaultSampler, False),
        (None, False),
    ],
)
def test_samples_are_seeded_where_their_places_are_known(monkeypatch, sampler, seeded):
    built = []

    def build(dataloader, **options):
        built.append((dataloader, options))

    monkeypatch.setattr(Runner, 'build_dataloader', staticmethod(build))
    given = dict(dataset='data', num_workers=2, disable_subprocess_warning=True)
    if sampler is not None:
        given['sampler'] = sampler
    before = copy.copy(given)
    MultigrainRunner.build_dataloader(given, seed=3)
    MultigrainRunner.build_dataloader(dict(dataset='data', worker_init_fn='own'))
    (loader, options), (other, _) = built
    assert loader['dataset'] == (dict(type=SeededDataset, dataset='data') if seeded else 'data')
    assert loader['worker_init_fn'] == dict(
        type=begin_worker, num_workers=2, rank=0, seed=3, disable_subprocess_warning=True
    )
    assert 'disable_subprocess_warning' not in loader and options == dict(seed=3)
    assert given == before
    assert other == dict(dataset='data', worker_init_fn='own')


def test_workers_by_default(monkeypatch):
    monkeypatch.setattr(Runner, 'build_dataloader', staticmethod(lambda dataloader: dataloader))
    begin = MultigrainRunner.build_dataloader(dict(dataset='data'))['worker_init_fn']
    assert begin == dict(
        type=begin_worker, num_workers=0, rank=0, seed=None, disable_subprocess_warning=False
    )


def test_a_loader_that_is_built_stays():
    loader = DataLoader(range(3), sampler=ExactSampler(range(3), seed=0))
    assert MultigrainRunner.build_dataloader(loader, seed=3) is loader


@pytest.mark.parametrize(
    ('meta', 'expected'), [(dict(config='import os', iter=1), dict(iter=1)), ({}, {}), (None, None)]
)
def test_the_config_in_a_checkpoint_is_not_run(monkeypatch, meta, expected):
    asked = []

    def load(self, filename, *args, **kwargs):
        asked.append((filename, args, kwargs))
        return dict(meta=meta, state_dict=1)

    monkeypatch.setattr(Runner, 'load_checkpoint', load)
    found = unbuilt().load_checkpoint('a.pth', 'cpu', strict=True)
    assert found == dict(meta=expected, state_dict=1)
    assert asked == [('a.pth', ('cpu',), dict(strict=True))]


@pytest.mark.parametrize('method', ['train', 'val', 'test'])
def test_results_and_other_errors_pass(monkeypatch, method):
    def fail(self):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(MultigrainRunner, '_log_speed', lambda self: None)
    monkeypatch.setattr(Runner, method, lambda self: 'result')
    assert getattr(unbuilt(_hooks=[]), method)() == 'result'
    monkeypatch.setattr(Runner, method, fail)
    with pytest.raises(RuntimeError, match='^out of memory$'):
        getattr(unbuilt(_hooks=[]), method)()


@pytest.mark.parametrize(
    ('resume', 'last', 'trains', 'begins_again', 'writes'),
    [
        ('auto', None, True, True, True),
        (True, 'iter_1.pth', True, False, True),
        (False, None, True, False, True),
        (False, None, False, False, False),
        ('auto', None, False, True, False),
    ],
)
def test_what_a_training_asks_of_its_folder(
    monkeypatch, tmp_path, resume, last, trains, begins_again, writes
):
    """A start that begins again may find what the killed one left; a test asks and writes nothing."""
    monkeypatch.setattr(module, 'choose_checkpoint', lambda named, folder, warn: last)
    monkeypatch.setattr(Runner, 'load_or_resume', lambda self: done.append('load'))
    checked, done = [], []
    monkeypatch.setattr(module, 'refuse_used', checked.append)
    runner = unbuilt(
        _resume=resume,
        _load_from=None,
        _has_loaded=False,
        _work_dir=str(tmp_path),
        _is_training=trains,
        logger=SimpleNamespace(warning=None),
    )
    runner._write_config = lambda: done.append('write')
    runner.load_or_resume()
    assert getattr(runner, 'begins_again', False) is begins_again
    assert done == ['load'] + ['write'] * writes  # not before: a refusal must not cost the old one
    new_run = trains and not begins_again and not last
    assert len(checked) == (1 if new_run or (trains and last) else 0)


def test_the_checkpoint_of_the_folder_continues_its_run(monkeypatch, tmp_path):
    refused = []
    monkeypatch.setattr(module, 'refuse_used', refused.append)
    for load_from, resume, loaded, expected in (
        (tmp_path / 'iter_1.pth', True, False, 0),
        (tmp_path / 'iter_1.pth', False, False, 1),
        (tmp_path / 'below' / 'iter_1.pth', True, False, 1),
        (tmp_path / 'iter_1.pth', False, True, 0),
    ):
        runner = unbuilt(_work_dir=str(tmp_path), _resume=resume, _load_from=str(load_from))
        runner._has_loaded = loaded
        runner._check_work_dir()
        assert len(refused) == expected
        refused.clear()
