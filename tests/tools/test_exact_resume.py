"""tools/train.py --resume: a run that was interrupted ends as one that was not, bit for bit."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from benchmarks.common.run_equality import differences, log_entries
from mmdet_multigrain.datasets import SeededDataset
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

from .conftest import SMALL, Result, call

# Two epochs of 8 images, two at a time, at random sizes. Every iteration is saved; a validation
# follows each 4th.
CONFIG = """
_base_ = {base!r}
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomChoiceResize', scales=[(96, 64), (120, 80), (144, 96)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, indices=8))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=2),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=2, end=8, eta_min_ratio=0.01),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
custom_hooks = _base_.custom_hooks + [
    dict(type='EMAHook'),
    dict(type='KilledRunsHook', work_dir={work_dir!r}),
]
log_processor = dict(window_size=3)
{loop}
"""
BY_ITERATION = 'train_cfg = dict(max_iters=8, val_interval=4)'
# Three iterations, to try what happens without one part of the whole.
SHORT = """
train_cfg = dict(max_iters=3, val_interval=9)
"""
# A hook that changes nothing instead.
WITHOUT_SEED = """
default_hooks.update(iteration_seed=dict(_delete_=True, type='DistSamplerSeedHook'))
"""
# As MMEngine and MMDetection bring them.
STOCK = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3, val_interval=9)
train_dataloader.update(
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'))
"""
BY_EPOCH = """
train_cfg = dict(_delete_=True, type='ExactEpochBasedTrainLoop', max_epochs=2)
train_dataloader.update(sampler=dict(type='ExactSampler'))
"""
PARTLY_ANNOTATED = """
train_dataloader['dataset'].update(annotated=['top', 'bottom'])
model = dict(
    rpn_head=dict(type='Float32RPNHead', unannotated_thr=0.5),
    roi_head=dict(type='FederatedStandardRoIHead'))
"""
_numbers = itertools.count()
KILLS = (1, 3, 4, 8)  # 4 and 8: before a validation


@HOOKS.register_module()
class KilledRunsHook(Hook):
    """Note the samples of each iteration; keep the folder as it is after each one."""

    priority = 'VERY_LOW'  # behind the checkpoint, before a stop

    def __init__(self, work_dir: str) -> None:
        self.work_dir = work_dir

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(Path(runner.work_dir, 'samples.txt'), 'a') as notes:
            for sample in data_batch['data_samples']:
                print(runner.iter, sample.img_id, sample.img_shape, sample.flip, file=notes)
        if os.environ.get('STOP_AT') == str(runner.iter + 1):
            os.kill(os.getpid(), int(os.environ['STOP_BY']))
        if runner.work_dir == self.work_dir and runner.iter + 1 in KILLS:
            shutil.copytree(self.work_dir, killed(self.work_dir, after=runner.iter + 1))


def killed(work_dir: str | Path, *, after: int) -> Path:
    """The folder that a kill would have left when that iteration was over."""
    return Path(f'{work_dir}_killed_after_{after}')


@dataclass(frozen=True)
class Run:
    """A run that was never interrupted."""

    config: Path
    data: Path
    work_dir: Path

    def train(self, work_dir: Path, *arguments: object, more: tuple[str, ...] = ()) -> Result:
        """Train with its config within this process."""
        small = [option for option in SMALL if not option.startswith('train_cfg.')]
        name = f'exact{next(_numbers)}'  # runs within one process would share a log
        return call(
            'train', self.config, '--work-dir', work_dir, *arguments,
            '--cfg-options', *small, f'data_root={self.data}', f'experiment_name={name}', *more,
        )  # fmt: skip

    def resume(self, after: int, work_dir: Path, *more: str) -> Result:
        """Resume from what a kill left after an iteration."""
        shutil.copytree(killed(self.work_dir, after=after), work_dir)
        result = self.train(work_dir, '--resume', more=more)
        assert result.status == 0, result.err
        return result

    def differences(self, work_dir: Path, *, iterations: int = 8) -> list[str]:
        """All in which the end of another run, its logs and its samples differ."""
        paths = [path / f'iter_{iterations}.pth' for path in (self.work_dir, work_dir)]
        found = list(differences(*(read_checkpoint(str(path)) for path in paths)))
        (expected, _), (entries, own) = log_entries(self.work_dir), log_entries(work_dir)
        assert sum(kind == 'train' for kind, _ in expected) == iterations
        assert len(expected) == iterations + (2 if iterations == 8 else 1)
        found += [*own, *differences(expected, entries, place='log')]
        samples = [(path / 'samples.txt').read_text() for path in (self.work_dir, work_dir)]
        return found + (['samples'] if samples[0] != samples[1] else [])


@pytest.fixture(scope='module')
def make_run(tmp_path_factory, config, garment_data):
    """Function that trains one run to its end."""

    def make(head: str, loop: str, *arguments: object) -> Run:
        folder = tmp_path_factory.mktemp('exact')
        path, work_dir = folder / 'config.py', folder / 'run'
        base = config.with_name(f'{head}_r18_fpn_synthetic.py')
        path.write_text(CONFIG.format(base=str(base), work_dir=str(work_dir), loop=loop))
        run = Run(path, garment_data, work_dir)
        result = run.train(work_dir, *arguments)
        assert result.status == 0, result.err
        return run

    return make


@pytest.fixture(scope='module')
def runs(make_run) -> dict[str, Run]:
    """One run by iteration with the hierarchical head, one by epoch with the flat one."""
    return dict(
        iteration=make_run('wgroup', BY_ITERATION, '--seed', 3),
        epoch=make_run('baseline', BY_EPOCH, '--seed', 3),
    )


@pytest.mark.parametrize(
    ('name', 'after', 'workers'),
    [
        ('iteration', 1, 2),
        ('iteration', 3, 0),
        ('iteration', 4, 0),
        ('iteration', 8, 0),
        ('epoch', 3, 2),
        ('epoch', 4, 0),
        ('epoch', 8, 0),
    ],
)
def test_a_resumed_run_is_the_run_that_was_not_interrupted(runs, tmp_path, name, after, workers):
    run = runs[name]
    result = run.resume(after, tmp_path / 'run', f'train_dataloader.num_workers={workers}')
    assert re.search(rf'resumed epoch: \d, iter: {after}\n', result.out)
    assert run.differences(tmp_path / 'run') == []


def test_a_run_without_a_seed_goes_on_with_the_one_that_was_drawn(make_run, tmp_path):
    run = make_run('wgroup', SHORT + PARTLY_ANNOTATED)  # which changes nothing about that
    run.resume(1, tmp_path / 'run')
    assert run.differences(tmp_path / 'run', iterations=3) == []


def unseeded(self, index):
    return self.dataset[int(index)]


@pytest.mark.parametrize(
    ('loop', 'patches'),
    [
        (SHORT + WITHOUT_SEED, {}),
        (SHORT, {'__getitem__': unseeded}),
        (STOCK + WITHOUT_SEED, {}),
    ],
    ids=['draws of the model', 'augmentation', 'stock'],
)
def test_without_one_part_a_resumed_run_is_another_one(
    make_run, tmp_path, monkeypatch, loop, patches
):
    """The tests above can fail. And stock samplers and loops run as ever."""
    for name, patch in patches.items():
        monkeypatch.setattr(SeededDataset, name, patch)
    run = make_run('wgroup', loop, '--seed', 3)
    result = run.resume(1, tmp_path / 'run')
    assert ('Advance dataloader' in result.out) == (loop == STOCK + WITHOUT_SEED)
    found = run.differences(tmp_path / 'run', iterations=3)
    assert any(place.startswith('state_dict.') for place in found)
    assert any('.loss_cls' in place for place in found)
    assert ('samples' in found) == (loop != SHORT + WITHOUT_SEED)


@pytest.mark.parametrize(
    ('number', 'name', 'steps', 'last'),
    [
        (signal.SIGTERM, 'SIGTERM', 1, 1),
        (signal.SIGTERM, 'SIGTERM', 2, 2),
        (signal.SIGINT, 'Ctrl-C', 2, 2),
    ],
)
def test_a_signal_stops_between_two_steps_of_the_optimizer(
    make_run, tmp_path, monkeypatch, number, name, steps, last
):
    run = make_run('wgroup', f'{SHORT}\noptim_wrapper = dict(accumulative_counts={steps})')
    more = ['default_hooks.checkpoint.interval=99']
    seed = read_checkpoint(str(run.work_dir / 'iter_3.pth'))['meta']['seed']
    with monkeypatch.context() as patch:
        patch.setenv('STOP_AT', '1')
        patch.setenv('STOP_BY', str(int(number)))
        result = run.train(tmp_path / 'run', '--seed', seed, more=more)
    assert result.status == 128 + number
    line = f'stopped by {name} after iteration {last}; resume from there\n'
    assert result.err == line
    assert {path.name for path in (tmp_path / 'run').glob('*.pth')} == {f'iter_{last}.pth'}
    result = run.train(tmp_path / 'run', '--resume', more=more)
    assert result.status == 0, result.err
    assert 'lies between two steps' not in result.out
    # It kept fewer checkpoints.
    found = set(run.differences(tmp_path / 'run', iterations=3))
    assert found <= {'message_hub.runtime_info.keep_ckpt_ids'}


def test_a_checkpoint_without_the_gradients_that_belong_to_it_is_told(make_run, tmp_path):
    run = make_run('wgroup', f'{SHORT}\noptim_wrapper = dict(accumulative_counts=2)')
    run.resume(1, tmp_path / 'run')
    assert run.differences(tmp_path / 'run', iterations=3) != []
    result = run.train(tmp_path / 'again', more=['train_cfg.max_iters=2'])
    assert result.out.count('This checkpoint lies between two steps of the optimizer') == 1


@pytest.mark.parametrize(
    ('arguments', 'more', 'message'),
    [
        (['--seed', 4], [], 'is of a run with seed 3, not 4; leave out the seed to'),
        (
            [],
            ['train_dataloader.batch_size=1'],
            'is of a run with 2 batch size, not 1; restore that',
        ),
        ([], ['train_dataloader.dataset.indices=7'], 'is of a run with 8 images, not 7; restore'),
        ([], ['train_cfg.max_iters=9'], 'is of a run with 8 iterations, not 9; restore that'),
    ],
)
def test_another_run_is_refused(runs, tmp_path, arguments, more, message):
    run = runs['iteration']
    result = run.train(
        tmp_path / 'run', '--resume', run.work_dir / 'iter_8.pth', *arguments, more=more
    )
    assert message in result.error()


def test_another_run_can_be_wanted(runs, tmp_path):
    run = runs['iteration']
    more = [
        'train_dataloader.batch_size=1',
        'train_dataloader.dataset.indices=7',
        'default_hooks.exact_resume.allow_world_size_change=True',
        'default_hooks.exact_resume.allow_data_change=True',
        'default_hooks.exact_resume.allow_length_change=True',
        'train_cfg.max_iters=9',
    ]
    path = run.work_dir / 'iter_8.pth'
    result = run.train(tmp_path / 'run', '--resume', path, '--seed', 3, more=more)
    assert result.status == 0, result.err
    assert 'Iter(train) [9/9]' in result.out
