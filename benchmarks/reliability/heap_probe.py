"""A hook that records what a process has allocated and not freed, for `long_run`.

The memory that the system reports changes with what allocators keep for later; this is what is
in use.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


class _MallInfo(ctypes.Structure):
    """What `mallinfo2` returns (glibc 2.33 and later, malloc.h)."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks',
        'fordblks', 'keepcost')]  # fmt: skip


def heap_mb() -> float:
    """What malloc has given out of its main arena and by mapping, in 10^6 bytes.

    Python's small objects lie elsewhere: `sys.getallocatedblocks` counts those.
    """
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MallInfo
    info = mallinfo2()
    return (info.uordblks + info.hblkhd) / 1e6


@HOOKS.register_module()
class HeapProbeHook(Hook):
    """Append a line with MB in use and Python's blocks to the file `out` every few iterations."""

    priority = 'LOWEST'

    def __init__(self, out: str, interval: int) -> None:
        self.out, self.interval = Path(out), interval

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Write a line; garbage that has not been collected yet is not in use."""
        if self.every_n_train_iters(runner, self.interval):
            gc.collect()
            with open(self.out, 'a') as file:
                file.write(f'{heap_mb()},{sys.getallocatedblocks()}\n')
