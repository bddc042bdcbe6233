"""tools/train.py --speed: each option trains, and keeps the numbers that it promises to keep."""

from __future__ import annotations

import re

import pytest
import torch

from mmdet_multigrain.speed import option_names

from .conftest import call, options

# How far the losses of the first two iterations may lie from a plain run's. On a CPU; what an
# option does to a GPU alone, it leaves alone here. Those that change nothing share a run.
ROUNDING = 2e-3
TOLERANCE = {
    'amp-bf16': 0.05,
    'channels-last': ROUNDING,
    'compile': ROUNDING,
    'cudnn-benchmark': 0.3,  # images are padded further
    'fused-optimizer': ROUNDING,
    'pinned-loading': 0.0,
    # Batch norm learns its statistics in this config; its images are loaded as ever.
    'efficient-conv-bn fast-loading tf32': 0.0,
}
NEEDS_GPU = {'amp-fp16'}


def train(garment_data, config, work_dir, names, *more):
    result = call(
        'train',
        config,
        '--seed',
        0,
        '--work-dir',
        work_dir,
        '--speed',
        *names,
        *options(garment_data, 'train_cfg.val_interval=9', *more),
    )
    assert result.status == 0, result.err
    assert result.iterations == [(1, 2), (2, 2)]
    return losses(result)


def losses(result) -> list[float]:
    return [float(value) for line in result.losses for value in re.findall(r'loss\w*: (\S+)', line)]


def overrides(name, config) -> list[str]:
    """What a test changes to be quick."""
    if name == 'pinned-loading':  # processes that stay need to be there
        return ['train_dataloader.num_workers=1', 'train_dataloader.persistent_workers=True']
    if name == 'compile':  # the neck, traced: inductor compiles for minutes
        from mmdet_multigrain.launch import load_config

        hooks = load_config(config, speed=[name]).custom_hooks
        place = [hook['type'] for hook in hooks].index('CompileHook')
        return [f'custom_hooks.{place}.backend=eager', f'custom_hooks.{place}.modules=[neck]']
    return []


def test_every_option_is_tested():
    assert set(option_names()) == {*' '.join(TOLERANCE).split(), *NEEDS_GPU}


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true")
@pytest.mark.parametrize(('names', 'tolerance'), TOLERANCE.items())
def test_an_option_trains_as_without_it(names, tolerance, trained, garment_data, config, tmp_path):
    found = train(garment_data, config, tmp_path, names.split(), *overrides(names, config))
    expected = losses(trained.screen)
    assert len(found) == len(expected) > 8
    if tolerance == 0:
        assert found == expected
    else:
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true")
def test_options_go_together(trained, garment_data, config, tmp_path):
    names = [name for name in option_names() if name not in {'compile', *NEEDS_GPU}]
    found = train(garment_data, config, tmp_path, names, *overrides('pinned-loading', config))
    assert found == pytest.approx(losses(trained.screen), rel=0.3, abs=0.3)  # as padded further


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU can do it')
def test_half_precision_needs_a_gpu(garment_data, config, tmp_path):
    line = call(
        'train', config, '--work-dir', tmp_path, '--speed', 'amp-fp16', *options(garment_data)
    ).error()
    assert 'fp16 (AmpOptimWrapper) needs a GPU' in line


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('name', option_names())
def test_options_train_on_cuda(name, garment_data, config, tmp_path):
    found = train(garment_data, config, tmp_path, [name], *overrides(name, config))
    plain = train(garment_data, config, tmp_path / 'plain', ['tf32'])
    assert found == pytest.approx(plain, rel=0.3, abs=0.3)


def test_a_misspelt_option_is_one_line(garment_data, config, tmp_path):
    line = call(
        'train', config, '--work-dir', tmp_path, '--speed', 'chanels-last', *options(garment_data)
    ).error()
    assert line == "error: --speed chanels-last: no such option; did you mean 'channels-last'?"
