"""An output folder that appears with all of its files, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmdet_multigrain.utils.errors import ExportError


def check_new(folder: Path) -> None:
    """Refuse a folder that holds files, and a file: those of two exports must not mix."""
    # A mount point and the current folder cannot be replaced.
    is_fixed = folder.is_dir() and (os.path.ismount(folder) or folder.samefile('.'))
    if folder.is_dir() and not is_fixed and not any(folder.iterdir()):
        return
    if folder.exists():
        raise ExportError(f'--out {folder}: already exists; name a new folder or remove it')


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder next to the target, which becomes it when the block ends.

    When the block raises, nothing is left, nor any parent folder that was made for it. What cannot
    be written is an ExportError.
    """
    check_new(folder)
    folder, named = Path(os.path.realpath(folder)), folder  # a link to a folder stays one
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    temporary = folder.with_name(f'.{folder.name}.{os.getpid()}.tmp')
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.replace(temporary, folder)  # an empty folder of that name may be there
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            for parent in made:
                parent.rmdir()
        if isinstance(error, OSError):
            raise ExportError(f'{named}: cannot be written ({error.strerror})') from None
        raise
