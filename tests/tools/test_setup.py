"""tools/setup.sh: what it answers before it installs anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def setup(tmp_path, repository):
    """Calls a copy of the script, whose repository is a folder with a blank in its name."""
    root = tmp_path / 'a clone'
    (root / 'tools').mkdir(parents=True)
    shutil.copy(repository / 'tools' / 'setup.sh', root / 'tools')

    def call(*arguments: str, cwd: Path = tmp_path, path: Path | None = None):
        command = ['/bin/bash', str(root / 'tools' / 'setup.sh'), *arguments]
        env = {'PATH': str(path) if path else '/usr/bin:/bin'}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, env=env, check=False
        )

    call.root = root
    return call


def fake_python(path: Path, *, supported: bool) -> Path:
    """Answers what the script asks a Python for: whether it will do, and its version."""
    path.write_text(
        f'#!/bin/sh\ncase "$2" in *version_info*) exit {0 if supported else 1};; '
        'esac\necho 3.13.1\n',
        encoding='utf-8',
    )
    path.chmod(0o755)
    return path


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


def test_python_that_is_not_there(setup):
    assert 'python9.9' in one_line(setup('--python', 'python9.9'))


def test_python_that_will_not_do(setup, tmp_path):
    fake_python(tmp_path / 'mypython', supported=False)
    assert 'is not Python 3.10, 3.11 or 3.12' in one_line(setup('--python', './mypython'))
    assert not (setup.root / '.venv').exists()


def test_no_python_on_the_path(setup, tmp_path):
    tools = tmp_path / 'bin'
    tools.mkdir()
    for name in ('dirname', 'ls', 'cat'):
        (tools / name).symlink_to(shutil.which(name))
    fake_python(tools / 'python3', supported=False)
    assert 'no Python 3.10, 3.11 or 3.12 on the PATH' in one_line(setup(path=tools))


def test_active_environment_that_will_not_do(setup, tmp_path):
    python = fake_python(tmp_path / 'mypython', supported=False)
    line = one_line(setup('--active', '--python', str(python)))
    assert 'is Python 3.13.1; 3.10, 3.11 or 3.12 is needed' in line


def test_a_folder_that_is_no_environment_is_left_alone(setup):
    mine = setup.root / '.venv' / 'notes.txt'
    mine.parent.mkdir()
    mine.write_text('mine', encoding='utf-8')
    assert 'is no virtual environment' in one_line(setup())
    assert mine.read_text(encoding='utf-8') == 'mine'
