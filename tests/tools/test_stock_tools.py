"""MMDetection's own tools/train.py and tools/test.py give what ours give, on our configs."""

from __future__ import annotations

import importlib.util
import itertools
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from benchmarks.common.run_equality import differences, log_entries
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.utils.errors import CheckpointError, UntrustedCheckpointError

from .conftest import REPOSITORY, SMALL, call, call_script, start
from .test_trust import Payload

STOCK = Path(importlib.util.find_spec('mmdet').submodule_search_locations[0], '.mim', 'tools')
pytestmark = pytest.mark.skipif(
    not (STOCK / 'train.py').is_file(), reason='the installed mmdet brings no tools'
)
# Notes the samples of each iteration; the run kills itself if the environment says so.
NOTES = """
import os
import signal
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class StockNotesHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if os.environ.get('KILL_AT') == str(runner.iter):
            os.kill(os.getpid(), signal.SIGKILL)
        with open(Path(runner.work_dir, 'samples.txt'), 'a') as notes:
            for sample in data_batch['data_samples']:
                print(runner.iter, sample.img_id, sample.img_shape, sample.flip, file=notes)
"""
# Random sizes and flips, all kinds of state in the checkpoint, an option for speed.
CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=_base_.custom_imports.imports + ['stock_notes'])
custom_hooks = _base_.custom_hooks + [dict(type='EMAHook'), dict(type='StockNotesHook')]
train_dataloader = dict(dataset=dict(indices=8, pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomChoiceResize', scales=[(96, 64), (120, 80), (144, 96)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]))
speed = ['fast-loading', 'tf32']
train_cfg = dict(max_iters=4, val_interval=2)
"""
_numbers = itertools.count()


@dataclass(frozen=True)
class Setup:
    """A config, its data, and the folder of the run that our tool trained."""

    config: Path
    data: Path
    ours: Path

    def arguments(self, work_dir: Path, *more: str) -> list[object]:
        """Arguments that both tools take; paths are set one by one, as stock tools need it."""
        small = [option for option in SMALL if not option.startswith('train_cfg.')]
        name = f'stock{next(_numbers)}'  # runs within one process would share a log
        return [
            self.config, '--work-dir', work_dir, '--cfg-options', *small,
            *self.paths(), f'experiment_name={name}', *more,
        ]  # fmt: skip

    def paths(self) -> list[str]:
        root = f'{self.data}/'
        annotations = f'{root}annotations/validation.json'
        return [
            *(f'{part}_dataloader.dataset.data_root={root}' for part in ('train', 'val', 'test')),
            *(f'{part}_evaluator.ann_file={annotations}' for part in ('val', 'test')),
        ]

    def differences(self, work_dir: Path) -> list[str]:
        """All in which the end of a run, its logs and its samples differ from ours."""
        folders = self.ours, work_dir
        found = list(differences(*(read_checkpoint(f'{path}/iter_4.pth') for path in folders)))
        (expected, _), (entries, own) = map(log_entries, folders)
        assert len(expected) == 4 + 2
        found += [*own, *differences(expected, entries, place='log')]
        samples = [(path / 'samples.txt').read_text() for path in folders]
        return found + (['samples'] if samples[0] != samples[1] else [])


@pytest.fixture(scope='module')
def setup(tmp_path_factory, config, garment_data):
    folder = tmp_path_factory.mktemp('stock')
    (folder / 'stock_notes.py').write_text(NOTES)
    path = folder / 'config.py'
    path.write_text(CONFIG.format(base=str(config)))
    made = Setup(path, garment_data, folder / 'ours')
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        done = call('train', *made.arguments(made.ours, 'randomness.seed=3'))
        assert done.status == 0, done.err
        yield made


def test_training_is_the_same(setup, tmp_path):
    call_script(STOCK / 'train.py', *setup.arguments(tmp_path, 'randomness.seed=3'))
    assert setup.differences(tmp_path) == []
    assert "type='FastLoading'" in (tmp_path / 'config.py').read_text()
    checkpoint = read_checkpoint(str(tmp_path / 'iter_4.pth'))
    assert {'optimizer', 'param_schedulers', 'ema_state_dict'} <= set(checkpoint)


@pytest.fixture(autouse=True)
def restored_precision() -> Iterator[None]:
    """MMEngine tells no hook of a run that it refuses, so `tf32` stays set within this process."""
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_a_killed_run_resumes_exactly(setup, tmp_path):
    command = setup.arguments(tmp_path, 'randomness.seed=3')
    paths = f'{setup.config.parent}:{REPOSITORY}'
    killed = start(sys.executable, STOCK / 'train.py', *command, KILL_AT='3', PYTHONPATH=paths)
    assert killed.status == -signal.SIGKILL, killed.err
    assert not (tmp_path / 'iter_4.pth').exists()
    # The kill came while a newer file was written, and damaged the last one.
    (tmp_path / '.iter_4.pth.1.tmp').write_bytes(b'x')
    broken = tmp_path / 'iter_3.pth'
    content = broken.read_bytes()
    broken.write_bytes(content[:-1000])
    named = setup.arguments(tmp_path)
    with pytest.raises(CheckpointError, match=f'{broken}: not a .*; {tmp_path}/iter_2.pth is'):
        call_script(STOCK / 'train.py', *named, '--resume', broken)
    broken.write_bytes(content)
    call_script(STOCK / 'train.py', *named, '--resume')
    assert setup.differences(tmp_path) == []


def test_testing_is_the_same(setup, tmp_path):
    checkpoint = setup.ours / 'iter_4.pth'
    metrics = []
    for script, folder in ((REPOSITORY / 'tools', 'ours'), (STOCK, 'stock')):
        path, *more = setup.arguments(tmp_path / folder)
        done = call_script(script / 'test.py', path, checkpoint, *more)
        assert done.status == 0, done.err
        (log,) = (tmp_path / folder).glob('*/*.json')
        metrics.append(json.loads(log.read_text()))
        for name in ('time', 'data_time'):
            metrics[-1].pop(name)
    assert metrics[0] == metrics[1] and 'coco/bbox_mAP' in metrics[0]


@pytest.mark.parametrize('way', ['resume', 'load_from', 'init_cfg', 'test'])
def test_code_in_a_checkpoint_does_not_run(setup, tmp_path, way):
    marker, bad = tmp_path / 'the code has run', tmp_path / 'bad.pth'
    content = torch.load(setup.ours / 'iter_4.pth', weights_only=False)
    content['optimizer']['state'][0]['momentum_buffer'] = Payload(marker)
    torch.save(content, bad)
    more = {
        'load_from': [f'load_from={bad}'],
        'init_cfg': [
            'model.backbone.init_cfg.type=Pretrained',
            f'model.backbone.init_cfg.checkpoint={bad}',
        ],
    }.get(way, [])
    config, *rest = setup.arguments(tmp_path / 'run', *more)
    tool = 'test.py' if way == 'test' else 'train.py'
    positional = [bad] if way == 'test' else []
    end = ['--resume', bad] if way == 'resume' else []
    with pytest.raises(UntrustedCheckpointError, match=f'^{bad}: holds more than weights'):
        call_script(STOCK / tool, config, *positional, *rest, *end)
    assert not marker.exists()


@pytest.mark.long
def test_two_processes_on_cpus(setup, tmp_path):
    result = start(
        sys.executable, '-m', 'torch.distributed.run', '--standalone',
        '--nproc-per-node=2', STOCK / 'train.py', *setup.arguments(tmp_path),
        '--launcher', 'pytorch', PYTHONPATH=f'{setup.config.parent}:{REPOSITORY}',
    )  # fmt: skip
    assert result.status == 0, result.err
    first, second = read_checkpoint(str(tmp_path / 'iter_4.pth'))['process_buffers']
    assert first == {} and 'backbone.bn1.running_mean' in second
