"""Files that a command line names: there, or an error with near names."""

from __future__ import annotations

from pathlib import Path

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import did_you_mean


def check_file(path: str | Path, what: str) -> Path:
    """The path of an existing file; a ValueError names what is missing and near names."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f'{path}: this is a folder; name a {what} in it')
    if not path.is_file():
        # Of a folder that does not exist, `glob` gives nothing.
        names = (item.name for item in sorted(path.parent.glob(f'*{path.suffix}')))
        hint = did_you_mean(path.name, names, 'check the path')
        raise ConfigError(f'{path}: no such {what}{hint}')
    return path


def check_checkpoint(path: str | Path) -> None:
    """Raise a one-line ValueError for a missing checkpoint file; URLs are not looked up."""
    if '://' not in str(path):
        check_file(path, 'checkpoint')
