"""Reading and writing whole files: JSON, and writes that leave the whole file or the old one.

Needs neither torch nor mmdet. What a particular file holds does not belong here.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
from pathlib import Path
from typing import Any

try:
    import orjson
except ImportError:  # several times faster; the standard library gives the same results
    orjson = None


class FileError(ValueError):
    """A file that cannot be written; one line with the file and the system's reason."""


def _reject_constant(name: str) -> None:
    raise ValueError(f'{name} is not JSON')  # as orjson does; the standard library accepts NaN


def load_json(path: str | os.PathLike[str], *, allow_nan: bool = False) -> Any:
    """Parse a JSON file (UTF-8, with or without byte-order mark).

    Args:
        path: The file.
        allow_nan: Read ``NaN`` and ``Infinity``, which Python writes but JSON does not have.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON.
    """
    raw = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)
    if orjson is not None:
        try:
            return orjson.loads(raw)
        except ValueError:
            if not allow_nan:
                raise
    try:
        return json.loads(raw, parse_constant=None if allow_nan else _reject_constant)
    except RecursionError:
        raise ValueError('nested too deeply') from None


def dump_json(obj: Any) -> bytes:
    """Compact JSON bytes; the same bytes with and without orjson for str, int, bool and lists."""
    if orjson is not None:
        return orjson.dumps(obj)
    return json.dumps(obj, separators=(',', ':'), ensure_ascii=False, allow_nan=False).encode()


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: a temporary file beside the target, then a rename.

    Whatever stood under the name before stays there until the new content is complete, and
    stays for good when the writing fails. The temporary name starts with a dot and ends with
    ``.tmp``; only a killed process leaves one behind.

    Raises:
        FileError: The file cannot be written, with the system's reason.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException as error:  # an interrupt, too, must not leave the temporary file
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise FileError(f'{path}: cannot be written ({error.strerror})') from None
        raise
