"""Rounds of timings: all contenders once, in an order drawn anew, one at a time.

Here belongs the parent's side: starting the contenders' processes, asking them, ending them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from tqdm import tqdm

from benchmarks.speed.detector.configs import Contender
from mmdet_multigrain.utils.errors import MultigrainError


class BenchmarkError(MultigrainError):
    """A contender cannot be measured; the message is one line that names it."""


class Worker:
    """A contender's process.

    Attributes:
        description: What it says of itself.
    """

    def __init__(self, name: str, process: BaseProcess, connection: Connection) -> None:
        self._name, self._process, self._connection = name, process, connection
        self.description: dict[str, Any] = self._receive()

    def ask(self, method: str, **arguments: Any) -> Any:
        """What a method of `detector_worker.Steps` returns there.

        Raises:
            BenchmarkError: It failed, or the process is gone.
        """
        with contextlib.suppress(BrokenPipeError):  # told below
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
        *arguments: Of `detector_worker.serve`, behind the contender.
    """
    context = multiprocessing.get_context('forkserver')
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        found = {}
        for contender in tqdm(contenders, desc='building', unit='config', leave=False):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, contender, *arguments))
            process.start()
            theirs.close()
            started.append((process, ours))
            found[contender.name] = Worker(contender.name, process, ours)
        yield found
    finally:  # they hold nothing that must be put in order
        for process, connection in started:
            process.kill()
            process.join()
            connection.close()


def start_server() -> None:
    """Start the process that imports once what all need, and forks them without threads or CUDA.

    It takes folders to import from, and devices, from the environment alone. Without this call
    it is started when it is needed, and each worker imports for itself.
    """
    multiprocessing.get_context('forkserver').set_forkserver_preload(
        ['benchmarks.speed.detector.worker']
    )
    before = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, sys.path))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ['PYTHONPATH']
        else:
            os.environ['PYTHONPATH'] = before


def _serve(*arguments: Any) -> None:
    # Imported here: the parent needs neither torch nor the seconds that importing it takes.
    from benchmarks.speed.detector.worker import serve

    serve(*arguments)


def time_in_turn(
    found: Mapping[str, Worker], what: str, *, repeats: int, warmup: int
) -> dict[str, list[float]]:
    """Seconds of each contender in each round.

    Args:
        found: The contenders' processes.
        what: 'training', 'inference', 'data' or 'evaluation'.
        repeats: Rounds.
        warmup: Rounds before them that do not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in found}
    order = list(found)
    with tqdm(total=(repeats + warmup) * len(order), desc=what, unit='timing', leave=False) as bar:
        for number in range(-warmup, repeats):
            random.shuffle(order)
            for name in order:
                elapsed = found[name].ask('time', what=what, number=max(number, 0))
                if number >= 0:
                    seconds[name].append(elapsed)
                bar.update()
    return seconds


def measure(
    found: Mapping[str, Worker], what: str, *, repeats: int, warmup: int, profiled: int
) -> dict[str, dict[str, Any]]:
    """Seconds and peak memory; of steps, stages and FLOPs too.

    Args:
        found: The contenders' processes.
        what: 'training', 'inference', 'data' or 'evaluation'.
        repeats: Rounds.
        warmup: Rounds before them that do not count.
        profiled: Steps of each contender of which the stages are timed; 0: no FLOPs either.

    Returns:
        'seconds': a list by contender; 'peak_mb': a number by contender; of profiled
        steps also 'flops': a number by contender, and 'stages': a list by contender with,
        for each profiled step, seconds by stage and the RoIs that were sampled.
    """
    for worker in found.values():
        worker.ask('reset_peak')
    measured = {'seconds': time_in_turn(found, what, repeats=repeats, warmup=warmup)}
    measured['peak_mb'] = {name: worker.ask('peak_mb') for name, worker in found.items()}
    if what in ('data', 'evaluation') or not profiled:
        return measured
    measured['stages'] = {name: [] for name in found}
    with tqdm(
        total=(profiled + 1) * len(found), desc=f'stages of {what}', unit='step', leave=False
    ) as bar:
        for number in range(profiled):
            for name, worker in found.items():
                measured['stages'][name].append(worker.ask('profile', what=what, number=number))
                bar.update()
        measured['flops'] = {}
        for name, worker in found.items():
            measured['flops'][name] = worker.ask('flops', what=what)
            bar.update()
    return measured
