"""What goes wrong is one line and an exit status."""

import io
import os
import socket
import subprocess
import sys
from subprocess import PIPE
from unittest import mock

import pytest
from torch.utils.data import DataLoader

from mmdet_multigrain import launch
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import (
    CheckpointError,
    LostProcessError,
    TaxonomyError,
    UntrustedCheckpointError,
)

HINT = 'MULTIGRAIN_TRACEBACK=1 shows where'


def fail_with(error):
    def main():
        raise error

    return main


def raised(error):
    """The error after it was raised here, as `run_tool` sees it."""
    try:
        raise error
    except type(error) as caught:
        return caught


def of_the_package():
    try:
        Taxonomy.load('deepfashion')
    except TaxonomyError as error:
        return error


def test_success_is_silent(capsys):
    launch.run_tool(lambda: None)
    assert capsys.readouterr() == ('', '')


def test_error_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as caught:
        launch.run_tool(lambda: Taxonomy.load('deepfashion'))
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, '')
    assert err.startswith("error: taxonomy 'deepfashion' is neither built in")
    assert err.count('\n') == 1 and HINT not in err


def test_another_process_cannot_write_into_an_error(monkeypatch):
    pieces = []
    monkeypatch.setattr(sys, 'stderr', mock.Mock(write=pieces.append))
    with pytest.raises(SystemExit):
        launch.run_tool(fail_with(ValueError('x')))
    assert pieces == [f'error: ValueError: x ({HINT})\n']


def test_interrupt_is_status_130(capsys):
    with pytest.raises(SystemExit) as caught:
        launch.run_tool(fail_with(KeyboardInterrupt()), interrupted='continue with --resume')
    assert caught.value.code == 130
    assert capsys.readouterr().err == '\ncontinue with --resume\n'


@pytest.mark.parametrize(
    ('error', 'is_installed_by_setup'),
    [
        (ModuleNotFoundError("No module named 'mmcv._ext'", name='mmcv._ext'), True),
        (ModuleNotFoundError("No module named 'mmdet'", name='mmdet'), True),
        (ImportError('libtorch.so: undefined symbol', name='torch._C'), True),
        (ModuleNotFoundError("No module named 'my_hooks'", name='my_hooks'), False),
        (ImportError('of nothing'), False),
    ],
)
def test_what_set_up_installs_is_named_with_it(error, is_installed_by_setup):
    expected = 'fix: bash tools/setup.sh; . .venv/bin/activate' if is_installed_by_setup else HINT
    assert launch.one_line(error).count(expected) == 1 and str(error) in launch.one_line(error)
    assert ('tools/setup.sh' in launch.one_line(error)) is is_installed_by_setup


def test_exit_of_the_tool_is_kept():
    with pytest.raises(SystemExit) as caught:
        launch.run_tool(fail_with(SystemExit(7)))
    assert caught.value.code == 7


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv('MULTIGRAIN_TRACEBACK', '1')
    with pytest.raises(KeyError):
        launch.run_tool(fail_with(KeyError('x')))


def test_command_line(tmp_path):
    """The whole way once: no traceback, one line, status."""
    tool = tmp_path / 'tool.py'
    tool.write_text(
        'from mmdet_multigrain.launch import check_file, run_tool\n'
        "run_tool(lambda: check_file('no.pth', 'checkpoint'))\n"
    )
    done = subprocess.run(
        [sys.executable, str(tool)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == 'error: no.pth: no such checkpoint; check the path\n'


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (ValueError('a.json: bad\n  entry 3\n'), 'a.json: bad entry 3'),
        (
            OSError(28, 'No space left on device', 'a.pth'),
            "[Errno 28] No space left on device: 'a.pth'",
        ),
        (KeyError('model'), f"KeyError: 'model' ({HINT})"),
        (RuntimeError('shape\nmismatch'), f'RuntimeError: shape mismatch ({HINT})'),
        (AssertionError(), f'AssertionError; {HINT}'),
    ],
)
def test_one_line(error, message):
    error = raised(error)
    if isinstance(error, ValueError):  # raised in a test, not in the package
        assert launch.one_line(error) == f'ValueError: {message} ({HINT})'
    else:
        assert launch.one_line(error) == message


@pytest.mark.parametrize(
    ('kind', 'end'),
    [
        (CheckpointError, 'a.pth: bad'),
        (UntrustedCheckpointError, 'a.pth: bad, or add --trust-checkpoint if you trust its source'),
        (LostProcessError, 'a.pth: bad (--resume)'),
    ],
)
def test_options_of_the_command_line_are_added(kind, end):
    assert launch.one_line(kind('a.pth: bad')) == end


def test_messages_of_the_package_stand_alone():
    assert launch.one_line(of_the_package()).startswith("taxonomy 'deepfashion' is neither")


class Failing:
    """A data set in which reading fails."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if self.error is None:
            Taxonomy.load('deepfashion')
        raise self.error


@pytest.mark.parametrize(
    ('error', 'start', 'end'),
    [
        (None, "taxonomy 'deepfashion' is neither", ''),
        (KeyError('img_path'), "KeyError: 'img_path'", f'({HINT})'),
        (RuntimeError('no such\n  layer\n'), 'RuntimeError: no such layer', f'({HINT})'),
    ],
)
def test_error_of_a_worker(error, start, end):
    batches = iter(DataLoader(Failing(error), num_workers=1))
    with pytest.raises(Exception) as caught:  # noqa: B017 (any type)
        list(batches)
    for worker in batches._workers:
        worker.terminate()  # torch would wait 5 seconds
    message = launch.one_line(caught.value)
    assert '\n' not in message and 'Traceback' not in message
    assert message.startswith(start) and message.endswith(end)


@pytest.mark.parametrize(
    ('lines', 'ending', 'status', 'says'),
    [
        (1, 'pass', 141, b''),
        (10_000, 'pass', 141, b''),
        (1, 'sys.exit()', 0, b''),  # as argparse ends after --help
        (1, 'raise ValueError("odd")', 2, b'odd'),
    ],
)
def test_a_reader_that_has_seen_enough_is_no_error(lines, ending, status, says):
    code = (
        'import sys\n'
        'from mmdet_multigrain.launch import run_tool\n'
        'def main():\n'
        f'    for _ in range({lines}): print(input(), "x" * 1000)\n'
        f'    {ending}\n'
        'run_tool(main)'
    )
    buffered = {**os.environ, 'PYTHONUNBUFFERED': ''}
    process = subprocess.Popen(
        [sys.executable, '-c', code], stdin=PIPE, stdout=PIPE, stderr=PIPE, env=buffered
    )
    process.stdout.close()
    said = process.communicate(b'\n' * lines)[1]
    assert process.wait() == status
    assert says in said and len(said.splitlines()) == bool(says)


@pytest.mark.parametrize(
    ('ending', 'status', 'says'),
    [
        ('pass', 0, ''),
        ('sys.exit(143)', 143, ''),
        ('raise FileNotFoundError("no such file")', 2, 'error: no such file\n'),
    ],
)
def test_a_process_of_several_ends_at_once(ending, status, says):
    """Threads of gloo in a half-dismantled interpreter ended some finished runs by SIGABRT."""
    code = (
        'import atexit, os, sys, torch\n'
        'from mmdet_multigrain import launch\n'
        'class Last:\n'
        '    def __del__(self, write=os.write):\n'
        '        write(1, b"dismantled")\n'
        'last = Last()\n'
        'atexit.register(print, "at exit")\n'
        'def main():\n'
        '    torch.distributed.init_process_group(backend="gloo")\n'
        f'    {ending}\n'
        'launch.run_tool(main)\n'
    )
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = str(free.getsockname()[1])
    meeting = dict(MASTER_ADDR='localhost', MASTER_PORT=port, WORLD_SIZE='1', RANK='0')
    done = subprocess.run(
        [sys.executable, '-c', code], env={**os.environ, **meeting}, capture_output=True, text=True
    )
    # torch 2.9 greets.
    lines = [line for line in done.stdout.splitlines() if not line.startswith('[Gloo]')]
    assert (done.returncode, lines, done.stderr) == (status, ['at exit'], says)


def test_only_the_first_process_says_that_it_was_interrupted(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    with pytest.raises(SystemExit) as caught:
        launch.run_tool(fail_with(KeyboardInterrupt()))
    assert caught.value.code == 130 and capsys.readouterr().err == ''
    monkeypatch.setenv('RANK', '0')
    with pytest.raises(SystemExit):
        launch.run_tool(fail_with(KeyboardInterrupt()))
    assert capsys.readouterr().err == '\ninterrupted\n'


def test_letters_that_the_terminal_lacks_are_escaped(monkeypatch):
    content = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(content, 'ascii', write_through=True))
    launch.escape_unknown_letters()
    print('юбка', end='')
    assert content.getvalue() == b'\\u044e\\u0431\\u043a\\u0430'
    monkeypatch.setattr(sys, 'stdout', io.StringIO())
    launch.escape_unknown_letters()  # of something else: nothing to do


def test_an_error_of_the_system_needs_no_name():
    assert launch.one_line(OSError('no such thing')) == 'no such thing'
    assert launch.one_line(OSError()) == f'OSError; {HINT}'
