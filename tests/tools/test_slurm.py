"""slurm_train.sh and slurm_test.sh, with fake programs for srun and scontrol."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

from .conftest import REPOSITORY, options, start

# Notes how it is called; starts as many tasks as the test says.
SRUN = r"""#!/bin/bash
printf '%s\n' "$@" >"$RECORD"
while [[ $1 == -* ]]; do shift; done
for ((task = 0; task < ${TASKS:-0}; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_NTASKS=$TASKS SLURM_NODELIST='here-[1]' "$@" &
    tasks+=($!)
done
status=0
for task in "${tasks[@]}"; do wait "$task" || status=$?; done
exit $status
"""
SCONTROL = '#!/bin/sh\n[ "$*" = "show hostnames here-[1]" ] && echo localhost\n'
TRAIN = ('slurm_train.sh', 'part', 'job', 'a b.py', 'work dir', '--cfg-options', 'x=[1, 2]')
TEST = ('slurm_test.sh', 'part', 'job', 'a b.py', 'e f.pth', '--tta')


@pytest.fixture
def slurm(tmp_path):
    """Calls one of the scripts; the result, and the words that srun got."""
    programs = tmp_path / 'programs'
    programs.mkdir()
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def call(script: str, *arguments: object, **environment: str):
        record = tmp_path / 'record'
        path = f'{programs}:{Path(sys.executable).parent}:{os.environ["PATH"]}'
        variables = {'PATH': path, 'RECORD': str(record), **environment}
        result = start('bash', REPOSITORY / 'tools' / script, *arguments, **variables)
        return result, record.read_text().splitlines() if record.exists() else []

    return call


@pytest.mark.parametrize(
    ('call', 'environment', 'resources', 'command'),
    [
        (TRAIN, {}, (8, 8, 5), ['a b.py', '--work-dir', 'work dir', *TRAIN[5:]]),
        (TRAIN, {'GPUS': '16', 'CPUS_PER_TASK': '3'}, (16, 8, 3), None),
        (TEST, {'GPUS': '2'}, (2, 2, 5), ['a b.py', 'e f.pth', '--tta']),
        (TEST, {'GPUS': '4', 'GPUS_PER_NODE': '1', 'SRUN_ARGS': '-q  long'}, (4, 1, 5), None),
    ],
)
def test_what_srun_is_asked_for(slurm, call, environment, resources, command):
    result, words = slurm(*call, **environment)
    assert result.status == 0, result.err
    tasks, per_node, cores = resources
    asked = [
        '--partition=part', '--job-name=job', f'--gres=gpu:{per_node}', f'--ntasks={tasks}',
        f'--ntasks-per-node={per_node}', f'--cpus-per-task={cores}', '--kill-on-bad-exit=1',
        *environment.get('SRUN_ARGS', '').split(),
    ]  # fmt: skip
    assert words[: len(asked)] == asked
    python, unbuffered, tool, *rest = words[len(asked) :]
    assert Path(python).name == 'python' and unbuffered == '-u'
    assert Path(tool) == REPOSITORY / 'tools' / call[0].replace('slurm_', '').replace('.sh', '.py')
    assert rest[-2:] == ['--launcher', 'slurm']
    assert command in (None, rest[:-2])


@pytest.mark.parametrize(('script', 'last'), [(TRAIN[0], 'WORK_DIR'), (TEST[0], 'CKPT')])
def test_too_few_arguments_start_nothing(slurm, script, last):
    result, words = slurm(script, 'part', 'job', 'config.py')
    assert result.status == 2 and words == []
    assert result.err.startswith(f'usage: bash tools/{script} PARTITION JOB_NAME CONFIG {last} [')


def test_without_slurm(tmp_path):
    result = start('/bin/bash', REPOSITORY / 'tools' / TRAIN[0], *TRAIN[1:], PATH='/usr/bin:/bin')
    assert result.status == 2
    assert result.err == (
        'error: srun was not found; without SLURM: bash tools/dist_train.sh, dist_test.sh\n'
    )


@pytest.mark.long
def test_two_tasks_on_cpus_train_and_test_one_detector(slurm, garment_data, config, tmp_path):
    with socket.create_server(('localhost', 0)) as server:
        port = str(server.getsockname()[1])
    variables = dict(TASKS='2', GPUS='2', MASTER_PORT=port)
    run, data = tmp_path / 'run', options(garment_data)
    result, _ = slurm(TRAIN[0], 'part', 'job', config, run, '--seed', 0, *data, **variables)
    assert result.status == 0, result.err
    assert result.iterations == [(1, 2), (2, 2)]  # only the first process talks
    checkpoint = run / 'iter_2.pth'
    assert read_checkpoint(str(checkpoint))['meta']['exact_resume']['processes'] == 2
    more = ['--work-dir', tmp_path / 'test', *options(garment_data)]
    result, _ = slurm(TEST[0], 'part', 'job', config, checkpoint, *more, **variables)
    assert result.status == 0, result.err
    assert (tmp_path / 'test' / 'result.json').is_file()
