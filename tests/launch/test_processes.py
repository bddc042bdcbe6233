"""Which processes start how."""

import os

import pytest
import torch
from mmengine.config import Config

from mmdet_multigrain import launch


@pytest.fixture
def groups(monkeypatch):
    """Process groups that were asked for."""
    calls = []
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda **kwargs: calls.append(kwargs)
    )
    return calls


@pytest.mark.parametrize('cuda', [True, False])
def test_one_process(groups, monkeypatch, cuda):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    cfg = Config(dict(custom_hooks=[]))
    launch.start_processes(cfg, 'none')
    assert cfg.to_dict() == dict(launcher='none', custom_hooks=[]) and groups == []


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_processes_with_gpus_are_left_to_mmengine(groups, monkeypatch, launcher):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config(dict(custom_hooks=[dict(type='PreflightHook')]))
    launch.start_processes(cfg, launcher)
    assert cfg.launcher == launcher and 'model_wrapper_cfg' not in cfg and groups == []
    assert [hook.type for hook in cfg.custom_hooks] == ['PreflightHook', 'SameBuffersHook']


def test_processes_on_cpus(groups, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = Config(dict(find_unused_parameters=True))
    launch.start_processes(cfg, 'pytorch')
    assert groups == [dict(backend='gloo')]
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True,
    )


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_launchers_that_need_gpus(groups, monkeypatch, launcher):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match=f'--launcher {launcher} needs GPUs; on CPUs use'):
        launch.start_processes(Config(), launcher)
    assert groups == []


def test_local_rank(monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    launch.set_local_rank(2)
    assert os.environ['LOCAL_RANK'] == '2'
    launch.set_local_rank(0)  # what torchrun has set counts
    assert os.environ['LOCAL_RANK'] == '2'
    monkeypatch.delenv('LOCAL_RANK')
