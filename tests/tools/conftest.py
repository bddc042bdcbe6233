"""The command lines on drawn garments: data, one trained checkpoint, and ways to call a tool."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import torch
from yapf.yapflib import yapf_api

from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.converters.synthetic_deepfashion2 import SyntheticSpec, generate

REPOSITORY = Path(__file__).resolve().parents[2]
NUM_VAL = 7  # odd: two processes do not get equal shares
# A detector that two cores train in seconds, in short runs that tell every iteration.
SMALL = (
    'model.backbone.base_channels=8',
    'model.neck.in_channels=[8,16,32,64]',
    'model.roi_head.bbox_head.fc_out_channels=32',
    'train_cfg.max_iters=2',
    'train_cfg.val_interval=2',
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.batch_size=1',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=1',
)
_run_numbers = itertools.count()


@dataclass(frozen=True)
class Result:
    """Exit status and screen of a command line."""

    status: int
    out: str
    err: str

    @property
    def iterations(self) -> list[tuple[int, int]]:
        """(iteration, of how many) of each training line."""
        found = re.findall(r'Iter\(train\) +\[(\d+)/(\d+)\]', self.out)
        return [(int(number), int(total)) for number, total in found]

    @property
    def losses(self) -> list[str]:
        """Everything that training lines say of losses and accuracies."""
        return re.findall(r'Iter\(train\).*( loss: .*)', self.out)

    def error(self) -> str:
        """The one line that a failed call shows on stderr."""
        assert self.status == 2, self.out[-2000:] + self.err
        assert 'Traceback' not in self.out + self.err
        err = re.sub(r'^Downloading: .*\n', '', self.err)  # by torch 2.1
        assert err.startswith('error: ') and err.count('\n') == 1, err
        return err.strip()


def call(tool: str, *arguments: object) -> Result:
    """Run tools/<tool>.py within this process, which has imported everything already."""
    return call_script(REPOSITORY / 'tools' / f'{tool}.py', *arguments)


def call_script(script: Path, *arguments: object) -> Result:
    """Run a script within this process."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(sys, 'argv', [str(script), *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(script), run_name='__main__')
        except SystemExit as stop:
            status = stop.code or 0
    return Result(status, out.getvalue(), err.getvalue())


def start(*command: object, **environment: str) -> Result:
    """Run a command in a separate process, one thread in each of its processes."""
    variables = {
        **os.environ,
        'PYTHONPATH': str(REPOSITORY),
        'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
        'VIRTUAL_ENV': sys.prefix,
        'OMP_NUM_THREADS': '1',
        **environment,
    }
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=300, env=variables
    )
    return Result(done.returncode, done.stdout, done.stderr)


def options(data: Path, *more: str) -> list[str]:
    """--cfg-options for a small detector on a data set."""
    # MMEngine names a run by the second; two calls within one would share their log.
    name = f'experiment_name=run{next(_run_numbers)}'
    return ['--cfg-options', *SMALL, f'data_root={data}', name, *more]


@pytest.fixture(scope='session', autouse=True)
def one_thread() -> None:
    """Same sums in this process as in those that `start` runs; and no fight for cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope='session', autouse=True)
def plain_configs() -> Iterator[None]:
    """MMEngine formats the config whenever it saves, half of the time of a short run."""
    with mock.patch.object(yapf_api, 'FormatCode', lambda text, **options: (text, True)):
        yield


@pytest.fixture(scope='session')
def config() -> Path:
    """The config that is trained."""
    return REPOSITORY / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'


@pytest.fixture(scope='session')
def garment_data(tmp_path_factory) -> Path:
    """Drawn garments, converted."""
    root = tmp_path_factory.mktemp('garments') / 'data'
    spec = SyntheticSpec(num_train=16, num_val=NUM_VAL, width=64, height=80)
    generate(root, spec, progress=False)
    for split in ('train', 'validation'):
        convert(root, split, progress=False)
    return root


@dataclass(frozen=True)
class Trained:
    """A finished run: its folder, its last checkpoint, what it showed on the screen."""

    work_dir: Path
    checkpoint: Path
    screen: Result


@pytest.fixture(scope='session')
def trained(tmp_path_factory, garment_data, config) -> Trained:
    """One run of train.py, in a separate process, as a user starts it."""
    work_dir = tmp_path_factory.mktemp('trained')
    screen = start(
        sys.executable,
        REPOSITORY / 'tools' / 'train.py',
        config,
        '--seed',
        0,
        '--work-dir',
        work_dir,
        *options(garment_data),
    )
    assert screen.status == 0, screen.err
    return Trained(work_dir, work_dir / 'iter_2.pth', screen)


@dataclass(frozen=True)
class Tested:
    """A test by one process: the file with the numbers, the pictures, the screen."""

    result: Path
    pictures: Path
    screen: Result


@pytest.fixture(scope='session')
def tested(tmp_path_factory, garment_data, config, trained) -> Tested:
    """One run of test.py with --out and --show-dir."""
    folder = tmp_path_factory.mktemp('tested')
    screen = call(
        'test',
        config,
        trained.checkpoint,
        '--work-dir',
        folder / 'work',
        '--out',
        folder / 'numbers.json',
        '--show-dir',
        folder / 'pictures',
        *options(garment_data),
    )
    assert screen.status == 0, screen.err
    return Tested(folder / 'numbers.json', folder / 'pictures', screen)


@pytest.fixture
def run_folder(trained, garment_data, tmp_path, monkeypatch) -> Path:
    """The current folder, with a run and a photo, as examples in the docs name them."""
    run = tmp_path / 'work_dirs' / 'wgroup_lite0_fpn_custom'
    run.mkdir(parents=True)
    shutil.copy(trained.work_dir / 'wgroup_r18_fpn_synthetic.py', f'{run}/{run.name}.py')
    shutil.copy(trained.checkpoint, run / 'iter_1000.pth')
    photo = next((garment_data / 'validation' / 'image').iterdir())
    shutil.copy(photo, tmp_path / 'photo.jpg')
    monkeypatch.chdir(tmp_path)
    return tmp_path
