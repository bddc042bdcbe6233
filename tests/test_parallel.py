"""Many tasks in several processes: order, errors, killed workers, and no process left behind."""

import functools
import multiprocessing
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.parallel import WorkerError, chunked, map_ordered


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


def wait_for_ever(number):
    time.sleep(number and 1000)
    return number


def large(number):
    return bytes(3_000_000)


def run(function, tasks, workers):
    with map_ordered(function, tasks, workers=workers) as results:
        return list(results)


@pytest.mark.parametrize('workers', [0, 1, 2, 3])
def test_results_are_in_the_order_of_the_tasks(workers):
    assert run(square, range(30), workers) == [n * n for n in range(30)]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize('workers', [1, 2])
def test_no_task(workers):
    assert run(square, [], workers) == []


def test_partial_functions_and_results_larger_than_a_pipe():
    assert run(functools.partial(pow, 2), range(4), 2) == [1, 2, 4, 8]
    assert list(map(len, run(large, range(4), 2))) == [3_000_000] * 4


@pytest.mark.parametrize('workers', [1, 2])
def test_error_of_the_function_is_raised_here(workers):
    with pytest.raises(KeyError, match='three'):
        run(fail, range(9), workers)
    assert multiprocessing.active_children() == []


def test_killed_worker_is_one_line():
    with pytest.raises(WorkerError, match='a worker process was killed') as caught:
        run(kill, range(9), 2)
    assert '\n' not in str(caught.value)
    assert multiprocessing.active_children() == []


def test_leaving_early_ends_workers_that_are_busy():
    with pytest.raises(KeyboardInterrupt):
        with map_ordered(wait_for_ever, range(9), workers=2) as results:
            assert next(results) == 0
            raise KeyboardInterrupt
    assert multiprocessing.active_children() == []


def test_tasks_are_taken_no_earlier_than_needed():
    taken = []
    tasks = (taken.append(n) or n for n in range(1000))
    with map_ordered(square, tasks, workers=2) as results:
        assert next(results) == 0
        assert len(taken) <= 8


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_chunks_hold_the_items(items, size):
    chunks = list(chunked(items, size))
    assert [item for chunk in chunks for item in chunk] == items
    assert all(len(chunk) == size for chunk in chunks[:-1])
