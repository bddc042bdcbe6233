"""Timing in fresh processes: seconds and peak memory, kinds of work in turn, a table of ratios."""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tqdm import tqdm


@dataclass(frozen=True)
class Measured:
    """One run of a function in a process of its own.

    Attributes:
        value: What the function returned.
        seconds: From its call to its return; starting Python and imports do not count.
        cpu_seconds: Of the process and of those that it started.
        peak_mb: Largest resident memory of the process, in 10^6 bytes.
        peak_child_mb: Of the largest of those that it started; 0 without.
    """

    value: Any
    seconds: float
    cpu_seconds: float
    peak_mb: float
    peak_child_mb: float


def measure(function: Callable[[], Any]) -> Measured:
    """Run a function (of a module's top level, or a partial of one) in a fresh process."""
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(function, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError('the measured process failed; see its message above') from None
    finally:
        process.join()


def _run(function: Callable[[], Any], sender: Connection) -> None:
    started, before = time.perf_counter(), _cpu_seconds()
    value = function()
    seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - before
    status = Path('/proc/self/status').read_text().split()
    sender.send(
        Measured(
            value,
            seconds,
            cpu_seconds,
            peak_mb=int(status[status.index('VmHWM:') + 1]) * 1024 / 1e6,
            peak_child_mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6,
        )
    )


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure_in_turn(
    functions: Mapping[str, Callable[[], Any]], *, repeats: int
) -> dict[str, list[Measured]]:
    """Run A B C A B C ...: what else the machine does meets all alike."""
    runs: dict[str, list[Measured]] = {name: [] for name in functions}
    with tqdm(total=repeats * len(functions), desc='timing', unit='run') as bar:
        for _ in range(repeats):
            for name, function in functions.items():
                runs[name].append(measure(function))
                bar.update()
    return runs


def summarize(runs: Mapping[str, list[Measured]]) -> dict[str, dict[str, float]]:
    """Medians and extremes of the seconds, medians of the rest, by name."""
    return {
        name: {
            'seconds': statistics.median(run.seconds for run in these),
            'min_seconds': min(run.seconds for run in these),
            'max_seconds': max(run.seconds for run in these),
            'cpu_seconds': statistics.median(run.cpu_seconds for run in these),
            'peak_mb': max(run.peak_mb for run in these),
            'peak_child_mb': max(run.peak_child_mb for run in these),
        }
        for name, these in runs.items()
    }


def paired_ratio(runs: Mapping[str, list[Measured]], name: str, base: str) -> float:
    """Median over the rounds of seconds of `name` / seconds of `base`."""
    return statistics.median(
        one.seconds / other.seconds for one, other in zip(runs[name], runs[base], strict=True)
    )


def format_table(runs: Mapping[str, list[Measured]], *, base: str) -> str:
    """A line for each kind of work; `base` is what the last column compares with."""
    width = max(map(len, runs)) + 2
    lines = [
        f'{"":<{width}}{"seconds":>9}{"min":>8}{"max":>8}{"CPU s":>8}{"peak MB":>9}'
        f'{"per worker":>12}{"x " + base:>{len(base) + 5}}'
    ]
    for name, row in summarize(runs).items():
        lines.append(
            f'{name:<{width}}{row["seconds"]:>9.2f}{row["min_seconds"]:>8.2f}'
            f'{row["max_seconds"]:>8.2f}{row["cpu_seconds"]:>8.2f}{row["peak_mb"]:>9.0f}'
            f'{row["peak_child_mb"]:>12.0f}{paired_ratio(runs, name, base):>{len(base) + 5}.2f}'
        )
    return '\n'.join(lines)
