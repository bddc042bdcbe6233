"""Files that a command line names: there, or an error with near names."""

from __future__ import annotations

import difflib
from pathlib import Path

from mmdet_multigrain.utils.errors import ConfigError


def check_file(path: str | Path, what: str) -> Path:
    """The path of an existing file; a ValueError names what is missing and near names."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f'{path}: this is a folder; name a {what} in it')
    if not path.is_file():
        raise ConfigError(f'{path}: no such {what}{_nearest(path)}')
    return path


def check_checkpoint(path: str | Path) -> None:
    """Raise a one-line ValueError if a checkpoint is a file that is not there; URLs may be."""
    if '://' not in str(path):
        check_file(path, 'checkpoint')


def _nearest(path: Path) -> str:
    names = (
        sorted(item.name for item in path.parent.glob(f'*{path.suffix}'))
        if path.parent.is_dir()
        else []
    )
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.4)
    return f'; did you mean {" or ".join(close)}?' if close else '; check the path'
