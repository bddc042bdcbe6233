"""Give a reader one set of files, or many, and check what it does with them.

A reader may accept its files or refuse them with an error of this package: one printable line that
names a file. Anything else is a failure: another exception, a reader that takes too long or too
much memory, or a file left behind.
"""

from __future__ import annotations

import contextlib
import faulthandler
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.common.processes import peak_mb
from benchmarks.reliability.fuzzing.readers import Files, Reader
from mmdet_multigrain.utils.errors import MultigrainError

CPU_SECONDS = 10  # of one case; they take milliseconds
HANG_SECONDS = 300  # wall clock; then the process ends: it waits, or a library never returns
MEMORY_MB = 200  # that a case may take on top of what the process had
MESSAGE_LETTERS = 2000


class Failure(AssertionError):
    """What a user should never see; the first word says what kind."""


class _TooLong(BaseException):
    """Passes every `except Exception`."""


@dataclass
class Tally:
    """The outcomes of a reader's cases."""

    accepted: int = 0  # number of cases that were read
    refused: int = 0  # number of cases that were answered with one line
    # where to find each kind of failure, by what it is
    failures: dict[str, Path | None] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        """All of them."""
        return self.accepted + self.refused


def fuzz(
    reader: Reader,
    *,
    cases: int,
    random_seed: int,
    keep: Path | None = None,
    watchdog: bool = False,
    each: Callable[[], object] = lambda: None,
) -> Tally:
    """Give a reader files until it fails or all cases are done; call `each` after a case.

    The folder `keep` gets the smallest files of each kind of failure, and what was wrong. A
    `watchdog` ends the process when a case hangs, with a traceback on standard error.
    """
    tally = Tally()
    sizes: dict[str, int] = {}

    @seed(random_seed)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.files)
    def run(files: Files) -> None:
        try:
            if watchdog:
                faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=sys.__stderr__)
            if one_case(reader, files):
                tally.accepted += 1
            else:
                tally.refused += 1
        except Failure as failure:
            what, size = str(failure).splitlines()[0], sum(map(len, files.values()))
            tally.failures.setdefault(what, None)
            if keep is not None and size < sizes.get(what, sys.maxsize):
                sizes[what] = size
                tally.failures[what] = _keep(keep / f'{len(tally.failures)}', files, failure)
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
            each()

    with contextlib.suppress(Failure):
        run()
    return tally


def one_case(reader: Reader, files: Files) -> bool:
    """Whether a reader accepted its files; else it refused them as it should.

    Raises:
        Failure: Neither.
    """
    with tempfile.TemporaryDirectory(prefix='fuzz') as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).write_bytes(content)
        before = peak_mb()
        try:
            with _cpu_limit(CPU_SECONDS):
                reader.read(folder)
        except _TooLong as error:
            raise Failure(f'hang: over {CPU_SECONDS} s {_where(error)}') from error
        except MultigrainError as error:
            _check_message(error, folder if reader.names_file else None)
            _check_left(folder, {*files})
            return False
        except (Exception, SystemExit) as error:
            details = ''.join(traceback.format_exception(error))
            what = f'traceback: {type(error).__name__} {_where(error)}'
            raise Failure(f'{what}\n{details}') from error
        grown = peak_mb() - before
        if grown > MEMORY_MB + 30 * sum(map(len, files.values())) / 1e6:
            raise Failure(f'memory: {grown:.0f} MB')
        _check_left(folder, {*files, *reader.outputs})
        return True


def _check_message(error: Exception, folder: Path | None) -> None:
    message, details = str(error), f'{_where(error)}\n{str(error)!r}'
    if not message.isprintable() or not message:
        raise Failure(f'message with line breaks or control characters {details}')
    if len(message) > MESSAGE_LETTERS:
        raise Failure(f'message of thousands of letters {details}')
    if folder is not None and str(folder) not in message:
        raise Failure(f'message without the file {details}')


def _check_left(folder: Path, allowed: set[str]) -> None:
    # The release's own folders are input, wherever a reader puts the files.
    paths = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    left = {str(path) for path in paths if path.parts[0] != 'root'} - allowed
    if left:
        raise Failure(f'left behind: {sorted(left)}')


def _where(error: BaseException) -> str:
    """The innermost line of this package that an error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if 'mmdet_multigrain/' in frame.filename]
    frame = (ours or frames)[-1]
    place = frame.filename.rpartition('mmdet_multigrain/')[2]
    return f'at {place}:{frame.lineno} ({frame.name}), from {Path(frames[-1].filename).name}'


@contextlib.contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    """Raise `_TooLong` in a block that computes too long, however busy the machine is."""

    def stop(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _keep(folder: Path, files: Files, failure: Failure) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / 'failure.txt').write_text(f'{failure}\n', errors='backslashreplace')
    return folder
