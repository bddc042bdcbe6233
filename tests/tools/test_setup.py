"""tools/setup.sh up to its first installation and where mmcv's build fails; tools/mmcv_cxx.sh."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from configparser import ConfigParser
from pathlib import Path

import pytest

# What tools/setup.sh asks a Python for, apart from the installations.
FAKE_PYTHON = r"""#!/bin/bash
here=$(cd -- "$(dirname -- "$0")" && pwd)
echo "$*" >>"$here/calls"
case "$*" in
    *version_info*) echo {age} ;;
    *python_version*) echo {version} ;;
    *sys.prefix* | *get_path*) echo "$here" ;;
    *torch.cuda*) echo '0 None' ;;
    '- '*) echo ;;
    *'--only mmcv operators'*) [[ -e $here/operators ]] ;;
    *'pip freeze'*) ;;
    *'pip install'*onedl-mmcv==*)
        echo "$CXX|${{REAL_CXX-}}|${{PREFIX_HEADERS-}}|$(command -v "${{CXX:-c++}}")" >>"$here/builds"
        [[ -z ${{PREFIX_HEADERS-}} || -d $PREFIX_HEADERS ]] || exit 1
        . "$here/build" ;;
esac
"""


@pytest.fixture
def setup(tmp_path, repository):
    """Calls a copy of the script, whose repository is a folder with a blank in its name."""
    root = tmp_path / 'a clone'
    (root / 'tools').mkdir(parents=True)
    for name in ('setup.sh', 'setup_steps.sh'):
        shutil.copy(repository / 'tools' / name, root / 'tools')

    def call(*arguments: str, cwd: Path = tmp_path, path: Path | None = None, **env: str):
        command = ['/bin/bash', str(root / 'tools' / 'setup.sh'), *arguments]
        env['PATH'] = str(path) if path else '/usr/bin:/bin'
        return subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, env=env, check=False
        )

    call.root = root
    return call


def script(path: Path, text: str) -> Path:
    path.write_text(text, encoding='utf-8')
    path.chmod(0o755)
    return path


def fake_python(path: Path, age: str = 'tested', version: str = '3.11.7') -> Path:
    return script(path, FAKE_PYTHON.format(age=age, version=version))


def one_line(run) -> str:
    assert run.returncode == 2, run
    [line] = run.stderr.splitlines()
    assert line.startswith('error: ')
    return line


def test_help_is_the_header(setup):
    run = setup('--help')
    assert run.returncode == 0
    assert run.stdout.startswith('Installs everything')
    assert 'MULTIGRAIN_TORCH' in run.stdout
    assert 'set -euo' not in run.stdout


def test_unknown_option(setup):
    assert 'unknown option --actve' in one_line(setup('--actve'))


def test_constraints_that_are_not_there(setup):
    assert '--constraint: no such file: old.txt' in one_line(setup('--constraint', 'old.txt'))


# ---------------------------------------------------------------- which Python


def test_python_that_is_not_there(setup):
    assert 'python9.9' in one_line(setup('--python', 'python9.9'))


def test_a_python_that_is_too_old(setup, tmp_path):
    fake_python(tmp_path / 'mypython', 'old', '3.9.1')
    assert 'is not Python 3.10 or newer' in one_line(setup('--python', './mypython'))
    assert not (setup.root / '.venv').exists()


def test_no_python_on_the_path(setup, tmp_path):
    tools = tmp_path / 'bin'
    tools.mkdir()
    for name in ('dirname', 'ls', 'cat'):
        (tools / name).symlink_to(shutil.which(name))
    fake_python(tools / 'python3', 'old', '3.9.1')
    line = one_line(setup(path=tools))
    assert 'no Python 3.10 or newer on the PATH: name another with --python' in line
    assert 'uv venv --seed --python 3.13 .venv' in line


def test_active_environment_that_is_too_old(setup, tmp_path):
    python = fake_python(tmp_path / 'mypython', 'old', '3.9.1')
    line = one_line(setup('--active', '--python', str(python)))
    assert 'is Python 3.9.1, but 3.10 or newer is needed: name another' in line


def test_the_age_of_this_python(setup, repository):
    """The fakes above only say what the script's own line prints."""
    text = (repository / 'tools' / 'setup.sh').read_text('utf-8')
    code = re.search(r'^age\(\) \{\n.*?^\}\n', text, re.MULTILINE | re.DOTALL).group()
    for oldest, newest, age in (
        ('3.9', '3.99', 'tested'),
        ('3.9', '3.9', 'new'),
        ('4.0', '', 'old'),
    ):
        command = f'OLDEST={oldest} NEWEST={newest or oldest}; {code} age python3'
        run = subprocess.run(['bash', '-c', command], capture_output=True, text=True, check=True)
        assert run.stdout == f'{age}\n'


def test_a_tested_python_comes_before_a_newer_one(setup, tmp_path):
    tools = tmp_path / 'bin'
    tools.mkdir()
    for name in ('dirname', 'ls', 'cat', 'bash'):
        (tools / name).symlink_to(shutil.which(name))
    fake_python(tools / 'python3', 'new', '3.99.0')
    fake_python(tools / 'python3.12', 'tested', '3.12.1')
    assert 'making .venv with Python 3.12.1' in setup(path=tools).stdout
    (tools / 'python3.12').unlink()
    assert 'making .venv with Python 3.99.0' in setup(path=tools).stdout


def test_a_folder_that_is_no_environment_is_left_alone(setup):
    mine = setup.root / '.venv' / 'notes.txt'
    mine.parent.mkdir()
    mine.write_text('mine', encoding='utf-8')
    assert 'is not a virtual environment' in one_line(setup())
    assert mine.read_text(encoding='utf-8') == 'mine'


def test_everything_names_the_same_pythons(repository):
    setup = (repository / 'tools' / 'setup.sh').read_text('utf-8')
    newest = re.search(r'^OLDEST=3\.10 NEWEST=3\.(\d+)$', setup, re.MULTILINE).group(1)
    minors = range(10, int(newest) + 1)
    assert ' '.join(f'python3.{minor}' for minor in reversed(minors)) in setup
    config = ConfigParser()
    config.read(repository / 'setup.cfg', 'utf-8')
    classifiers = re.findall(r'Python :: 3\.(\d+)', config['metadata']['classifiers'])
    assert [int(minor) for minor in classifiers] == list(minors)
    assert config['options']['python_requires'] == '>=3.10'
    check = (repository / 'tools' / 'check_env.py').read_text('utf-8')
    assert f'OLDEST, NEWEST = (3, 10), (3, {newest})\n' in check


# ---------------------------------------------------------------- mmcv's build


@pytest.fixture
def build(setup, tmp_path, repository):
    """Runs the whole script in a fake environment, in which a script stands for mmcv's build."""
    for name in ('requirements', 'requirements.txt', 'setup.cfg', 'pyproject.toml'):
        source = repository / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, setup.root / name)
    shutil.copy(repository / 'tools' / 'mmcv_cxx.sh', setup.root / 'tools')
    folder = tmp_path / 'environment'
    folder.mkdir()

    def call(what: str, age: str = 'tested', options: Sequence[str] = (), **env: str):
        python = fake_python(folder / 'python', age)
        (folder / 'build').write_text(what, encoding='utf-8')
        run = setup('--active', '--python', str(python), *options, **env)
        assert not (folder / 'multigrain_setup' / 'headers').exists()
        builds = folder / 'builds'
        lines = builds.read_text('utf-8').splitlines() if builds.exists() else []
        return run, [line.split('|') for line in lines]

    call.folder = folder
    return call


def test_mmcv_is_compiled_by_the_fast_compiler(setup, build):
    run, [[cxx, real, headers, found]] = build('touch "$here/operators"', CXX='ccache g++')
    assert run.returncode == 0, run.stderr
    assert (cxx, real) == ('mmcv_cxx.sh', 'ccache g++')
    assert headers == str(build.folder / 'multigrain_setup' / 'headers')
    assert found == str(setup.root / 'tools' / 'mmcv_cxx.sh')


@pytest.mark.parametrize('fast', ['exit 1', 'true'], ids=['it fails', 'its operators do not work'])
def test_a_fast_build_that_fails_is_repeated_plainly(build, fast):
    what = f'echo "  Building wheel"; [[ $CXX != mmcv_cxx.sh ]] || {{ {fast}; return; }}\n'
    run, builds = build(what + 'touch "$here/operators"', CXX='g++')
    assert run.returncode == 0, run.stderr
    assert [cxx for cxx, *_ in builds] == ['mmcv_cxx.sh', 'g++']
    assert 'the fast build failed' in run.stdout
    assert 'Building wheel' in (build.folder / 'multigrain_setup/mmcv-fast.log').read_text('utf-8')


@pytest.mark.parametrize(
    ('log', 'hint'),
    [
        ('No matching distribution found', 'package index'),
        ('Building wheel; Killed', 'MAX_JOBS=1'),
    ],
)
def test_what_a_plain_build_would_not_cure_is_not_repeated(build, log, hint):
    run, builds = build(f'echo "{log}"; exit 1')
    assert (run.returncode, len(builds)) == (1, 1)
    assert run.stderr.startswith('error: mmcv failed:') and hint in run.stderr
    assert 'does not support Python' not in run.stderr


def test_a_kept_wheel_without_operators_is_compiled_anew(build):
    what = '[[ "$*" != *--no-binary* ]] || touch "$here/operators"\necho "Successfully installed"'
    run, builds = build(what)
    assert run.returncode == 0, run.stderr
    assert [cxx for cxx, *_ in builds] == ['mmcv_cxx.sh'] * 2
    assert 'does not fit this torch' in run.stdout


def test_a_newer_python_is_a_warning_that_names_the_way_out(build):
    run, _ = build('echo "No matching distribution found"; exit 1', 'new')
    assert run.returncode == 1
    assert 'does not support Python 3.11.7 yet: name another with --python' in run.stderr
    run, _ = build('touch "$here/operators"', 'new')
    assert run.returncode == 0, run.stderr
    assert 'newer than the newest tested (3.13)' in run.stdout
    assert 'uv venv --seed --python 3.13 .venv' in run.stdout


@pytest.mark.parametrize(
    ('pins', 'torch'), [('torch==2.6.0\nnumpy==1.26.0\n', 'torch'), ('numpy==1.26.0\n', '')]
)
def test_constraints_hold_for_torch_and_the_libraries(build, tmp_path, pins, torch):
    path = tmp_path / 'old versions.txt'
    path.write_text(pins, encoding='utf-8')
    options = ['--constraint', path.name]  # relative to the caller's folder, not to the script's
    run, _ = build('touch "$here/operators"', options=options)
    assert run.returncode == 0, run.stderr
    calls = (build.folder / 'calls').read_text('utf-8').splitlines()
    of_torch, of_libraries = (call for call in calls if f'install --constraint {path} ' in call)
    assert of_torch.endswith(f'requirements/build.txt {torch}'.strip())
    # An OpenCV that works may be too new for the NumPy that is asked for.
    assert 'requirements/detector.txt --requirement requirements.txt' in of_libraries


# ---------------------------------------------------------------- tools/mmcv_cxx.sh

# Notes how it is called, makes its output, and fails for what is named in FAIL.
FAKE_COMPILER = r"""#!/bin/bash
if [[ $1 == -v ]]; then echo "${KIND:-gcc} version 12.2.0" >&2; exit; fi
printf '%s\n' "$*" >>"$CALLS"
[[ -z ${FAIL-} || " $* " != *" $FAIL "* ]] || exit 3
while (($#)); do [[ $1 != -o ]] || touch "$2"; shift; done
"""
FLAGS = '-O3 -g -I /some/folder -fPIC'


@pytest.fixture
def compiler(tmp_path, repository) -> Callable[..., tuple[int, list[str]]]:
    """Calls the compiler around a fake one; returns its status and the fake's calls."""
    script(tmp_path / 'c++', FAKE_COMPILER)
    (tmp_path / 'the headers').mkdir()

    def call(arguments: str, headers: bool = True, **env: str) -> tuple[int, list[str]]:
        calls = tmp_path / 'calls'
        calls.write_text('')
        env.update(PATH=f'{tmp_path}:/usr/bin:/bin', CALLS=str(calls))
        if headers:
            env['PREFIX_HEADERS'] = str(tmp_path / 'the headers')
        command = [str(repository / 'tools' / 'mmcv_cxx.sh'), *arguments.split()]
        status = subprocess.run(command, env=env, cwd=tmp_path, check=False).returncode
        return status, calls.read_text().splitlines()

    return call


def compilation(name: str, flags: str = FLAGS) -> str:
    return f'-MMD -MF {name}.o.d {flags} -c {name}.cpp -o {name}.o'


def test_one_header_serves_all_files_with_the_same_flags(compiler, tmp_path):
    status, [made, used] = compiler(compilation('one'))
    assert status == 0
    header = re.search(r'-x c\+\+-header (.*\.h) -o', made).group(1)
    assert made == f'{FLAGS} -g0 -x c++-header {header} -o {header}.new'
    assert Path(header).read_text('utf-8') == '#include <torch/types.h>\n'
    assert used == f'-include {header} {compilation("one")} -g0 -Winvalid-pch'
    _, [used] = compiler(compilation('two'))
    assert used == f'-include {header} {compilation("two")} -g0 -Winvalid-pch'
    _, [made, _] = compiler(compilation('two', f'{FLAGS} -DOTHER'))
    assert made.startswith(f'{FLAGS} -DOTHER -g0 -x c++-header')
    assert header not in made


def test_a_header_that_fails_is_done_without(compiler):
    status, [_, plain] = compiler(compilation('one'), FAIL='c++-header')
    assert (status, plain) == (0, f'{compilation("one")} -g0')
    assert compiler(compilation('two'), FAIL='c++-header') == (0, [f'{compilation("two")} -g0'])


def test_a_file_does_not_wait_for_a_header_that_is_being_made(compiler, tmp_path):
    _, [made, _] = compiler(compilation('one'))
    header = re.search(r'-x c\+\+-header (.*\.h) -o', made).group(1)
    Path(f'{header}.gch').unlink()
    Path(header).unlink()
    with open(f'{header}.lock') as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        assert compiler(compilation('two')) == (0, [f'{compilation("two")} -g0'])
    assert len(compiler(compilation('two'))[1]) == 2


@pytest.mark.parametrize(
    'arguments',
    [
        '-shared -g one.o two.o -o out.so',
        '-g -c one.c -o one.o',
        '-g one.cpp -o program',
        '--version',
    ],
)
def test_anything_else_passes_through(compiler, arguments):
    assert compiler(arguments) == (0, [arguments])


def test_without_a_folder_and_with_clang_only_debug_information_goes(compiler):
    expected = (0, [f'{compilation("one")} -g0'])
    assert compiler(compilation('one'), headers=False) == expected
    assert compiler(compilation('one'), KIND='clang') == expected


def test_the_status_and_the_arguments_of_the_real_compiler(compiler, tmp_path):
    assert compiler(compilation('one'), FAIL='one.cpp')[0] == 3
    script(tmp_path / 'mine', '#!/bin/bash\n[[ $1 == -v ]] || echo mine >>"$CALLS"\nexec "$@"\n')
    _, calls = compiler(compilation('one'), headers=False, REAL_CXX='mine c++')
    assert calls == ['mine', f'{compilation("one")} -g0']


@pytest.mark.skipif(shutil.which('g++') is None, reason='needs g++')
def test_gcc_takes_the_header(tmp_path, repository):
    """With -H gcc marks a precompiled header that it uses with "!", one that it refuses with "x"."""
    (tmp_path / 'torch').mkdir()
    (tmp_path / 'torch' / 'types.h').write_text('#pragma once\ninline int two() { return 2; }\n')
    (tmp_path / 'one.cpp').write_text(
        '#include <torch/types.h>\nint four() { return 2 * two(); }\n'
    )
    (tmp_path / 'headers').mkdir()
    command = [repository / 'tools' / 'mmcv_cxx.sh', '-H', '-O3', '-g', '-fPIC', f'-I{tmp_path}']
    command += ['-MMD', '-MF', 'one.d', '-c', 'one.cpp', '-o', 'one.o']
    env = {'PATH': '/usr/bin:/bin', 'PREFIX_HEADERS': str(tmp_path / 'headers'), 'REAL_CXX': 'g++'}
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, check=True)
    assert re.search(r'^! .*\.h\.gch$', run.stderr, re.MULTILINE)
    assert b'.debug_info' not in (tmp_path / 'one.o').read_bytes()
