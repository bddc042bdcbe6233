"""Bad images and losses in the middle of training, from the command line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from .conftest import REPOSITORY, SMALL, call, options, start

# A user's hook: the model sees NaN in one iteration on one process.
POISON = """
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class PoisonHook(Hook):
    def __init__(self, iteration, rank):
        self.iteration, self.rank = iteration, rank

    def before_train_iter(self, runner, batch_idx, data_batch):
        if runner.iter + 1 == self.iteration and get_rank() == self.rank:
            image = data_batch['inputs'][0].float()
            data_batch['inputs'][0] = torch.full_like(image, float('nan'))
"""
CONFIG = """
_base_ = {base!r}
custom_imports = dict(
    imports=[
        'mmdet_multigrain.models',
        'mmdet_multigrain.datasets',
        'mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric',
        'mmdet_multigrain.engine',
        'poison',
    ])
custom_hooks = [
    dict(type='PreflightHook'),
    dict(type='CheckpointReportHook'),
    dict(type='FiniteLossHook'),
    dict(type='PoisonHook', iteration=3, rank=1),
]
"""
LONGER = ('train_cfg.max_iters=4', 'train_cfg.val_interval=9')


def train(config, work_dir, data, *more):
    """Train within this process; `more` overrides config entries."""
    return call('train', config, '--seed', 0, '--work-dir', work_dir, *options(data, *more))


def assert_last_checkpoint(work_dir: Path, iteration: int) -> None:
    """It is that one, no later one was written, and its weights are numbers."""
    path = work_dir / f'iter_{iteration}.pth'
    assert Path((work_dir / 'last_checkpoint').read_text()).name == path.name
    numbers = [int(re.search(r'\d+', found.name)[0]) for found in work_dir.glob('iter_*.pth')]
    assert max(numbers) == iteration
    weights = torch.load(path, weights_only=False)['state_dict']
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_loss_that_is_no_number_stops_the_run(garment_data, config, tmp_path):
    """A learning rate that no detector survives: the first step is too long for the second."""
    more = ('optim_wrapper.optimizer.lr=1e20', 'optim_wrapper.clip_grad=None')
    result = train(config, tmp_path, garment_data, *LONGER, *more)
    line = result.error()
    iteration = int(re.match(r'error: iteration (\d+): ', line)[1])
    assert re.search(r'loss_\w+ is (nan|inf)', line) and re.search(r'learning rate \d\S*e\+1', line)
    images = re.search(r'images (.*?); ', line)[1].split(', ')
    assert len(images) == 2 and all(Path(image).is_file() for image in images)
    last = tmp_path / f'iter_{iteration - 1}.pth'
    assert f'start a new run from {last} (load_from) with a lower optim_wrapper.optimi' in line
    assert_last_checkpoint(tmp_path, iteration - 1)


def test_no_process_saves_what_another_one_spoiled(garment_data, config, tmp_path):
    """Two processes, of which the second gets a NaN image."""
    (tmp_path / 'poison.py').write_text(POISON)
    own = tmp_path / 'own.py'
    own.write_text(CONFIG.format(base=str(config)))
    run = tmp_path / 'run'
    result = start(
        'bash',
        REPOSITORY / 'tools' / 'dist_train.sh',
        own,
        2,
        '--work-dir',
        run,
        '--cfg-options',
        *SMALL,
        *LONGER,
        f'data_root={garment_data}',
        PYTHONPATH=f'{tmp_path}:{REPOSITORY}',
    )
    assert result.status != 0 and 'Traceback' not in result.out + result.err
    assert 'error: iteration 3: ' in result.err
    assert_last_checkpoint(run, 2)


@pytest.fixture
def data_with_a_bad_image(garment_data, tmp_path):
    """Two photos of 16 that are cut off."""
    data = tmp_path / 'data'
    shutil.copytree(garment_data, data)
    for name in ('000001.jpg', '000009.jpg'):
        path = data / 'train' / 'image' / name
        path.write_bytes(path.read_bytes()[:-100])
    return data


WHOLE = (
    'train_cfg.max_iters=8',
    'train_cfg.val_interval=9',
    'default_hooks.checkpoint.interval=99',
)  # two images at a time: each one once


def test_training_stops_at_a_bad_image(data_with_a_bad_image, config, tmp_path):
    more = (*WHOLE, 'train_dataloader.num_workers=2')
    line = train(config, tmp_path / 'run', data_with_a_bad_image, *more).error()
    assert re.match(r'error: \S+/00000[19]\.jpg: cut off before its end; replace it, or ', line)


def test_training_skips_bad_images_and_counts_them(data_with_a_bad_image, config, tmp_path):
    more = (*WHOLE, 'train_dataloader.dataset.on_bad_image=skip')
    losses, counts = [], []
    for workers in (0, 2):
        result = train(
            config,
            tmp_path / f'run{workers}',
            data_with_a_bad_image,
            *more,
            f'train_dataloader.num_workers={workers}',
        )
        assert result.status == 0, result.err
        losses.append(result.losses)
        for name in ('000001.jpg', '000009.jpg'):
            assert result.out.count(f'{name}: cut off before its end; left out') == 1
        counts += re.findall(
            r'2 image\(s\) could not be used and were left out (\d+) time\(s\)', result.out
        )
    assert losses[0] == losses[1] and len(losses[0]) == 8
    assert len(counts) == 2 and counts[0] == counts[1] and int(counts[0]) >= 2
