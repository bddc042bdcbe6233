"""Fingerprints of data and code: digests of files, versions of packages."""

from __future__ import annotations

import hashlib
import importlib
import platform
from functools import cache
from pathlib import Path

import mmdet_multigrain

# Other versions of these may compute or draw other numbers.
PACKAGES = ('torch', 'numpy', 'mmcv', 'mmdet', 'mmengine', 'mmdet_multigrain')


def versions() -> dict[str, str]:
    """Versions of Python and of `PACKAGES`, as they are imported."""
    found = {name: str(importlib.import_module(name).__version__) for name in PACKAGES}
    return {'python': platform.python_version()} | found


def file_digest(path: str | Path) -> str | None:
    """SHA-256 of a file's content; None if there is no such file here (a URL, say)."""
    if not Path(path).is_file():
        return None
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 of this package's code, of its files' names and contents."""
    folder = Path(mmdet_multigrain.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob('*.py')):
        digest.update(f'{path.relative_to(folder)}\0{file_digest(path)}\0'.encode())
    return digest.hexdigest()
