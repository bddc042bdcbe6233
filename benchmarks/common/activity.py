"""Which training runs are active on this machine, and the request to pause them.

A run holds a lock file (`flock`) for as long as any of its processes lives; the system releases it
when the last one ends, however it ends, so a lock of dead processes does not exist. All checkouts
of a user share one folder: timings suffer from every run, whoever started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet_multigrain.utils.errors import MultigrainError

SECONDS_TO_LOCK = 5  # whoever only looks at a lock holds it for an instant


class ActivityError(MultigrainError):
    """A run is active, or its lock is held by another process."""


def activity_folder() -> Path:
    """The folder of locks and of the request to pause."""
    return Path(tempfile.gettempdir()) / f'multigrain_runs_{os.getuid()}'


def lock_file(name: str) -> Path:
    """The lock file of a run or a queue."""
    return activity_folder() / f'{name}.lock'


@contextlib.contextmanager
def locked(name: str) -> Iterator[int]:
    """Hold a lock for the block; its file descriptor.

    Child processes that get it (`pass_fds`) hold the lock, too, also when this process is killed.

    Raises:
        ActivityError: Another process holds it.
    """
    path = lock_file(name)
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + SECONDS_TO_LOCK
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ActivityError(f'{name} is already running ({path})') from None
                time.sleep(0.1)
        note(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def note(descriptor: int, *, child: int | None = None, state: str = 'running') -> None:
    """Write to a lock who holds it: perhaps a process group `child`; `running` or `paused`."""
    content = json.dumps(dict(pid=os.getpid(), child=child, state=state)).encode()
    os.pwrite(descriptor, content.ljust(80), 0)


def holder(name: str) -> dict[str, Any] | None:
    """What `note` wrote to a lock that is held; None if nobody holds it."""
    with contextlib.suppress(FileNotFoundError), open(lock_file(name), 'rb') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                return json.loads(file.read())
            except ValueError:  # locked an instant ago, not yet written
                return dict(pid=None, child=None, state='running')
    return None


def active_runs() -> list[str]:
    """Names of the locks that are held by runs that are not paused; queues are no runs."""
    names = [path.stem for path in sorted(activity_folder().glob('*.lock'))]
    held = {name: holder(name) for name in names if not name.startswith('queue')}
    return [name for name, who in held.items() if who and who['state'] != 'paused']


def pause_file() -> Path:
    """While this file exists, runs are stopped and none is started."""
    return activity_folder() / 'paused'


def refuse_while_active() -> None:
    """Refuse to measure while a training run is active.

    Raises:
        ActivityError: One is.
    """
    if names := active_runs():
        raise ActivityError(
            f'{len(names)} training runs are active ({", ".join(names)}) and would spoil the '
            'timing; pause them: python -m benchmarks.experiments.queue pause'
        )
