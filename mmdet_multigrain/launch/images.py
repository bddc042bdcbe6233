"""The images that a command line names: files, folders at any depth, patterns like `*.jpg`."""

from __future__ import annotations

import glob
import mimetypes
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.images import is_image

from .files import check_file


class FoundImages(NamedTuple):
    """Images that were found."""

    root: Path  # what names are relative to: of several sources, the folder in common
    names: list[Path]  # in order
    left_out: dict[str, str]  # why other files and hidden folders are not among them, by name


def find_images(sources: Sequence[str], *, leave_out: Path) -> FoundImages:
    """Find the images that files, folders and patterns name; each once.

    Links to folders are followed, each folder is searched once.

    Args:
        sources: Paths, and patterns as `glob` takes them (`**`: folders at any depth).
        leave_out: A folder that is not searched: what an earlier call has written.

    Raises:
        ConfigError: A source does not exist or is a video; a folder has no image.
    """
    paths = list(dict.fromkeys(path for source in sources for path in _expand(source)))
    folders = [path if path.is_dir() else path.parent for path in paths]
    root = folders[0]
    if len(paths) > 1:
        root = Path(os.path.commonpath(map(os.path.abspath, folders)))
    names, left_out = set(), {}
    for path in paths:
        if not path.is_dir():
            _refuse_video(path)
            names.add(_relative(path, root))
            continue
        found, others = _search(path, leave_out)
        if not found:
            raise ConfigError(f'{path}: no image in this folder that OpenCV reads')
        names |= {_relative(image, root) for image in found}
        left_out |= {_relative(other, root).as_posix(): reason for other, reason in others.items()}
    return FoundImages(root, sorted(names), dict(sorted(left_out.items())))


def _expand(source: str) -> Iterator[Path]:
    """The paths that a source names; a pattern may also be the name of a file."""
    matches = [] if Path(source).exists() else sorted(glob.glob(source, recursive=True))
    if matches:
        yield from map(Path, matches)
    else:
        yield Path(source) if Path(source).is_dir() else check_file(source, 'image or folder')


def _relative(path: Path, root: Path) -> Path:
    return Path(os.path.relpath(os.path.abspath(path), os.path.abspath(root)))


def _search(source: Path, leave_out: Path) -> tuple[list[Path], dict[Path, str]]:
    """The images in a folder, and why its other files are none."""
    found, others, searched = [], {}, {leave_out.resolve()} - {source.resolve()}
    for folder, subfolders, names in os.walk(source, followlinks=True):
        place = Path(folder)
        if place.resolve() in searched:
            subfolders.clear()
            continue
        searched.add(place.resolve())
        others |= {place / name: 'hidden' for name in [*subfolders, *names] if name[0] == '.'}
        subfolders[:] = sorted(name for name in subfolders if name[0] != '.')
        for path in (place / name for name in names if name[0] != '.'):
            if is_image(path):
                found.append(path)
            else:
                others[path] = 'a video' if _is_video(path) else 'not an image'
    return found, others


def _is_video(path: Path) -> bool:
    kind, _ = mimetypes.guess_type(path.name)
    return kind is not None and kind.startswith('video/') and not is_image(path)


def _refuse_video(path: Path) -> None:
    if _is_video(path):
        frames = path.with_name(f'{path.stem}_frames')
        code = f'import mmcv; mmcv.VideoReader("{path}").cvt2frames("{frames}")'
        advice = f'write its frames to a folder and name that: python -c {shlex.quote(code)}'
        raise ConfigError(f'{path}: a video; {advice}')
