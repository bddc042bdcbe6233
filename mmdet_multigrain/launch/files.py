"""Files of a command line: those that it names are there, and what it writes replaces nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import did_you_mean


def add_force(parser: argparse.ArgumentParser) -> None:
    """The argument --force; `check_outputs` acts on it."""
    parser.add_argument(
        '--force', action='store_true', help='replace files that exist, except what is read'
    )


def check_outputs(
    outputs: Iterable[str | Path | None],
    *,
    inputs: Iterable[str | Path | None] = (),
    replace: bool = False,
) -> None:
    """Refuse files that would replace others; to be called before the work. None is left out.

    Nothing replaces inputs, also not by a link. `replace` allows to replace other files: it was
    asked for, or the same command wrote them for the same purpose.

    Raises:
        ConfigError: A file that will be written is an input, a folder, named twice, or already
            exists.
    """
    outputs, inputs = ([Path(path) for path in paths if path] for paths in (outputs, inputs))
    inputs = [path for path in inputs if path.exists()]
    for out in outputs:
        if out.is_dir():
            raise ConfigError(f'{out}: this is a folder; name a file in it')
        for path in inputs:
            if out.exists() and os.path.samefile(path, out):
                raise ConfigError(f'{out}: would replace the input {path}; write elsewhere')
        if not replace and out.is_file():
            raise ConfigError(
                f'{out}: already exists, from another command; name another file or folder, or '
                'replace it (--force)'
            )
    seen: set[str] = set()
    for out in outputs:
        if (real := os.path.realpath(out)) in seen:
            raise ConfigError(f'{out}: named for two outputs; write one elsewhere')
        seen.add(real)


def same_path(left: str | os.PathLike[str], right: str | os.PathLike[str]) -> bool:
    """Whether two paths, or URLs, are the same as they are written."""
    return os.path.abspath(left) == os.path.abspath(right)


def check_file(path: str | Path, what: str) -> Path:
    """The path of an existing file; a ConfigError names what is missing and near names."""
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
    """Raise a one-line ConfigError for a missing checkpoint file; URLs are not looked up."""
    if '://' not in str(path):
        check_file(path, 'checkpoint')
