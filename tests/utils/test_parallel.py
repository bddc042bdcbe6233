"""Many tasks in several processes: order, errors, killed workers, and no process left behind."""

import functools
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.utils import parallel
from mmdet_multigrain.utils.errors import WorkerError
from mmdet_multigrain.utils.parallel import chunked, map_ordered

TASKS = """
import os, signal, time

def square(number):
    time.sleep(0.02 * (number % 2))  # later tasks are done before earlier ones
    return number * number

def fail(number):
    if number == 3:
        raise KeyError('three')
    return number

def kill(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def hang(number):
    time.sleep(number and 1000)
    return number

def large(number):
    return bytes(3_000_000)

def unsendable(number):
    return lambda: number

def process_id(number):
    time.sleep(0.02)
    return os.getpid()
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A module that the workers find where this process finds it."""
    (tmp_path / 'parallel_tasks.py').write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'parallel_tasks', raising=False)
    import parallel_tasks

    return parallel_tasks


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """No test leaves a process."""
    processes = []

    def start(*args, **kwargs):
        processes.append(original(*args, **kwargs))
        return processes[-1]

    original = subprocess.Popen
    monkeypatch.setattr(parallel.subprocess, 'Popen', start)
    yield processes
    assert all(process.poll() is not None for process in processes)


def run(function, tasks, workers):
    with map_ordered(function, tasks, workers=workers) as results:
        return list(results)


@pytest.mark.parametrize('workers', [0, 1, 2, 3])
def test_results_are_in_the_order_of_the_tasks(tasks, started, workers):
    assert run(tasks.square, range(30), workers) == [n * n for n in range(30)]
    assert len(started) == (workers if workers > 1 else 0)


@pytest.mark.parametrize('workers', [1, 2])
def test_no_task(workers):
    assert run(str, [], workers) == []


def test_partial_functions_and_results_larger_than_a_pipe(tasks):
    assert run(functools.partial(pow, 2), range(4), 2) == [1, 2, 4, 8]
    assert list(map(len, run(tasks.large, range(4), 2))) == [3_000_000] * 4


@pytest.mark.parametrize('workers', [1, 2])
def test_error_of_the_function_is_raised_here(tasks, workers):
    with pytest.raises(KeyError, match='three'):
        run(tasks.fail, range(9), workers)


def test_result_that_cannot_be_handed_over_is_raised_here(tasks):
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError), match='unsendable'):
        run(tasks.unsendable, range(9), 2)


def test_killed_worker_is_one_line(tasks):
    with pytest.raises(WorkerError, match='a worker process was killed') as caught:
        run(tasks.kill, range(9), 2)
    assert '\n' not in str(caught.value)


def test_leaving_early_ends_workers_that_are_busy(tasks, started):
    with pytest.raises(KeyboardInterrupt):
        with map_ordered(tasks.hang, range(9), workers=2) as results:
            assert next(results) == 0
            raise KeyboardInterrupt
    assert len(started) == 2


SCRIPT = """
from mmdet_multigrain.utils.parallel import map_ordered
from parallel_tasks import process_id
with map_ordered(process_id, range(10**9), workers=2) as results:  # never done
    for result in results:
        print(result, flush=True)
"""


def test_script_without_guard_and_workers_of_a_killed_parent(tasks):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, '-c', SCRIPT], env=environment, text=True, stdout=subprocess.PIPE
    )
    with process.stdout:
        workers = {int(process.stdout.readline()) for _ in range(6)}
    process.kill()
    process.wait()
    end = time.monotonic() + 10
    while any(_is_python(worker) for worker in workers) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(workers) == 2 and not any(map(_is_python, workers))


def _is_python(process_id):
    """Whether a process still runs; one that has ended has no command line."""
    try:
        return b'parallel' in Path(f'/proc/{process_id}/cmdline').read_bytes()
    except OSError:
        return False


def test_ctrl_c_reaches_the_parent_only(tasks):
    process = subprocess.Popen(
        [sys.executable, '-c', SCRIPT],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert stderr.count('Traceback') == stderr.count('KeyboardInterrupt') == 1


def test_tasks_are_taken_no_earlier_than_needed(tasks):
    taken = []
    numbers = (taken.append(n) or n for n in range(1000))
    with map_ordered(tasks.square, numbers, workers=2) as results:
        assert next(results) == 0
        assert len(taken) <= 8


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_chunks_hold_the_items(items, size):
    chunks = list(chunked(items, size))
    assert [item for chunk in chunks for item in chunk] == items
    assert all(len(chunk) == size for chunk in chunks[:-1])
