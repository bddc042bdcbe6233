"""Every tool refuses a file that would run code, in one line, and does not run it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from .conftest import REPOSITORY, call, options, start


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """What the payload makes, if it runs."""
    return tmp_path / 'the code has run'


@pytest.fixture
def bad(tmp_path, trained, marker) -> Path:
    """A checkpoint with all that a run resumes from, and a payload in its optimizer."""
    path = tmp_path / 'bad.pth'
    content = torch.load(trained.checkpoint, weights_only=False)
    content['optimizer']['state'][0]['momentum_buffer'] = Payload(marker)
    torch.save(content, path)
    return path


def arguments(way: str, config: Path, bad: Path, data: Path, folder: Path) -> list[object]:
    """A command line that loads the file in some way."""
    picture = next((data / 'validation' / 'image').iterdir())
    set_options = {
        'load_from': [f'load_from={bad}'],
        'init_cfg': [
            'load_from=None',
            'model.backbone.init_cfg.type=Pretrained',
            f'model.backbone.init_cfg.checkpoint={bad}',
            'model.backbone.init_cfg.prefix=backbone',
        ],
    }
    ways = {
        'resume': ['train', config, '--resume', bad, '--work-dir', folder],
        'load_from': ['train', config, '--work-dir', folder],
        'init_cfg': ['train', config, '--work-dir', folder],
        'test': ['test', config, bad, '--work-dir', folder],
        'predict': ['predict', picture, config, bad, '--out', folder],
        'export': ['export', config, bad, '--to', 'mmdet', '--out', folder],
    }
    more = set_options.get(way, [])
    if way in ('predict', 'export'):
        return [*ways[way], *options(data)]
    return [*ways[way], *options(data, *more)]


WAYS = ('resume', 'load_from', 'init_cfg', 'test', 'predict', 'export')


@pytest.mark.parametrize(
    ('way', 'legacy'), [*((way, False) for way in WAYS), ('resume', True), ('test', True)]
)
def test_code_in_a_checkpoint_does_not_run(
    way, legacy, config, bad, marker, garment_data, tmp_path
):
    if legacy:  # as torch saved before 1.6
        content = {'state_dict': {}, 'optimizer': Payload(marker)}
        torch.save(content, bad, _use_new_zipfile_serialization=False)
    result = call(*arguments(way, config, bad, garment_data, tmp_path / 'out'))
    line = result.error()
    assert not marker.exists()
    assert line.startswith(f'error: {bad}: holds more than weights (posix.mkdir)')
    assert line.endswith('add --trust-checkpoint if you trust its source')
    assert 'Could not safely load' not in result.out


def test_a_config_in_a_checkpoint_is_not_run(config, trained, marker, garment_data, tmp_path):
    """MMEngine runs it to look for numbers of GPUs, when it resumes."""
    path = tmp_path / 'old.pth'
    content = torch.load(trained.checkpoint, weights_only=False)
    content['meta']['config'] = f'__import__("os").mkdir({str(marker)!r})'
    torch.save(content, path)
    more = options(
        garment_data,
        'train_cfg.max_iters=3',
        'train_cfg.val_interval=9',
        'default_hooks.exact_resume.allow_length_change=True',
    )
    result = call('train', config, '--resume', path, '--work-dir', tmp_path / 'out', *more)
    assert result.status == 0 and result.iterations == [(3, 3)], result.err
    assert not marker.exists()


@pytest.mark.parametrize('way', ['load_from', 'test', 'predict', 'export'])
def test_with_the_flag_it_loads(way, config, bad, marker, garment_data, tmp_path):
    command = arguments(way, config, bad, garment_data, tmp_path / 'out')
    command.insert(command.index('--cfg-options'), '--trust-checkpoint')
    result = call(*command, *(['train_cfg.max_iters=1'] if command[0] == 'train' else []))
    assert result.status == 0, result.err
    assert marker.exists()


@pytest.mark.long
def test_several_processes(config, bad, marker, garment_data, tmp_path):
    """The scripts pass all options on to the tools."""
    result = start(
        'bash',
        REPOSITORY / 'tools' / 'dist_test.sh',
        config,
        bad,
        2,
        '--work-dir',
        tmp_path / 'out',
        *options(garment_data),
    )
    assert result.status != 0 and not marker.exists()
    assert f'error: {bad}: holds more than weights (posix.mkdir)' in result.err
    assert 'Traceback' not in result.err
