"""benchmarks.speed.detectors as users start it: a small table, its file, wrong inputs, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.benchmarks.conftest import call, start
from tests.tools.conftest import REPOSITORY, SMALL

MODULE = 'speed.detectors'
CONFIGS = REPOSITORY / 'configs' / 'multigrain'
WGROUP = CONFIGS / 'wgroup_r18_fpn_synthetic.py'
NAMES = ['stock', 'wgroup_r18_fpn_synthetic', 'wgroup_r18_fpn_synthetic coarse labels']
# What makes the detector small; the rest of SMALL concerns runs.
BODY = [option for option in SMALL if option.startswith(('model.', 'train_dataloader.'))]


@pytest.fixture(scope='module')
def measured(tmp_path_factory, garment_data):
    """One run on the images of a data set: its record, its screen, its arguments."""
    out = tmp_path_factory.mktemp('benchmark') / 'speed.json'
    options = '--repeats 2 --warmup 1 --profiled 1 --eval-images 20 --device cpu'.split()
    what = ('--coarse-labels', '--what', 'training,inference,data,evaluation')
    overrides = ('--cfg-options', *BODY, f'data_root={garment_data}')
    screen = start(MODULE, WGROUP, *what, *options, '--out', out, *overrides)
    assert screen.status == 0, screen.err
    return json.loads(out.read_bytes()), screen, out


def test_every_timing_is_in_the_file(measured):
    record, _, _ = measured
    assert list(record['measured']) == ['training', 'inference', 'data', 'evaluation']
    for values in record['measured'].values():
        assert list(values['seconds']) == list(values['peak_mb']) == NAMES
        for seconds in values['seconds'].values():
            assert len(seconds) == 2 and 0 < min(seconds) <= max(seconds) < 100
        assert all(100 < peak < 10_000 for peak in values['peak_mb'].values())


def test_the_file_says_what_was_measured_on_what(measured):
    record, _, out = measured
    run = record['run']
    assert run['command'].startswith('python -m benchmarks.speed.detectors ')
    # Of absolute paths, which tell of one machine, the last name.
    assert out.name in run['command'] and not re.search(r'(^|[\s=])/', run['command'])
    assert {'python', 'torch', 'mmdet'} <= set(run['versions']) and run['cores'] >= 1
    assert run['processor'] and run['memory_gib'] > 0
    assert record['plan']['images'] == 'dataset' and record['plan']['batch'] == 2
    stock, wgroup, coarse = (record['configs'][name] for name in NAMES)
    assert (stock['source'], wgroup['source']) == ('stock', str(WGROUP))
    references = [config['reference'] for config in (stock, wgroup, coarse)]
    assert references == ['stock', 'stock', NAMES[1]]
    assert [config['coarse_labels'] for config in (stock, wgroup, coarse)] == [False, False, True]
    assert len(wgroup['sha256']) == 64 and wgroup['sha256'] == coarse['sha256']
    assert stock['parameters'] < wgroup['parameters'] and wgroup['device'] == 'cpu'
    assert wgroup['threads'] == 1 and wgroup['matmul_flops'] > 1e8


def test_all_contenders_do_the_same(measured):
    """Equal weights but for the heads give equal proposals, so equal RoIs to learn from."""
    record, _, _ = measured
    counts = {
        (profile['rois'], profile['positive_rois'])
        for profiles in record['measured']['training']['stages'].values()
        for profile in profiles
    }
    ((rois, positive),) = counts
    assert 0 < positive < rois <= 2 * 32


def test_stages_and_flops_of_a_step(measured):
    record, _, _ = measured
    for what, some in (
        ('training', {'backward', 'optimizer', 'RPN loss', 'RoI loss'}),
        ('inference', {'RoI post-processing'}),
    ):
        for name in NAMES:
            (profile,) = record['measured'][what]['stages'][name]
            assert some | {
                'preprocessing',
                'backbone',
                'neck',
                'RPN',
                'RoIAlign',
                'RoI head',
                'other',
            } <= set(profile['seconds'])
            assert all(seconds > 0 for seconds in profile['seconds'].values())
    flops = record['measured']['training']['flops']
    assert (
        flops['stock'] < flops[NAMES[1]]
        and flops['stock'] > 2.5 * (record['measured']['inference']['flops']['stock'])
    )


def test_screen(measured):
    _, screen, _ = measured
    lines = screen.out.splitlines()
    for start_of_line in (
        'Training step, batch of 2, images of the data set: 2 rounds, ratios to stock, '
        'wgroup_r18_fpn_synthetic; ',
        'Inference, one image, ',
        'Data loading, 32 images: ',
        'Evaluation of 20 images with 100 detections each: ',
    ):
        assert sum(line.startswith(f'**{start_of_line}') for line in lines) == 1
    for name in NAMES:
        cell = name.replace('_', r'\_')
        assert sum(line.startswith(f'| {cell} |') for line in lines) == 4
    assert 'warning' not in screen.err.lower()
    assert '| :-- | --: |' in screen.out and '| backward |' in screen.out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['no/such.py'], 'no/such.py: no such config; check the path'),
        (
            [WGROUP, '--images', 'dataset', '--cfg-options', 'data_root=nowhere'],
            'its training annotations do not exist; convert them',
        ),
        (
            [WGROUP, '--what', 'data', '--cfg-options', 'data_root=nowhere'],
            'its training annotations do not exist; convert them',
        ),
        ([WGROUP, '--speed', 'quicker'], 'no such option'),
    ],
)
def test_wrong_inputs_are_one_line(arguments, message):
    assert message in call(MODULE, *arguments).error()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'the following arguments are required: CONFIG'),
        ([WGROUP, '--what', 'training,rest'], "'rest' is not one of training, inference, data"),
        ([WGROUP, '--precision', 'fp8'], "'fp8' is not one of config, fp32"),
        ([WGROUP, '--scale', '1333'], "'1333' is not a size like 1333x800"),
        ([WGROUP, '--repeats', '0'], "'0' is not a whole number from 1 on"),
        ([WGROUP, '--warmup', '-1'], "'-1' is not a whole number from 0 on"),
    ],
)
def test_wrong_arguments(arguments, message):
    done = call(MODULE, *arguments)
    assert done.status == 2 and message in done.err and 'Traceback' not in done.err


def test_interrupt_leaves_nothing(tmp_path):
    """Ctrl-C while it measures: one line, no file, no temporary folder, no process."""
    out, temporary = tmp_path / 'speed.json', tmp_path / 'tmp'
    temporary.mkdir()
    options = '--images synthetic --scale 64x80 --device cpu --repeats 100000'.split()
    command = [sys.executable, '-m', 'benchmarks.speed.detectors', WGROUP, '--against', WGROUP]
    paths = {'PYTHONPATH': str(REPOSITORY), 'TMPDIR': str(temporary)}
    process = subprocess.Popen(
        [*command, *options, '--out', str(out), '--cfg-options', *BODY],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **paths, 'OMP_NUM_THREADS': '1'},
    )
    shown = ''
    while 'training' not in shown:
        shown += process.stderr.read(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of them get it
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130 and rest.rstrip().endswith('interrupted')
    assert 'Traceback' not in rest
    assert list(tmp_path.iterdir()) == [temporary] and not list(temporary.glob('benchmark_*'))
    for _ in range(100):
        if not _group_lives(process.pid):
            break
        time.sleep(0.1)
    assert not _group_lives(process.pid)


def _group_lives(group: int) -> bool:
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            status = (folder / 'stat').read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(status[2]) == group and status[0] != 'Z':
            return True
    return False


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device here')
def test_on_a_gpu(tmp_path):
    out = tmp_path / 'speed.json'
    options = '--device cuda --repeats 2 --profiled 1 --images synthetic --scale 320x256'.split()
    precisions = ('--precision', 'fp32,tf32,fp16,bf16')
    screen = start(MODULE, WGROUP, *options, *precisions, '--out', out)
    assert screen.status == 0, screen.err
    record = json.loads(out.read_bytes())
    assert len(record['configs']) == 8
    for name, config in record['configs'].items():
        assert config['device'] != 'cpu' and config['reference'].startswith('stock')
        assert 0 < record['measured']['training']['peak_mb'][name] < 50_000


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device')
def test_without_the_gpu_that_is_asked_for():
    done = call(MODULE, WGROUP, '--device', 'cuda')
    assert '--device cuda: PyTorch finds no GPU here' in done.error()
