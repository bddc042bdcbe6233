"""dist_train.sh and dist_test.sh: two processes on CPUs, and how the processes are started."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import REPOSITORY, SMALL, start

# A user's config next to their own module: each process notes what it has after each
# iteration and before validation.
RECORDER = """
import hashlib
import json
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


def digest(tensors):
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(tensor.detach().cpu().numpy().tobytes())
    return content.hexdigest()


@HOOKS.register_module()
class RecorderHook(Hook):
    priority = 'LOWEST'

    def __init__(self, folder):
        self.path = Path(folder, f'{get_rank()}.json')
        self.notes = dict(images=[], parameters=[])

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.notes['images'] += [sample.img_path for sample in data_batch['data_samples']]
        self.notes['parameters'].append(digest(runner.model.parameters()))

    def before_val(self, runner):
        self.notes['buffers'] = digest(runner.model.buffers())
        self.path.write_text(json.dumps(self.notes))
"""
CONFIG = """
_base_ = {base!r}
custom_imports = dict(
    imports=[
        'mmdet_multigrain.models',
        'mmdet_multigrain.datasets',
        'mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric',
        'mmdet_multigrain.engine',
        'recorder',
    ])
custom_hooks = [
    dict(type='PreflightHook'),
    dict(type='CheckpointReportHook'),
    dict(type='RecorderHook', folder={folder!r}),
]
"""


# Two processes of a script, as dist_launch.py starts those of train.py.
LAUNCH = """
import runpy, sys
tool = runpy.run_path({!r} + '/dist_launch.py')
sys.exit(tool['run']([*tool['meeting_point']({{}}), '--nproc-per-node=2', {!r}]))
"""


def launch(script: str, *arguments: object, **environment: str):
    """Run one of the two shell scripts."""
    return start('bash', REPOSITORY / 'tools' / script, *arguments, **environment)


@pytest.fixture
def dist_launch():
    """The module tools/dist_launch.py."""
    spec = importlib.util.spec_from_file_location(
        'dist_launch', REPOSITORY / 'tools' / 'dist_launch.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_processes_train_one_detector(garment_data, config, tmp_path):
    folder = tmp_path / 'with blanks'
    folder.mkdir()
    (folder / 'recorder.py').write_text(RECORDER)
    own = folder / 'own config.py'
    own.write_text(CONFIG.format(base=str(config), folder=str(folder)))
    result = launch(
        'dist_train.sh',
        own,
        2,
        '--seed',
        0,
        '--work-dir',
        folder / 'run',
        '--cfg-options',
        *SMALL,
        f'data_root={garment_data}',
        PYTHONPATH=str(folder),
    )
    assert result.status == 0 and result.err == ''
    assert result.iterations == [(1, 2), (2, 2)]  # only the first process talks
    assert 'for batches of 4 images' in result.out
    first, second = (json.loads((folder / f'{rank}.json').read_text()) for rank in (0, 1))
    assert len(first['images']) == 4 and not {*first['images']} & {*second['images']}
    assert first['parameters'] == second['parameters']
    assert first['parameters'][0] != first['parameters'][1]
    assert first['buffers'] == second['buffers']
    assert (folder / 'run' / 'iter_2.pth').is_file()


def test_two_processes_get_the_numbers_of_one(trained, tested, garment_data, config, tmp_path):
    result = launch(
        'dist_test.sh',
        config,
        trained.checkpoint,
        2,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *SMALL,
        f'data_root={garment_data}',
    )
    assert result.status == 0 and result.err == ''
    one, two = (json.loads(path.read_bytes()) for path in (tested.result, tmp_path / 'result.json'))
    assert one['num_detections'] > 0
    detections = [
        json.loads((path.parent / content.pop('detections_file')).read_bytes())
        for path, content in ((tested.result, one), (tmp_path / 'result.json', two))
    ]
    assert one.pop('run')['command'] != two.pop('run')['command']
    assert two == one
    in_order = [
        sorted(boxes, key=lambda box: (box['image_id'], -box['score'], box['bbox']))
        for boxes in detections
    ]
    assert in_order[0] == in_order[1]


def test_wrong_input_shows_no_traceback_of_torchrun(garment_data, config, tmp_path):
    data = tmp_path / 'data'
    shutil.copytree(garment_data, data)
    path = data / 'annotations' / 'train.json'
    path.write_text(path.read_text().replace('"vest"', '"waistcoat"'))
    result = launch(
        'dist_train.sh',
        config,
        2,
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        *SMALL,
        f'data_root={data}',
    )
    assert result.status == 2
    assert 'Traceback' not in result.out + result.err
    lines = result.err.splitlines()
    assert 1 <= len(lines) <= 2  # at most once per process
    assert all(line.startswith('error: ') for line in lines)
    assert any("'waistcoat'" in line for line in lines)


@pytest.mark.parametrize(
    ('script', 'arguments', 'message'),
    [
        ('dist_train.sh', ['config.py'], 'usage: bash tools/dist_train.sh CONFIG GPUS ['),
        ('dist_test.sh', ['config.py', 2], 'usage: bash tools/dist_test.sh CONFIG CKPT GPUS ['),
        ('dist_train.sh', ['no_config.py', 2], 'error: no_config.py: no such config'),
        ('dist_test.sh', ['no_config.py', 'a.pth', 2], 'error: no_config.py: no such config'),
    ],
)
def test_wrong_arguments_start_nothing(script, arguments, message):
    result = launch(script, *arguments)
    assert result.status == 2 and result.out == ''
    assert result.err.startswith(message) and result.err.count('\n') == 1


@pytest.mark.parametrize(
    ('script', 'arguments', 'expected'),
    [
        ('dist_train.sh', ['a b.py', '2', '--x', 'c d'], ['train.py', 'a b.py', '2', '--x', 'c d']),
        (
            'dist_test.sh',
            ['a b.py', 'e f.pth', '2', '--x'],
            ['test.py', 'a b.py', '2', 'e f.pth', '--x'],
        ),
    ],
)
@pytest.mark.parametrize('active', [True, False])
def test_which_python_gets_which_arguments(tmp_path, script, arguments, expected, active):
    root = tmp_path / 'clone of it'
    for folder in ('tools', '.venv/bin', 'active'):
        (root / folder).mkdir(parents=True)
    shutil.copy(REPOSITORY / 'tools' / script, root / 'tools')
    for python in (root / '.venv/bin/python', root / 'active/python'):
        python.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    result = start(
        'bash',
        root / 'tools' / script,
        *arguments,
        PATH=f'{root}/active:/usr/bin:/bin',
        CONDA_PREFIX='',
        VIRTUAL_ENV=str(root / 'active') if active else '',
    )
    assert result.status == 0
    python, tool, *rest = result.out.splitlines()
    assert Path(python) == root / ('active' if active else '.venv/bin') / 'python'
    assert Path(tool) == root / 'tools' / 'dist_launch.py'
    assert rest == expected


def test_where_processes_meet(dist_launch):
    free_port = dist_launch.meeting_point({})
    assert '--rdzv-endpoint=localhost:0' in free_port
    assert dist_launch.meeting_point({'NNODES': '1', 'PORT': '1234'}) == [
        '--nnodes=1',
        '--node-rank=0',
        '--master-addr=127.0.0.1',
        '--master-port=1234',
    ]
    nodes = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'node0'}
    assert dist_launch.meeting_point(nodes) == [
        '--nnodes=2',
        '--node-rank=1',
        '--master-addr=node0',
        '--master-port=29500',
    ]
    for variable in ('NODE_RANK', 'MASTER_ADDR'):
        with pytest.raises(ValueError, match=f'NNODES is 2: set {variable} too'):
            dist_launch.meeting_point({**nodes, variable: ''})


@pytest.mark.parametrize('gpus', ['two', '0', '-1', '1.5'])
def test_the_number_of_processes_is_checked(dist_launch, gpus):
    assert dist_launch.check_processes('1') == 1
    with pytest.raises(ValueError, match=f"GPUS is '{gpus}'"):
        dist_launch.check_processes(gpus)


def test_a_process_that_is_killed_is_named(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(
        'import os, signal, time\n'
        'os.environ["RANK"] == "1" and os.kill(os.getpid(), signal.SIGKILL)\n'
        'time.sleep(60)\n'
    )
    code = LAUNCH.format(str(REPOSITORY / 'tools'), str(script))
    result = start(sys.executable, '-c', code)
    assert result.status == 128 + 9
    assert result.err == 'error: process 1 was ended by SIGKILL\n'


@pytest.mark.long
def test_ctrl_c_twice_at_the_launcher_ends_all_processes(tmp_path):
    """The first one is noted, so that a run can finish its step; the second ends it."""
    script = tmp_path / 'script.py'
    script.write_text(
        'import os, time\n'
        'from pathlib import Path\n'
        'from mmdet_multigrain.engine.runner.stop_request import StopRequest\n'
        'from mmdet_multigrain.launch import run_tool\n'
        'def main():\n'
        '    with StopRequest() as request:\n'
        f'        note = Path({str(tmp_path)!r}, os.environ["RANK"])\n'
        '        while True:\n'
        '            note.write_text(str(request.signal))\n'
        '            time.sleep(0.05)\n'
        'run_tool(main, interrupted="ended")\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', LAUNCH.format(str(REPOSITORY / 'tools'), str(script))],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'},
        stderr=subprocess.PIPE,
        text=True,
    )

    def wait_for(text):
        deadline = time.monotonic() + 120
        notes = [tmp_path / '0', tmp_path / '1']
        while not all(note.exists() and note.read_text() == text for note in notes):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)

    wait_for('0')
    process.send_signal(signal.SIGINT)
    wait_for('2')
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - begin < 25
    assert err.count('ended') == 1 and 'Traceback' not in err
