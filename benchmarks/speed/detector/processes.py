"""The processes of all contenders: start them, measure one at a time, end them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any
from unittest import mock

from tqdm import tqdm

from benchmarks.common.ratios import rounds
from benchmarks.speed.detector.contenders import Contender
from mmdet_multigrain.utils.errors import MultigrainError


class BenchmarkError(MultigrainError):
    """A contender cannot be measured; the message is one line that names it."""


class Worker:
    """A contender's process.

    Attributes:
        description: What it is and where it runs.
    """

    def __init__(self, name: str, process: BaseProcess, connection: Connection) -> None:
        self._name, self._process, self._connection = name, process, connection
        self.description: dict[str, Any] = self._receive()

    def ask(self, method: str, **arguments: Any) -> Any:
        """What a method of `worker.Steps` returns there.

        Raises:
            BenchmarkError: It failed, or the process is gone.
        """
        with contextlib.suppress(BrokenPipeError):  # reported below
            self._connection.send((method, arguments))
        return self._receive()

    def _receive(self) -> Any:
        try:
            status, value = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise BenchmarkError(
                f'{self._name}: its process ended with status {self._process.exitcode}; '
                '-9 mostly means that memory ran out: take a smaller --batch or fewer configs'
            ) from None
        if status == 'error':
            raise BenchmarkError(f'{self._name}: {value}')
        return value


@contextlib.contextmanager
def workers(contenders: Sequence[Contender], *arguments: Any) -> Iterator[dict[str, Worker]]:
    """A process for each contender, by name; all are gone after the block.

    Args:
        contenders: What to build.
        *arguments: Of `worker.serve`, after the contender.
    """
    context = multiprocessing.get_context('forkserver')
    with contextlib.ExitStack() as stack:
        found = {}
        for contender in tqdm(contenders, desc='building', unit='config', leave=False):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, contender, *arguments))
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)  # nothing in it needs a proper end
            stack.enter_context(ours)
            theirs.close()
            found[contender.name] = Worker(contender.name, process, ours)
        yield found


def start_server() -> None:
    """Start the process that imports once what all need, and forks them without threads or CUDA.

    It takes its import folders from the environment alone. Without this call it starts when it is
    needed, and each worker imports for itself.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['benchmarks.speed.detector.worker'])
    folders = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))
    with mock.patch.dict(os.environ, PYTHONPATH=folders):
        forkserver.ensure_running()


def _serve(*arguments: Any) -> None:
    # Imported here: the parent does not need torch and the seconds that importing it takes.
    from benchmarks.speed.detector.worker import serve

    serve(*arguments)


def measure(
    found: Mapping[str, Worker], what: str, *, repeats: int, warmup: int, profiled: int
) -> dict[str, dict[str, Any]]:
    """Seconds and peak memory; of steps also stages and FLOPs.

    Args:
        found: The contenders' processes.
        what: 'training', 'inference', 'data' or 'evaluation'.
        repeats: Rounds.
        warmup: Rounds before them that do not count.
        profiled: Steps of each contender whose stages are timed; with 0 FLOPs are not counted.

    Returns:
        'seconds': a list by contender; 'peak_mb': a number by contender; of profiled
        steps also 'flops': a number by contender, and 'stages': a list by contender with,
        for each profiled step, seconds by stage and the RoIs that were sampled.
    """
    for worker in found.values():
        worker.ask('reset_peak')
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for number, name in rounds(found, repeats=repeats, warmup=warmup, title=what):
        elapsed = found[name].ask('time', what=what, number=max(number, 0))
        if number >= 0:
            seconds[name].append(elapsed)
    measured: dict[str, dict[str, Any]] = {'seconds': seconds}
    measured['peak_mb'] = {name: worker.ask('peak_mb') for name, worker in found.items()}
    if what in ('data', 'evaluation') or not profiled:
        return measured
    measured['stages'] = {name: [] for name in found}
    for number, name in rounds(found, repeats=profiled, title=f'stages of {what}'):
        measured['stages'][name].append(found[name].ask('profile', what=what, number=number))
    measured['flops'] = {name: worker.ask('flops', what=what) for name, worker in found.items()}
    return measured
