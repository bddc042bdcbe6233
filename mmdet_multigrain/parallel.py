"""The same function over many tasks in several processes, results in the order of the tasks.

Small, but not ``concurrent.futures``: there a worker that is killed while it hands over a result
leaves its parent waiting for ever, workers outlive a killed parent, and Ctrl-C prints a traceback
for each of them. Needs neither torch nor mmdet; what the work is, the callers know.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

Task = TypeVar('Task')
Result = TypeVar('Result')

RESULTS_AHEAD = 4  # per worker: how far the others may run ahead of a slow one


class WorkerError(ValueError):
    """A worker process ended before its task did; one line."""


def default_workers() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def chunked(items: Iterable[Task], size: int) -> Iterator[list[Task]]:
    """Consecutive lists of ``size`` items; the last may be shorter."""
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


@contextlib.contextmanager
def map_ordered(function: Callable[[Task], Result], tasks: Iterable[Task], *,
                workers: int) -> Iterator[Iterator[Result]]:
    """Iterate over ``function(task)`` for all tasks, in their order.

    Leaving the block ends the workers, whatever they are doing; so does the end of this process.

    Args:
        function: Of a module's top level, or a ``functools.partial`` of one. An exception in it
            is raised here.
        tasks: What it is called with; taken one by one as workers become free.
        workers: Processes; up to 1 means none: all runs here.

    Raises:
        WorkerError: While iterating: a worker was killed.
    """
    if workers <= 1:
        yield map(function, tasks)
        return
    context = multiprocessing.get_context('spawn')  # libraries' threads do not survive a fork
    connections, processes = [], []
    try:
        for _ in range(workers):
            connection, other = context.Pipe()
            process = context.Process(target=_work, args=(other, function), daemon=True)
            with other, _interrupt_blocked():
                process.start()
            connections.append(connection)
            processes.append(process)
        yield _results(iter(tasks), connections)
    finally:
        for process in processes:
            process.terminate()  # it holds nothing that must be brought to an end
        for process in processes:
            process.join()
        for connection in connections:
            connection.close()


@contextlib.contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Processes started here never see Ctrl-C, not even while they start: the parent ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, function: Callable[[Any], Any]) -> None:
    """Answer tasks until the parent is gone."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                answer = function(task), None
            except Exception as error:  # noqa: BLE001 (raised by the parent)
                answer = None, error
            connection.send(answer)


def _results(tasks: Iterator[Any], connections: list[Connection]) -> Iterator[Any]:
    """Hand tasks to the workers that wait for one; yield results in order.

    A worker gets its next task when it has handed over a result, never earlier: so neither side
    can wait for the other to empty a full pipe.
    """
    idle = list(connections)
    busy: dict[Connection, int] = {}  # the number of the task that a worker has
    done: dict[int, Any] = {}
    started, exhausted = 0, object()
    for following in itertools.count():
        while following not in done:
            while idle and started < following + RESULTS_AHEAD * len(connections):
                if (task := next(tasks, exhausted)) is exhausted:
                    break
                with _naming_dead_worker():
                    idle[-1].send(task)
                busy[idle.pop()] = started
                started += 1
            if not busy:
                return
            for connection in wait(list(busy)):
                with _naming_dead_worker():
                    result, error = connection.recv()
                if error is not None:
                    raise error
                done[busy.pop(connection)] = result
                idle.append(connection)
        yield done.pop(following)


@contextlib.contextmanager
def _naming_dead_worker() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError):
        raise WorkerError('a worker process was killed (out of memory?); run it again, '
                          'with fewer workers if it happens again') from None
