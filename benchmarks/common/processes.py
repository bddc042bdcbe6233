"""A function timed in a fresh process: seconds, processor time and peak memory.

The process imports this module, so it imports little itself: its memory counts.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """One run of a function in a separate process."""

    value: Any  # what the function returned
    seconds: float  # from its call to its return; starting Python and imports do not count
    cpu_seconds: float  # of the process and of its children
    peak_mb: float  # largest resident memory of the process, in 10^6 bytes
    peak_child_mb: float  # of its largest child; 0 without children


def measure(function: Callable[[], Any]) -> Measured:
    """Run a picklable function in a fresh process; BrokenProcessPool if that dies."""
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(_run, function).result()


def _run(function: Callable[[], Any]) -> Measured:
    started, before = time.perf_counter(), sum(os.times()[:4])
    value = function()
    seconds, cpu_seconds = time.perf_counter() - started, sum(os.times()[:4]) - before
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    return Measured(value, seconds, cpu_seconds, peak_mb(), children)


def peak_mb() -> float:
    """Peak resident memory of this process in 10^6 bytes, without that of the one it came from."""
    status = Path('/proc/self/status').read_text().split()
    return int(status[status.index('VmHWM:') + 1]) * 1024 / 1e6
