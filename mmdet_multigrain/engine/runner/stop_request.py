"""SIGTERM and Ctrl-C as requests to stop: noted in the main process, left to it by its workers."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from mmengine.dataset import worker_init_fn

_INTERRUPTED = b'\nstopping after this step, which is saved; Ctrl-C again ends at once\n'


class StopRequest:
    """While it is entered, SIGTERM and the first Ctrl-C (SIGINT) only note that they came.

    A second Ctrl-C raises `KeyboardInterrupt`; launchers repeat SIGTERM, which changes nothing. Only
    torchrun passes a second Ctrl-C on as SIGTERM.

    Attributes:
        signal: Number of the signal that came; 0: none. SIGTERM counts more than Ctrl-C.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._interrupts = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        # Python lets only the main thread decide on signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = max(self.signal, int(number))
        again = self._interrupts and 'TORCHELASTIC_RUN_ID' in os.environ
        if number != signal.SIGINT and not again:
            return
        self._interrupts += 1
        if self._interrupts > 1:
            raise KeyboardInterrupt
        if os.environ.get('RANK', '0') == '0':
            os.write(2, _INTERRUPTED)  # a signal handler must not wait for the lock of sys.stderr


def begin_worker(worker_id: int, *, seed: int | None, **options: Any) -> None:
    """Begin a loader worker; it obeys only the SIGTERM of its own main process.

    Launchers send SIGTERM to all processes of a run, and terminals Ctrl-C; the run needs its
    workers to finish its iteration. Without a seed the generators stay as torch seeds them. Other
    options are those of MMEngine's `worker_init_fn`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    if seed is not None:
        worker_init_fn(worker_id, seed=seed, **options)


def _end_with_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
