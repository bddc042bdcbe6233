"""The same function over many tasks in several processes, results in the order of the tasks.

Neither `concurrent.futures` nor `multiprocessing.Pool`: these wait forever for a worker that is
killed while it sends a result, leave workers behind a killed parent, print a traceback of each
worker at Ctrl-C, and need scripts that start with a guard. Needs neither torch nor mmdet.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from mmdet_multigrain.utils.errors import WorkerError

Task = TypeVar('Task')
Result = TypeVar('Result')

RESULTS_AHEAD = 4  # per worker: how far the others may run ahead of a slow one
# A worker's program: where it finds modules as its parent does, then the pipe.
_PROGRAM = (
    'import sys; sys.path[:] = sys.argv[2:]; '
    'from mmdet_multigrain.utils.parallel import _work; _work(int(sys.argv[1]))'
)


def default_workers() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def chunked(items: Iterable[Task], size: int) -> Iterator[list[Task]]:
    """Consecutive lists of `size` items; the last may be shorter."""
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


@contextlib.contextmanager
def map_ordered(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int
) -> Iterator[Iterator[Result]]:
    """Iterate over `function(task)` for all tasks, in their order.

    Leaving the block ends the workers, whatever they are doing; so does the end of this process.

    Args:
        function: Of the top level of a module (not of a script), or a `functools.partial` of
            one. An exception in it is raised here.
        tasks: What it is called with; taken one by one as workers become free.
        workers: Processes; up to 1 means none: all runs here.

    Raises:
        WorkerError: While iterating: a worker was killed.
    """
    if workers <= 1:
        yield map(function, tasks)
        return
    connections: list[Connection] = []
    processes: list[subprocess.Popen] = []
    try:
        for _ in range(workers):
            connection, other = Pipe()
            with other, _interrupt_blocked():
                processes.append(
                    subprocess.Popen(
                        [sys.executable, '-c', _PROGRAM, str(other.fileno()), *sys.path],
                        pass_fds=[other.fileno()],
                        stdin=subprocess.DEVNULL,
                    )
                )
            connections.append(connection)
        yield _results(function, iter(tasks), connections)
    finally:
        for process in processes:
            process.kill()  # it holds nothing that must be brought to an end
        for process in processes:
            process.wait()
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


def _work(descriptor: int) -> None:
    """A worker: answer tasks until the parent is gone."""
    with contextlib.suppress(EOFError, OSError), Connection(descriptor) as connection:
        while True:
            message = connection.recv_bytes()
            try:
                function, task = pickle.loads(message)
                answer = pickle.dumps((function(task), None))
            except Exception as error:  # noqa: BLE001 (raised by the parent)
                answer = pickle.dumps((None, error))
            connection.send_bytes(answer)


def _results(
    function: Callable[[Any], Any], tasks: Iterator[Any], connections: list[Connection]
) -> Iterator[Any]:
    """Send tasks to the workers that wait for one; yield results in order.

    A worker gets its next task when it has sent a result, never earlier: so neither side
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
                    idle[-1].send((function, task))
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
        raise WorkerError(
            'a worker process was killed (out of memory?); run it again, '
            'with fewer workers if it happens again'
        ) from None
