"""The wheel: it carries configs and tools, and trains from an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from .tools.conftest import REPOSITORY, SMALL, start


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """The package as pip installs it, in a folder of its own."""
    folder = tmp_path_factory.mktemp('wheel')
    options = ['--quiet', '--no-deps', '--no-build-isolation', '--no-index']
    # From a copy: a build writes into the folder that it builds.
    source = folder / 'source'
    tracked = subprocess.run(
        ['git', '-C', str(REPOSITORY), 'ls-files', '-co', '--exclude-standard'],
        capture_output=True,
        text=True,
    )
    if tracked.returncode:
        pytest.skip('not a git checkout')
    for name in tracked.stdout.splitlines():
        if name.startswith(('tests/', 'docs/', 'benchmarks/')) or not (REPOSITORY / name).is_file():
            continue
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REPOSITORY / name).read_bytes())
    pip = [sys.executable, '-m', 'pip']
    subprocess.run([*pip, 'wheel', *options, '-w', folder / 'wheels', source], check=True)
    (wheel,) = (folder / 'wheels').glob('*.whl')
    subprocess.run([*pip, 'install', *options, '--target', folder / 'site', wheel], check=True)
    return folder / 'site'


def test_it_carries_configs_and_tools(installed):
    package = installed / 'mmdet_multigrain' / '.mim'
    for name in ('configs', 'tools'):
        carried = {path.relative_to(package / name) for path in (package / name).rglob('*.py')}
        ours = {path.relative_to(REPOSITORY / name) for path in (REPOSITORY / name).rglob('*.py')}
        assert carried == ours


def test_it_carries_data_and_templates(installed):
    package = REPOSITORY / 'mmdet_multigrain'
    ours = {
        path.relative_to(package)
        for path in package.rglob('*')
        if path.suffix in ('.yaml', '.j2', '.css', '.js')
    }
    assert ours
    assert not [path for path in ours if not (installed / 'mmdet_multigrain' / path).is_file()]


def test_it_prints_the_folder_of_its_configs(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = start(sys.executable, '-m', 'mmdet_multigrain.configs', PYTHONPATH=str(installed))
    assert shown.out.strip() == str(installed / 'mmdet_multigrain' / '.mim' / 'configs')


def test_it_trains_in_an_empty_folder(installed, garments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = installed / 'mmdet_multigrain' / '.mim'
    shown = start(
        sys.executable,
        package / 'tools' / 'train.py',
        package / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py',
        '--speed',
        'fast-loading',
        '--cfg-options',
        *SMALL,
        f'data_root={garments}',
        PYTHONPATH=str(installed),
    )
    assert shown.status == 0, shown.err
    assert shown.iterations == [(1, 2), (2, 2)]
    assert (tmp_path / 'work_dirs' / 'wgroup_r18_fpn_synthetic' / 'iter_2.pth').is_file()


@pytest.fixture
def garments(tmp_path):
    """Drawn garments, converted."""
    from mmdet_multigrain.converters.deepfashion2 import convert
    from mmdet_multigrain.converters.synthetic_deepfashion2 import SyntheticSpec, generate

    root = tmp_path / 'data'
    generate(root, SyntheticSpec(num_train=8, num_val=3, width=64, height=80), progress=False)
    for split in ('train', 'validation'):
        convert(root, split, progress=False)
    return root
