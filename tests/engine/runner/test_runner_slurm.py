"""What torch's process group gets from SLURM's variables."""

from __future__ import annotations

import subprocess

import pytest

from mmdet_multigrain.engine.runner.runner import _meeting_point_of_slurm

TASK = {'SLURM_PROCID': '5', 'SLURM_NTASKS': '8', 'SLURM_LOCALID': '1', 'SLURM_NODELIST': 'n[3-4]'}


@pytest.mark.parametrize(
    ('given', 'address', 'port'),
    [({}, 'n3', '29500'), ({'MASTER_ADDR': 'here', 'MASTER_PORT': '1234'}, 'here', '1234')],
)
def test_a_task_of_a_job(monkeypatch, given, address, port):
    hosts = {('scontrol', 'show', 'hostnames', 'n[3-4]'): 'n3\nn4\n'}
    monkeypatch.setattr(subprocess, 'check_output', lambda command, text: hosts[tuple(command)])
    for name, value in {**TASK, **given}.items():
        monkeypatch.setenv(name, value)
    for name in {'MASTER_ADDR', 'MASTER_PORT'} - given.keys():
        monkeypatch.delenv(name, raising=False)
    assert _meeting_point_of_slurm() == {
        'MASTER_ADDR': address,
        'MASTER_PORT': port,
        'RANK': '5',
        'WORLD_SIZE': '8',
        'LOCAL_RANK': '1',
    }
