"""The checkpoint that a run continues from: the last one whose file is intact.

Loading one into a model belongs to the runner; writing them to `SafeCheckpointHook`.
"""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Callable
from os.path import isfile
from pathlib import Path

from mmdet_multigrain.utils.errors import CheckpointError

from .read import loading, read_checkpoint

POINTER = 'last_checkpoint'  # MMEngine's file with the path of the newest checkpoint
_ARCHIVE = b'PK\x03\x04'
_OF_A_RUN = re.compile(r'(best_.+|epoch_\d+|iter_\d+)\.pth$')
_NUMBERED = re.compile(r'(?P<kind>epoch|iter)_(?P<number>\d+)\.pth')


def check_archive(path: str | os.PathLike[str]) -> None:
    """Compare a checkpoint's bytes with the checksums in it: `torch.save` writes a zip archive.

    Raises:
        CheckpointError: It is cut off or changed.
    """
    with loading(str(path)), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise CheckpointError(
            f'{path}: not a whole checkpoint ({damaged} in it was changed); copy it again or take '
            'another'
        )


def check_whole(path: str | os.PathLike[str]) -> int:
    """Read a whole checkpoint; the number of iterations that it was trained for.

    Raises:
        CheckpointError: It is broken, or training cannot continue from it.
    """
    with loading(str(path)), open(path, 'rb') as file:
        is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    if is_archive:  # torch before 1.6 wrote none; for those, loading finds what it can
        check_archive(path)
    checkpoint = read_checkpoint(str(path))
    iteration = (checkpoint.get('meta') or {}).get('iter')
    if not isinstance(iteration, int):
        raise CheckpointError(
            f'{path}: cannot be resumed, it does not say how long it was trained; resume a '
            'checkpoint that training saved'
        )
    return iteration


def refuse_used(folder: str | os.PathLike[str]) -> None:
    """Refuse to begin a run in a folder with checkpoints: those of two runs must not mix.

    Raises:
        CheckpointError: A run has saved checkpoints there.
    """
    names = sorted(path.name for path in Path(folder).glob('*.pth') if _OF_A_RUN.match(path.name))
    if names:
        raise CheckpointError(
            f'{folder}: already holds the checkpoints of a run ({names[0]}); continue that run with '
            'resume, name another work folder for this one, or move the files away'
        )


def find_last_checkpoint(
    work_dir: str | os.PathLike[str], *, warn: Callable[[str], None]
) -> str | None:
    """The newest complete checkpoint of a run, or None.

    That is the one that `last_checkpoint` names, if it is complete: newer files next to it are of
    an unfinished save or an older run. Otherwise it is the one before, by iteration or epoch. The
    folder may have moved since the path was noted. `warn` is told in one line of each broken
    checkpoint and of a pointer that leads nowhere.

    Raises:
        CheckpointError: There are checkpoints, but none is complete.
    """
    work_dir = Path(work_dir)
    noted = _noted(work_dir)
    folder = work_dir
    # Of `os.path`: False, not an error, for impossible names.
    if noted is not None and not _numbered(work_dir) and not isfile(work_dir / noted.name):
        folder = noted.parent  # of a hook with an `out_dir`
    last = None if noted is None else folder / noted.name
    if last is not None and not isfile(last):
        warn(f'{work_dir / POINTER}: names {last.name!r}, which does not exist')
    elif last is not None and _iteration(last, warn) is not None:
        return str(last)
    others = [item for item in _numbered(folder) if item[2] != last]
    newest = None if noted is None else _NUMBERED.fullmatch(noted.name)

    def in_turn(item: tuple[str, int, Path]) -> tuple[bool, int]:
        kind, number, _ = item
        beyond = newest is not None and (kind == newest['kind'] and number > int(newest['number']))
        return beyond, -number

    whole: dict[str, tuple[int, Path]] = {}  # the first that is, by kind
    for kind, _, path in sorted(others, key=in_turn):
        if kind not in whole and (iteration := _iteration(path, warn)) is not None:
            whole[kind] = iteration, path
    if whole:
        return str(max(whole.values())[1])
    if others or (last is not None and isfile(last)):
        raise CheckpointError(
            f'{folder}: no checkpoint in it is whole; copy one again, or move them away to start '
            'from the beginning'
        )
    return None


def _noted(work_dir: Path) -> Path | None:
    """The path in the pointer; None if it is not there or holds no file name."""
    try:
        text = (work_dir / POINTER).read_text(errors='replace').strip()
    except OSError:
        return None
    return Path(text) if text and text.isprintable() and Path(text).name else None


def _numbered(folder: Path) -> list[tuple[str, int, Path]]:
    """Kind, number and path of the checkpoints in a folder that training saved."""
    found = [(_NUMBERED.fullmatch(path.name), path) for path in folder.glob('*.pth')]
    return [(name['kind'], int(name['number']), path) for name, path in found if name]


def _iteration(path: Path, warn: Callable[[str], None]) -> int | None:
    try:
        return check_whole(path)
    except CheckpointError as error:
        warn(f'{error}; looking for the one before')
        return None


def choose_checkpoint(
    named: str | None, work_dir: str | os.PathLike[str], *, warn: Callable[[str], None]
) -> str | None:
    """The path or URL of the checkpoint that a run resumes from, verified; None if there is none.

    That is the named one, or the last one in the work folder. `warn` is told in one line what was
    found broken or missing.

    Raises:
        CheckpointError: The named checkpoint is not complete, and the message names one that is,
            if any; or the work folder has checkpoints and all are broken.
    """
    if named is None:
        last = find_last_checkpoint(work_dir, warn=warn)
        if last is None:
            warn(f'{work_dir}: no checkpoint to resume from; starting from the beginning')
        return last
    if '://' in named:
        return named
    try:
        check_whole(named)
    except CheckpointError as error:
        good = None
        with contextlib.suppress(CheckpointError):
            good = find_last_checkpoint(Path(named).parent, warn=lambda line: None)
        message = f'{error}; {good} is complete' if good else str(error)
        raise type(error)(message) from None
    return named
