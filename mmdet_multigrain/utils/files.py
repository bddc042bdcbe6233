"""File names, reading and writing: JSON, and writes that leave the whole file or the old one.

Needs neither torch nor mmdet. What a particular file holds does not belong here.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from mmdet_multigrain.utils.errors import FileError, MultigrainError

_MAX_NAME = 230  # bytes; names have 255, of which the temporary one's ends take some
_TEMPORARY = re.compile(r'\.(?P<name>.+)\.(?P<process>\d+)\.tmp')


def is_absolute(name: str) -> bool:
    """Whether a file name begins at a root, on any system."""
    return name.startswith(('/', '\\')) or name[1:3] in (':\\', ':/')


def leaves_folder(name: str) -> bool:
    """Whether a file name, appended to a folder, leads out of it, on any system (links aside)."""
    if is_absolute(name):
        return True
    return '..' in name and os.path.normpath(name.replace('\\', '/')).split('/')[0] == '..'


def load_json(
    path: str | os.PathLike[str], *, allow_nan: bool = False, max_bytes: int | None = None
) -> Any:
    """Parse a JSON file (UTF-8, with or without byte-order mark), up to `max_bytes` large.

    `allow_nan` reads `NaN` and `Infinity`, which Python writes but JSON does not have.

    Raises:
        OSError: The file cannot be read, or is too large.
        ValueError: It is not JSON.
    """
    raw = read_bytes(path, max_bytes).removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(raw)
    except ValueError:
        if not allow_nan:
            raise
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError('nested too deeply') from None


def load_written_json(
    path: str | os.PathLike[str], *, error: type[MultigrainError], fix: str, **options: Any
) -> Any:
    """Parse a JSON file that a tool has written; `options` are those of `load_json`.

    Args:
        path: The file.
        error: What is raised, in one line, if it cannot be read or is not JSON.
        fix: How to write it again.
    """
    try:
        return load_json(path, **options)
    except OSError as reason:
        raise error(f'{path}: cannot be read ({reason.strerror})') from None
    except ValueError as reason:
        raise error(f'{path}: not valid JSON ({reason}); {fix}') from None


def read_bytes(path: str | os.PathLike[str], max_bytes: int | None = None) -> bytes:
    """The content of a file, up to `max_bytes` large.

    Raises:
        OSError: It cannot be read, is too large, or memory does not hold it.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read() if max_bytes is None else file.read(max_bytes + 1)
    except MemoryError:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from None
    if max_bytes is not None and len(content) > max_bytes:
        raise OSError(
            errno.EFBIG, f'over {max_bytes / 2**20:g} MiB, more than a file of its kind has'
        )
    return content


def dump_json(obj: Any) -> bytes:
    """Compact JSON bytes; NaN becomes null."""
    return orjson.dumps(obj)


class _Writer:
    """The writing end of `open_whole`; its errors name the file that is to be written."""

    def __init__(self, target: Path, file: BinaryIO) -> None:
        self._target, self._file = target, file

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with _naming(self._target):
            self._file.write(data)


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Turn an OSError of the block into one line that names the file to be written."""
    try:
        yield
    except OSError as error:
        raise FileError(f'{target}: cannot be written ({error.strerror})') from None


@contextlib.contextmanager
def open_whole(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[_Writer]:
    """Write a file in pieces that appears complete or not at all, with `write(bytes)` of what is yielded.

    The content goes to a temporary file next to the target (`.NAME.PID.tmp`, of a long name the end),
    which is renamed when the block ends. If the block raises, an existing file stays and missing
    folders, which are made, are removed again; only a killed process leaves its temporary file
    behind. With `sync` it waits until content and name are on the disk, so that the file survives a
    power cut, which costs milliseconds.

    Raises:
        FileError: The file cannot be written, with the system's reason.
    """
    path = Path(path)
    name = path.name
    while len(os.fsencode(name)) > _MAX_NAME:
        name = name[1:]
    temporary = path.with_name(f'.{name}.{os.getpid()}.tmp')  # as in _TEMPORARY
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        with _naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(temporary, 'wb')  # closed below, whatever happens
        try:
            yield _Writer(path, file)
            with _naming(path):
                file.flush()
                if sync:
                    os.fsync(file.fileno())
        finally:
            with _naming(path):
                file.close()
        with _naming(path):
            os.replace(temporary, path)
            if sync:
                _sync_folder(path.parent)
    except BaseException:  # an interrupt, too, must not leave the temporary file
        with contextlib.suppress(OSError):
            temporary.unlink()
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(opened)


def remove_leftovers(
    folder: str | os.PathLike[str], *, suffix: str | tuple[str, ...]
) -> list[Path]:
    """Delete the temporary files of `open_whole` that killed processes left right in a folder.

    Only files with names that end in a suffix, and none of a living process; not to be called while
    this process writes there. Returns what was deleted.
    """
    removed = []
    for path in sorted(Path(folder).glob('.*.tmp')):
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or not found['name'].endswith(suffix):
            continue
        process = int(found['process'])
        # A number is used again; in containers most often by the next run, that is, by us.
        if process != os.getpid() and _is_alive(process):
            continue
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
    return removed


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def write_whole(path: str | os.PathLike[str], data: bytes, *, sync: bool = False) -> None:
    """Write a file atomically; see `open_whole`."""
    with open_whole(path, sync=sync) as file:
        file.write(data)


def write_together(contents: Iterable[tuple[Path, bytes]]) -> None:
    """Write several files, of which none gets its name before all have their content."""
    with contextlib.ExitStack() as stack:
        for path, content in contents:
            stack.enter_context(open_whole(path)).write(content)


def nearby(path: str | os.PathLike[str]) -> str:
    """A path as it is named from the current folder, if it lies below it."""
    relative = os.path.relpath(path)
    return os.fspath(path) if relative.startswith('..') else relative
