"""tools/check_env.py: the verdict on each way in which an environment can be wrong."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'check_env.py'
SPEC = importlib.util.spec_from_file_location('check_env', TOOL)
check_env = sys.modules[SPEC.name] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_env)

NEEDS = check_env.Needs(
    requirements={
        'torch': '>=2.6',
        'numpy': '>=1.26,<3',
        'opencv-python-headless': '>=4.10,<4.13',
        'pycocotools': '==2.0.11',
        'hotcoco': '==1.3.0',
    }
)
GOOD = check_env.Facts(
    python=(3, 11, 7),
    distributions={
        'torch': '2.13.0+cpu',
        'onedl-mmengine': '0.10.12',
        'onedl-mmcv': '2.3.6',
        'onedl-mmdetection': '3.5.1',
        'opencv-python-headless': '4.12.0.88',
        'numpy': '2.2.6',
        'pycocotools': '2.0.11',
        'hotcoco': '1.3.0',
        'mmdet-multigrain': '0.1.0',
    },
    probes={
        'torch': {'version': '2.13.0+cpu', 'cuda': None, 'gpu': False},
        'mmengine': {'version': '0.10.12'},
        'mmcv': {'version': '2.3.6'},
        'mmcv operators': {'cuda': 'not available'},
        'CUDA operators': {},
        'mmdet': {'version': '3.5.1'},
        'cv2': {'version': '4.12.0'},
        'pycocotools': {},
        'hotcoco': {},
        'mmdet_multigrain': {'version': '0.1.0', 'place': str(check_env.ROOT)},
    },
)


def changed(*, without=(), distributions=None, probes=None, **fields):
    """GOOD, less some distributions, with others and other probe results."""
    left = {name: version for name, version in GOOD.distributions.items() if name not in without}
    return replace(
        GOOD,
        distributions={**left, **(distributions or {})},
        probes={**GOOD.probes, **(probes or {})},
        **fields,
    )


def lacking(module):
    return {'error': f"ModuleNotFoundError: No module named '{module}'", 'lacks': module}


def wrong_rows(facts, needs=NEEDS):
    return {row.piece: row for row in check_env.judge(facts, needs) if row.fix}


def test_complete_environment_needs_nothing():
    rows = check_env.judge(GOOD, NEEDS)
    assert tuple(row.piece for row in rows) == tuple(check_env.PIECES)
    assert {row.state for row in rows} == {'ok', 'skipped'}
    assert not any(row.fix for row in rows)


@pytest.mark.parametrize(
    'facts, piece, state, detail',
    [
        (
            changed(without=['torch'], probes={'torch': lacking('torch')}),
            'torch',
            'missing',
            'not installed',
        ),
        (
            changed(probes={'torch': {'version': '2.1.2', 'cuda': None, 'gpu': False}}),
            'torch',
            'broken',
            '>=2.6 is needed',
        ),
        (
            changed(probes={'mmcv operators': lacking('mmcv._ext')}),
            'mmcv operators',
            'missing',
            'without its operators',
        ),
        (
            changed(probes={'mmcv operators': {'error': 'ImportError: undefined symbol: _ZN2at'}}),
            'mmcv operators',
            'broken',
            'compiled for another torch',
        ),
        (
            changed(probes={'mmcv operators': {'error': 'RuntimeError: nms kept [0]'}}),
            'mmcv operators',
            'broken',
            'nms kept [0]',
        ),
        (
            changed(distributions={'mmcv-lite': '2.2.0'}),
            'mmcv',
            'broken',
            'onedl-mmcv 2.3.6 and mmcv-lite 2.2.0',
        ),
        (
            changed(
                without=['onedl-mmdetection'],
                distributions={'mmdet': '3.3.0'},
                probes={'mmdet': {'error': 'AssertionError: MMCV==2.3.6 is used'}},
            ),
            'mmdet',
            'broken',
            'mmdet 3.3.0 takes mmcv 2.0.0 to 2.1.x, not onedl-mmcv 2.3.6',
        ),
    ],
)
def test_setup_fixes_what_is_compiled_or_conflicts(facts, piece, state, detail):
    wrong = wrong_rows(facts)
    assert list(wrong) == [piece]
    assert wrong[piece].state == state
    assert detail in wrong[piece].detail
    assert wrong[piece].fix == NEEDS.setup


def official(torch, **distributions):
    """With OpenMMLab's own packages."""
    versions = {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmdet': '3.3.0', 'setuptools': '80.10.2'}
    return changed(
        without=['onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection'],
        distributions={**versions, 'torch': torch, 'numpy': '1.26.4', **distributions},
        probes={'torch': {'version': torch, 'cuda': None, 'gpu': False}},
    )


@pytest.mark.parametrize('torch', ['2.1.2+cu121', '2.5.1', '2.13.0'])
def test_official_packages_pass_where_they_work(torch):
    assert not wrong_rows(official(torch))


@pytest.mark.parametrize(
    ('facts', 'piece', 'detail', 'fix'),
    [
        (official('2.0.1'), 'torch', '>=2.1 is needed', NEEDS.setup),
        (official('2.1.2', numpy='2.0.2'), 'torch', 'takes NumPy 1, not 2.0.2', 'numpy>=1.26,<2'),
        (official('2.1.2', setuptools='82.0.1'), 'mmengine', 'setuptools 82.0.1', 'setuptools>='),
    ],
)
def test_what_official_packages_need(facts, piece, detail, fix):
    wrong = wrong_rows(facts)
    assert list(wrong) == [piece]
    assert detail in wrong[piece].detail and fix in wrong[piece].fix


@pytest.mark.parametrize(
    'facts, piece, state, fix',
    [
        (
            changed(without=['hotcoco'], probes={'hotcoco': lacking('hotcoco')}),
            'hotcoco',
            'missing',
            'python -m pip install hotcoco==1.3.0',
        ),
        (
            changed(probes={'hotcoco': {'error': 'ImportError: bad file'}}),
            'hotcoco',
            'broken',
            'python -m pip install --force-reinstall --no-deps hotcoco==1.3.0',
        ),
        (
            changed(distributions={'pycocotools': '2.0.8'}),
            'pycocotools',
            'broken',
            'python -m pip install pycocotools==2.0.11',
        ),
        (
            changed(without=['numpy']),
            'requirements',
            'missing',
            "python -m pip install 'numpy>=1.26,<3'",
        ),
        (
            changed(distributions={'numpy': '3.0.0'}),
            'requirements',
            'missing',
            "python -m pip install 'numpy>=1.26,<3'",
        ),
        (
            changed(
                without=['opencv-python-headless'],
                distributions={'opencv-python': '4.12.0.88'},
                probes={'cv2': {'error': 'ImportError: libGL.so.1: cannot open'}},
            ),
            'cv2',
            'broken',
            'python -m pip uninstall -y opencv-python && '
            "python -m pip install 'opencv-python-headless>=4.10,<4.13'",
        ),
        (
            changed(
                without=['mmdet-multigrain'],
                probes={'mmdet_multigrain': lacking('mmdet_multigrain')},
            ),
            'mmdet_multigrain',
            'missing',
            'python -m pip install --no-deps --no-build-isolation -e ',
        ),
        (
            changed(probes={'mmdet_multigrain': {'version': '0.1.0', 'place': '/elsewhere'}}),
            'mmdet_multigrain',
            'broken',
            'python -m pip install --no-deps --no-build-isolation -e ',
        ),
    ],
)
def test_pip_fixes_what_is_plain(facts, piece, state, fix):
    wrong = wrong_rows(facts)
    assert list(wrong) == [piece]
    assert wrong[piece].state == state
    assert wrong[piece].fix.startswith(fix)


def test_one_command_where_setup_is_needed_anyway():
    facts = changed(
        without=['torch', 'hotcoco'],
        probes={'torch': lacking('torch'), 'hotcoco': lacking('hotcoco')},
    )
    wrong = wrong_rows(facts)
    assert set(wrong) == {'torch', 'hotcoco'}
    assert {row.fix for row in wrong.values()} == {NEEDS.setup}


def test_a_python_that_will_not_do_is_all_that_is_said():
    [row] = check_env.judge(replace(GOOD, python=(3, 9, 18), probes={}), NEEDS)
    assert (row.piece, row.state, row.version) == ('python', 'broken', '3.9.18')
    assert 'Python 3.10 or newer' in row.detail and row.fix == NEEDS.setup


def test_a_python_newer_than_the_newest_tested_is_mentioned():
    for python, detail in (((3, 13, 1), ''), ((3, 14, 0), 'newer than the newest tested, 3.13')):
        row = check_env.judge(replace(GOOD, python=python), NEEDS)[0]
        assert (row.state, row.detail, row.fix) == ('ok', detail, '')


@pytest.mark.parametrize(
    'gpu, compiled, error, cuda, state',
    [
        (True, 'not available', 'RuntimeError: not compiled with GPU', 'auto', 'missing'),
        (True, 'not available', 'RuntimeError: not compiled with GPU', 'off', 'skipped'),
        (False, 'not available', None, 'auto', 'skipped'),
        (False, 'not available', None, 'on', 'missing'),
        (False, '13.0', None, 'on', 'ok'),
        (True, '13.0', None, 'auto', 'ok'),
        (True, '13.0', 'RuntimeError: no kernel image', 'auto', 'broken'),
        (True, '13.0', 'RuntimeError: no kernel image', 'off', 'ok'),
    ],
)
def test_cuda_operators(gpu, compiled, error, cuda, state):
    facts = changed(
        probes={
            'torch': {'version': '2.13.0', 'cuda': '13.0', 'gpu': gpu},
            'mmcv operators': {'cuda': compiled},
            'CUDA operators': {'error': error} if error else {},
        }
    )
    needs = replace(NEEDS, cuda=cuda)
    rows = {row.piece: row for row in check_env.judge(facts, needs)}
    assert rows['CUDA operators'].state == state
    assert bool(wrong_rows(facts, needs)) == (state in ('missing', 'broken'))


def test_a_gpu_that_torch_cannot_use_is_mentioned():
    rows = check_env.judge(replace(GOOD, gpu_in_machine=True), NEEDS)
    torch = next(row for row in rows if row.piece == 'torch')
    assert torch.state == 'ok'
    assert 'cannot use the GPU' in torch.detail


@pytest.mark.parametrize(
    'version, wanted, expected',
    [
        ('2.0.11', '==2.0.11', True),
        ('2.0.110', '==2.0.11', False),
        ('2.13.0+cpu', '>=2.4', True),
        ('2.4', '>=2.4.0', True),
        ('10.0', '>=9.1', True),
        ('3.0.0', '>=1.26,<3', False),
        ('4.12.0.88', '>=4.10,<4.13', True),
        ('4.9.0', '>=4.10,<4.13', False),
        ('1.0', '', True),
    ],
)
def test_satisfies(version, wanted, expected):
    assert check_env.satisfies(version, wanted) is expected


def test_every_range_in_our_files_can_be_read(repository):
    files = [repository / 'requirements.txt', *(repository / 'requirements').glob('*.txt')]
    wanted = check_env.read_requirements(*files)
    assert wanted['pycocotools'] == '==2.0.11'
    assert wanted['six'] == ''
    assert all(check_env.satisfies('999', bounds) in (True, False) for bounds in wanted.values())


def test_constraints_follow_the_requirements(repository):
    folder = repository / 'requirements'
    ranges = check_env.read_requirements(repository / 'requirements.txt', *folder.glob('*.txt'))
    pins = {
        path.stem: check_env.read_requirements(path)
        for path in (folder / 'constraints').glob('*.txt')
    }
    for file, pinned in pins.items():
        for name, pin in pinned.items():
            assert check_env.satisfies(pin.removeprefix('=='), ranges[name]), (file, name)
    bounds = {
        name: re.match(r'>=([\d.]+)', wanted).group(1)
        for name, wanted in ranges.items()
        if '>=' in wanted
    }
    assert pins['lowest'].keys() == bounds.keys()
    for name, bound in bounds.items():  # 1.26 -> 1.26.0, or the oldest that was not withdrawn
        assert f'{pins["lowest"][name]}.'.startswith(f'=={bound}.')


def test_comments_and_blanks_in_requirements(tmp_path):
    path = tmp_path / 'requirements.txt'
    path.write_text('# all\n\nPillow >= 10.0, <14  # pictures\nsix\n', encoding='utf-8')
    assert check_env.read_requirements(path) == {'pillow': '>=10.0,<14', 'six': ''}


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """Writes modules that shadow the real ones in the probes' processes."""
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))

    def write(name, code):
        (tmp_path / f'{name}.py').write_text(code, encoding='utf-8')

    return write


def test_a_probe_that_crashes_costs_only_its_own_row(stubs):
    stubs('pycocotools', 'import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n')
    stubs('hotcoco', 'import sys\nprint("noise")\nprint("noise", file=sys.stderr)\n')
    results = check_env.run_probes(['pycocotools', 'hotcoco'])
    assert results == {
        'pycocotools': {'error': 'its import ended Python (status -11)'},
        'hotcoco': {'version': ''},
    }


def test_a_probe_tells_what_is_not_there(stubs):
    stubs('cv2', 'raise ImportError("libGL.so.1: cannot open shared object file\\nmore")\n')
    stubs('hotcoco', 'import a_module_that_nobody_has\n')
    results = check_env.run_probes(['cv2', 'hotcoco'])
    assert results['cv2'] == {'error': 'ImportError: libGL.so.1: cannot open shared object file'}
    assert results['hotcoco']['lacks'] == 'a_module_that_nobody_has'


def test_a_probe_that_hangs_is_ended(stubs, monkeypatch):
    monkeypatch.setattr(check_env, 'PROBE_SECONDS', 1)
    stubs('hotcoco', 'import time\ntime.sleep(60)\n')
    assert check_env.run_probes(['hotcoco']) == {'hotcoco': {'error': 'no answer within 1 s'}}


def test_command_line_prints_json_and_nothing_else(stubs, tmp_path):
    stubs('hotcoco', 'raise ImportError("torn file")\n')
    command = [sys.executable, str(TOOL), '--json', '--only', 'python', '--only', 'hotcoco']
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (run.returncode, run.stderr) == (1, '')
    assert [row['state'] for row in json.loads(run.stdout)] == ['ok', 'broken']


def test_command_line_names_the_fix(stubs, tmp_path):
    stubs('hotcoco', 'raise ImportError("torn file")\n')
    command = [sys.executable, str(TOOL), '--quiet', '--only', 'python', '--only', 'hotcoco']
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    first, *_, last = run.stdout.splitlines()
    assert 'torn file' in first
    assert last.startswith('    ')
    assert 'hotcoco==1.3.0' in last or 'setup.sh' in last
