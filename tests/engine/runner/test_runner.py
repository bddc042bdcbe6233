"""The runner on CPUs, alone and as one of several processes; its registered name."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn

from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.engine.hooks import MatmulPrecisionHook, PreflightHook, SameBuffersHook
from mmdet_multigrain.engine.runner import runner as module
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError, LostProcessError


def unbuilt(**attributes):
    """A runner of which nothing but some attributes is there."""
    runner = object.__new__(MultigrainRunner)
    vars(runner).update(dict(cfg=Config()) | attributes)
    return runner


@pytest.fixture
def groups(monkeypatch):
    """Process groups that were asked for; MMEngine's part of the set-up is left out."""
    calls = []
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda **kwargs: calls.append(kwargs)
    )
    monkeypatch.setattr(Runner, 'setup_env', lambda self, env_cfg: calls.append('MMEngine'))
    return calls


@pytest.mark.parametrize('call', ['train', 'val', 'test'])
@pytest.mark.parametrize('error', [ValueError, RuntimeError, SystemExit])
def test_a_run_that_fails_leaves_the_precision_as_it_was(monkeypatch, call, error):
    """MMEngine calls no hook then."""
    seen = []

    def run(self):
        self._hooks[0].before_run(self)
        seen.append(torch.get_float32_matmul_precision())
        raise error

    monkeypatch.setattr(Runner, call, run)
    runner = unbuilt(_hooks=[MatmulPrecisionHook('medium')], model=nn.Linear(1, 1))
    runner.logger = SimpleNamespace(info=str)
    before = torch.get_float32_matmul_precision()
    try:
        with pytest.raises(error):
            getattr(runner, call)()
        assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == ['medium'] != [before]


def test_stock_tools_find_it():
    assert RUNNERS.get('MultigrainRunner') is MultigrainRunner


@pytest.mark.parametrize(
    ('device', 'launcher', 'expected'),
    [
        ('cpu', 'none', ['MMEngine']),
        ('cpu', 'pytorch', [dict(backend='gloo'), 'MMEngine']),
        ('cpu', 'slurm', [dict(backend='gloo'), 'MMEngine']),
        ('cuda', 'pytorch', ['MMEngine']),
        ('cuda', 'slurm', ['MMEngine']),
    ],
)
def test_process_group(groups, monkeypatch, device, launcher, expected):
    monkeypatch.setattr(module, 'get_device', lambda: device)
    runner = unbuilt(_launcher=launcher, _distributed=launcher != 'none')
    task = dict(SLURM_PROCID='1', SLURM_NTASKS='2', SLURM_LOCALID='1', MASTER_ADDR='here')
    with mock.patch.dict(os.environ, task):
        runner.setup_env({})
        assert (os.environ.get('RANK') == '1') is ((device, launcher) == ('cpu', 'slurm'))
    assert groups == expected


@pytest.mark.parametrize(('launcher', 'rank'), [('mpi', '3'), ('pytorch', '0')])
def test_processes_of_mpi_know_their_device(groups, monkeypatch, launcher, rank):
    monkeypatch.setattr(module, 'get_device', lambda: 'cuda')
    monkeypatch.setenv('LOCAL_RANK', '0')  # as tools set it
    monkeypatch.setenv('OMPI_COMM_WORLD_LOCAL_RANK', '3')
    unbuilt(_launcher=launcher, _distributed=True).setup_env({})
    assert os.environ['LOCAL_RANK'] == rank


def test_mpi_needs_gpus(groups, monkeypatch):
    monkeypatch.setattr(module, 'get_device', lambda: 'cpu')
    with pytest.raises(ConfigError, match="^launcher='mpi' needs GPUs; on CPUs start"):
        unbuilt(_launcher='mpi', _distributed=True).setup_env({})
    assert groups == []


@pytest.mark.parametrize(
    ('device', 'distributed', 'given', 'expected'),
    [
        ('cpu', False, None, None),
        ('cuda', True, None, None),
        ('cpu', True, None, dict(broadcast_buffers=False, find_unused_parameters=True)),
        (
            'cpu',
            True,
            dict(broadcast_buffers=True, static_graph=True),
            dict(broadcast_buffers=True, find_unused_parameters=True, static_graph=True),
        ),
    ],
)
def test_model_wrapper(monkeypatch, device, distributed, given, expected):
    seen = []
    monkeypatch.setattr(module, 'get_device', lambda: device)
    monkeypatch.setattr(Runner, 'wrap_model', lambda self, cfg, model: seen.append(cfg))
    runner = unbuilt(_distributed=distributed, cfg=dict(find_unused_parameters=True))
    runner.wrap_model(given, nn.Linear(1, 1))
    if expected is not None:
        expected = dict(expected, type='MMDistributedDataParallel', device_ids=None)
    assert seen == [expected]


@pytest.mark.parametrize('given', [dict(name='visualizer'), dict()])
def test_runs_of_one_process_have_their_own_scalars(tmp_path, given):
    for value, name in enumerate(['first', 'second', 'first']):
        runner = unbuilt(_log_dir=str(tmp_path / name), _experiment_name='experiment')
        backends = [dict(type='LocalVisBackend')]
        config = dict(type='MultiGrainedVisualizer', vis_backends=backends, **given)
        runner.build_visualizer(config).add_scalar('loss', value, step=value)
    written = {
        path.parts[-3]: [json.loads(line)['loss'] for line in path.read_text().splitlines()]
        for path in tmp_path.rglob('scalars.json')
    }
    assert written == dict(first=[0, 2], second=[1])


def test_a_visualizer_with_a_folder_keeps_its_name(tmp_path):
    runner = unbuilt(_log_dir=str(tmp_path / 'run'), _experiment_name='experiment')
    config = dict(type='MultiGrainedVisualizer', name='mine', save_dir=str(tmp_path))
    assert runner.build_visualizer(config).instance_name == 'mine'


@pytest.mark.parametrize(
    ('distributed', 'custom_hooks', 'count'),
    [(False, [], 0), (True, [], 1), (True, [SameBuffersHook()], 1)],
)
def test_several_processes_share_their_buffers(distributed, custom_hooks, count):
    runner = unbuilt(_distributed=distributed, _hooks=[])
    runner.register_hooks({}, custom_hooks)
    assert sum(isinstance(hook, SameBuffersHook) for hook in runner.hooks) == count


@pytest.mark.parametrize('method', ['train', 'val', 'test'])
def test_a_lost_process_is_told(monkeypatch, method):
    def fail(self):
        raise RuntimeError('[gloo] Connection closed by peer [127.0.0.1]:1')

    monkeypatch.setattr(Runner, method, fail)
    monkeypatch.setattr(MultigrainRunner, '_log_speed', lambda self: None)
    with pytest.raises(LostProcessError, match='^another process of this run ended'):
        getattr(unbuilt(_hooks=[]), method)()


@pytest.mark.parametrize('method', ['val', 'test'])
def test_early_stopping_does_not_build_the_training_of_a_test(monkeypatch, method):
    hook = PreflightHook()
    runner = unbuilt(_hooks=[EarlyStoppingHook('coco/bbox_mAP'), hook])
    monkeypatch.setattr(Runner, method, lambda self: self.hooks)
    assert getattr(runner, method)() == [hook]


@pytest.mark.parametrize(
    ('distributed', 'norm_eval', 'expected'),
    [(False, True, 'a, b'), (True, True, 'a, b'), (False, False, 'none')],
)
def test_options_for_speed_are_logged(monkeypatch, distributed, norm_eval, expected):
    model = nn.Module()
    model.backbone = SimpleNamespace(norm_eval=norm_eval)
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = model
    monkeypatch.setattr(
        module,
        'describe_options',
        lambda cfg, *, device, norm_eval: ['a', 'b'] if norm_eval and device == 'cpu' else [],
    )
    monkeypatch.setattr(module, 'get_device', lambda: 'cpu')
    lines = []
    logger = SimpleNamespace(info=lines.append)
    unbuilt(model=wrapper if distributed else model, cfg=Config(), logger=logger)._log_speed()
    assert lines == [f'Options for speed: {expected}']


@pytest.mark.parametrize(
    ('resume', 'load_from', 'last', 'expected'),
    [
        (False, 'coco.pth', 'iter_1.pth', (False, 'coco.pth')),
        (True, None, 'iter_1.pth', (True, 'iter_1.pth')),
        (True, None, None, (False, None)),
        (True, 'named.pth', 'iter_1.pth', (True, 'named.pth')),
        ('auto', 'coco.pth', 'iter_1.pth', (True, 'iter_1.pth')),
        ('auto', 'coco.pth', None, (False, 'coco.pth')),
    ],
)
def test_what_is_resumed(monkeypatch, resume, load_from, last, expected):
    monkeypatch.setattr(module, 'choose_checkpoint', lambda named, folder, warn: named or last)
    monkeypatch.setattr(Runner, 'load_or_resume', lambda self: None)
    logger = SimpleNamespace(warning=None)
    runner = unbuilt(
        _resume=resume, _load_from=load_from, _has_loaded=False, _work_dir='', logger=logger
    )
    runner.load_or_resume()
    assert (runner._resume, runner._load_from) == expected


def written_configs(folder, filename, *texts):
    """Config files of the work folder after trainings with these configs, one after another."""
    for number, text in enumerate(texts):
        cfg = SimpleNamespace(filename=filename, pretty_text=text)
        logger = SimpleNamespace(info=lambda line: None)
        unbuilt(_work_dir=folder, cfg=cfg, _timestamp=f't{number}', logger=logger)._write_config()
    return {path.name: path.read_text().splitlines()[-1] for path in folder.glob('*.py')}


def test_training_replaces_its_own_config_only(tmp_path):
    assert written_configs(tmp_path, '/configs/mine.py', 'a = 1', 'a = 2') == {'mine.py': 'a = 2'}
    (tmp_path / 'other.py').write_text('user = 1')
    found = written_configs(tmp_path, '/configs/other.py', 'a = 3')
    assert found == {'mine.py': 'a = 2', 'other.py': 'user = 1', 'other_t0.py': 'a = 3'}


@pytest.mark.parametrize('text', ['user = 1', '# Complete config of a training, edited\na = 1'])
def test_the_config_that_is_trained_stays(tmp_path, text):
    (tmp_path / 'mine.py').write_text(text)
    found = written_configs(tmp_path, str(tmp_path / 'mine.py'), 'a = 2')
    assert found == {'mine.py': text.splitlines()[-1], 'mine_t0.py': 'a = 2'}


def test_the_config_that_a_run_wrote_can_continue_it(tmp_path):
    path = str(tmp_path / 'mine.py')
    written_configs(tmp_path, '/configs/mine.py', 'a = 1')
    assert written_configs(tmp_path, path, 'a = 1') == {'mine.py': 'a = 1'}
    assert written_configs(tmp_path, path, 'a = 2') == {'mine.py': 'a = 1', 'mine_t0.py': 'a = 2'}


def test_a_runner_that_only_tests_writes_no_config(tmp_path):
    cfg = SimpleNamespace(filename='mine.py', pretty_text='a = 1')
    unbuilt(_work_dir=tmp_path, cfg=cfg).dump_config()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize('resume', [False, True])
def test_a_training_that_is_refused_writes_no_config(monkeypatch, tmp_path, resume):
    """Also one that would continue the run of another folder here."""
    monkeypatch.setattr(module, 'choose_checkpoint', lambda named, folder, warn: named)
    (tmp_path / 'iter_4.pth').touch()
    runner = unbuilt(
        _resume=resume,
        _load_from='elsewhere/iter_2.pth',
        _has_loaded=False,
        _work_dir=str(tmp_path),
        _is_training=True,
        logger=SimpleNamespace(warning=None),
    )
    with pytest.raises(CheckpointError, match=r'already holds the checkpoints of a run \(iter_4'):
        runner.load_or_resume()
    assert [path.name for path in tmp_path.iterdir()] == ['iter_4.pth']
