"""The processes of all contenders: start them, measure one at a time, end them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any
from unittest import mock

from tqdm import tqdm

from benchmarks.common.ratios import in_rounds
from benchmarks.speed.detector.contenders import Contender
from mmdet_multigrain.launch import one_line
from mmdet_multigrain.utils.errors import MultigrainError


class BenchmarkError(MultigrainError):
    """A contender cannot be measured; the message is one line that names it."""


class Worker:
    """A contender's process; `description` says what it is and where it runs."""

    def __init__(self, name: str, pool: ProcessPoolExecutor, *arguments: Any) -> None:
        self._name, self._pool = name, pool
        self.description: dict[str, Any] = self._call(_build, *arguments)

    def ask(self, method: str, **arguments: Any) -> Any:
        """What a method of `worker.Steps` returns there.

        Raises:
            BenchmarkError: It failed, or the process is gone.
        """
        return self._call(_ask, method, arguments)

    def _call(self, function: Callable, *arguments: Any) -> Any:
        try:
            return self._pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            raise BenchmarkError(
                f'{self._name}: its process was killed, which mostly means that memory ran out: '
                'use a smaller --batch or fewer configs'
            ) from None
        except Exception as error:
            raise BenchmarkError(f'{self._name}: {one_line(error)}') from error


@contextlib.contextmanager
def workers(contenders: Sequence[Contender], *arguments: Any) -> Iterator[dict[str, Worker]]:
    """A process for each contender, by name, with more arguments of `worker.build`.

    All are gone after the block.
    """
    context = multiprocessing.get_context('forkserver')
    ignore_interrupt = (signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    with contextlib.ExitStack() as stack:
        found = {}
        for one in tqdm(contenders, desc='building', unit='config', leave=False):
            pool = ProcessPoolExecutor(1, context, signal.signal, ignore_interrupt)
            stack.enter_context(pool)
            found[one.name] = Worker(one.name, pool, one, *arguments)
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


# The worker's module is imported in its process only: the parent needs no torch.


def _build(*arguments: Any) -> dict[str, Any]:
    from benchmarks.speed.detector import worker

    return worker.build(*arguments)


def _ask(method: str, arguments: dict[str, Any]) -> Any:
    from benchmarks.speed.detector import worker

    return getattr(worker.built[0], method)(**arguments)


def measure(
    found: Mapping[str, Worker], what: str, *, repeats: int, warmup: int, profiled: int
) -> dict[str, dict[str, Any]]:
    """By contender 'seconds' of all rounds and 'peak_mb', and of profiled steps what they consist of.

    That is 'flops', and 'stages': for each step seconds by stage and the RoIs that were sampled.

    Args:
        found: The contenders' processes.
        what: 'training', 'inference', 'data' or 'evaluation'.
        repeats: Rounds.
        warmup: Rounds before them that do not count.
        profiled: Steps of each contender whose stages are timed; with 0 FLOPs are not counted.
    """
    for worker in found.values():
        worker.ask('reset_peak')

    def time(name: str, number: int) -> float:
        return found[name].ask('time', what=what, number=max(number, 0))

    def profile(name: str, number: int) -> dict[str, Any]:
        return found[name].ask('profile', what=what, number=number)

    measured: dict[str, dict[str, Any]] = {}
    measured['seconds'] = in_rounds(time, found, repeats=repeats, warmup=warmup, title=what)
    measured['peak_mb'] = {name: worker.ask('peak_mb') for name, worker in found.items()}
    if what in ('data', 'evaluation') or not profiled:
        return measured
    measured['stages'] = in_rounds(profile, found, repeats=profiled, title=f'stages of {what}')
    measured['flops'] = {name: worker.ask('flops', what=what) for name, worker in found.items()}
    return measured


def add_peaks(configs: Mapping[str, dict[str, Any]], found: Mapping[str, Worker]) -> None:
    """Record the FLOP/s of a large matrix product, measured once for each precision.

    Last of all: it changes the state of the process's allocator, which would make inference of
    small images a few percent faster.
    """
    peaks: dict[tuple[str, str], float] = {}
    for name, config in configs.items():
        precision = config['precision'], config['dtype']
        if precision not in peaks:
            peaks[precision] = found[name].ask('matmul_peak')
        config['matmul_flops'] = peaks[precision]
