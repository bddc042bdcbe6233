"""SIGTERM as a request to stop: noted in the main process, left to it by the loader's workers."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from mmengine.dataset import worker_init_fn


class StopRequest:
    """While it is entered, SIGTERM only notes that it came.

    Attributes:
        made: Whether it came.
    """

    def __init__(self) -> None:
        self.made = False
        self._before: Any = None

    def __enter__(self) -> StopRequest:
        # Python lets only the main thread decide on signals.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.made = True


def begin_worker(worker_id: int, *, seed: int | None, **options: Any) -> None:
    """Begin a loader worker; it obeys only the SIGTERM of its own main process.

    Launchers send SIGTERM to all processes of a run, which needs its workers to finish its
    iteration.

    Args:
        worker_id: Number of the worker.
        seed: Seed of the run; None leaves the generators as torch seeds them.
        **options: As for MMEngine's `worker_init_fn`.
    """
    if hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    if seed is not None:
        worker_init_fn(worker_id, seed=seed, **options)


def _end_with_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
