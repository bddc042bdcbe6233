"""The same call gives the same bytes: training, test, converters, statistics, checks.

What differs by nature (times, folders) is named here, one by one. Of report and browse, the same is
in their own tests.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shlex
import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks.common.run_equality import differences, log_entries

from .conftest import REPOSITORY, call, options


def files(folder: Path) -> dict[str, bytes]:
    """Content of all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_training_again_gives_the_same_bits(trained, garment_data, config, tmp_path):
    # In this process and another folder, to which nothing may lead.
    more = options(garment_data)
    done = call('train', config, '--seed', 0, '--work-dir', tmp_path, *more)
    assert done.status == 0, done.err
    first, second = (
        torch.load(path, weights_only=False)
        for path in (trained.checkpoint, tmp_path / 'iter_2.pth')
    )
    assert not [*differences(first, second)]
    for name, tensor in first['state_dict'].items():
        assert torch.equal(
            tensor.view(-1).view(torch.uint8), second['state_dict'][name].view(-1).view(torch.uint8)
        ), name
    entries, _ = log_entries(trained.work_dir)
    again, _ = log_entries(tmp_path)
    assert {kind for kind, _ in entries} == {'train', 'val'}
    assert not [*differences(entries, again)]


def test_other_weights_are_noticed(trained):
    first, other = (
        torch.load(trained.work_dir / name, weights_only=False)['state_dict']
        for name in ('iter_1.pth', 'iter_2.pth')
    )
    assert [*differences(first, other)]


def test_testing_again_gives_the_same_file(tested, trained, garment_data, config, tmp_path):
    done = call(
        'test',
        config,
        trained.checkpoint,
        '--work-dir',
        tmp_path / 'work',
        '--out',
        tmp_path / 'numbers.json',
        '--show-dir',
        tmp_path / 'pictures',
        *options(garment_data),
    )
    assert done.status == 0, done.err
    first, second = (
        json.loads(path.read_bytes()) for path in (tested.result, tmp_path / 'numbers.json')
    )
    # It names the folder of the result.
    assert first['run'].pop('command') != second['run'].pop('command')
    for result in (first, second):  # somebody may commit while the tests run
        result['run'].pop('git_revision')
    assert json.dumps(first) == json.dumps(second)
    name = 'numbers.bbox.json'
    assert tested.result.with_name(name).read_bytes() == (tmp_path / name).read_bytes()
    assert files(tested.pictures) == files(tmp_path / 'pictures')


def test_the_record_of_a_test_is_true(tested, trained, config, garment_data):
    run = json.loads(tested.result.read_bytes())['run']
    script, *arguments = shlex.split(run['command'])
    assert Path(script) == REPOSITORY / 'tools' / 'test.py'
    assert arguments[:2] == [str(config), str(trained.checkpoint)]
    assert f'data_root={garment_data}' in arguments
    assert (run['config'], run['checkpoint']) == (str(config), str(trained.checkpoint))
    assert (run['seed'], run['iteration']) == (0, 2)
    packages = {'torch': 'torch', 'numpy': 'numpy'}
    for name, package in packages.items():
        assert (
            run['versions'][name].split('+')[0] == importlib.metadata.version(package).split('+')[0]
        )
    assert run['versions']['python'] == platform.python_version()
    assert all(run['versions'][name] for name in ('mmengine', 'mmcv', 'mmdet', 'mmdet_multigrain'))
    head = subprocess.run(
        ['git', '-C', REPOSITORY, 'rev-list', '--max-count=50', 'HEAD'],
        capture_output=True,
        text=True,
    )
    if head.returncode:  # an installed package, or no git: then it says that it does not know
        assert run['git_revision'] is None
    else:  # somebody may commit while the tests run
        assert run['git_revision'].removesuffix('+') in head.stdout.split()


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('analysis_tools/dataset_stats', ['TRAIN', 'VAL', '--out', 'OUT']),
        ('check_dataset', ['TRAIN', 'VAL', '--json', 'OUT/report.json', '--fix', 'OUT/fixed']),
        ('make_taxonomy', ['--from', 'coco', 'TRAIN', '--out', 'OUT/x.yaml']),
        ('dataset_converters/deepfashion2', ['DATA', '--out-dir', 'OUT', '--workers', 'N']),
        (
            'dataset_converters/make_synthetic_deepfashion2',
            ['OUT', '--num-train', 5, '--num-val', 2, '--image-size', '64x80'],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_a_tool_again_gives_the_same_files(tool, arguments, garment_data, tmp_path):
    annotations = garment_data / 'annotations'
    written, screens = [], []
    for number in (1, 2):
        out = tmp_path / f'out{number}'
        meant = {
            'TRAIN': annotations / 'train.json',
            'VAL': annotations / 'validation.json',
            'DATA': garment_data,
            'N': number,
        }
        done = call(
            tool,
            *(
                str(meant.get(argument, argument)).replace('OUT', str(out))
                for argument in arguments
            ),
        )
        assert done.status in (0, 1), done.err
        written.append(files(out))
        screens.append(done.out.replace(str(out), ''))
    assert written[0] and written[0].keys() == written[1].keys()
    for name, content in written[0].items():
        # The report of check_dataset names the files that it wrote.
        assert content.replace(b'out1', b'out2') == written[1][name], name
    assert screens[0] == screens[1]
