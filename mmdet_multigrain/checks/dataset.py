"""All checks of a data set: one COCO file or two, with or without photos."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckError
from mmdet_multigrain.utils.files import leaves_folder
from mmdet_multigrain.utils.messages import printable, show

from . import annotated, boxes, classes, copies, granularity, ids, images, repeated, structure
from .data import CocoData, load
from .finding import SEVERITIES, Finding
from .names import find_files
from .photos import Photo, read_photos

SPLITS = ('train', 'val')


@dataclass(frozen=True)
class Checked:
    """A data set and what was found."""

    files: tuple[CocoData, ...]  # training files, then perhaps one of validation
    taxonomy: Taxonomy | str  # the classes, or why there are none
    findings: tuple[Finding, ...]  # errors first, then warnings, then notes

    def count(self, severity: str) -> int:
        """The number of findings of a severity."""
        return sum(finding.check.severity == severity for finding in self.findings)


def load_files(
    paths: Sequence[str | os.PathLike[str]],
    *,
    also: Sequence[str | os.PathLike[str]] = (),
    max_examples: int = 3,
) -> tuple[CocoData, ...]:
    """Read the training files and the validation file, without their photos, in this order.

    Args:
        paths: The training file, or it and the validation file.
        also: More training files.
        max_examples: Of each kind of finding.

    Raises:
        CheckError: One cannot be read, or two are one file.
    """
    named = [
        *zip(SPLITS if len(paths) > 1 or also else ('',), paths[:1], strict=False),
        *((f'{SPLITS[0]} {number}', path) for number, path in enumerate(also, start=2)),
        *zip(SPLITS[1:], paths[1:], strict=False),
    ]
    for (_, first), (_, second) in itertools.combinations(named, 2):
        if os.path.exists(first) and os.path.exists(second) and os.path.samefile(first, second):
            raise CheckError(f'{second}: the same file as {first}; name each file once')
    return tuple(load(path, split=split, max_examples=max_examples) for split, path in named)


def load_photos(
    data: CocoData,
    folder: str | os.PathLike[str],
    *,
    workers: int | None = None,
    full_decode: bool = False,
    progress: bool = False,
) -> dict[str, Photo]:
    """Read the photos of a file; see `read_photos`.

    Raises:
        CheckError: The folder does not exist, holds none of the photos, or is below the one that
            their names are relative to.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckError(f'{folder}: no such folder of images; check the path')
    names = dict.fromkeys(name for _, name in data.file_names())
    options = {'workers': workers, 'full_decode': full_decode, 'progress': progress}
    photos = read_photos(folder, [name for name in names if not leaves_folder(name)], **options)
    others, sure = _find_others(folder, names, photos, options)
    for name, path in sure.items():
        if root := _folder_with(name, folder, path):
            raise CheckError(
                f'{folder}: {show(name)} of {data.path} is a file in {root}, and another one than '
                f'{printable(str(folder / path))}; name {root}, the folder that the names are relative to'
            )
    photos |= others
    if photos and all(photo.is_absent for photo in photos.values()):
        first = printable(next(iter(photos.values())).path)
        raise CheckError(
            f'{folder}: none of the {len(photos):,} photos of {data.path} is there, '
            f"not even {first}; name the folder that 'file_name' is relative to"
        )
    return photos


def _find_others(
    folder: Path, names: Iterable[str], photos: Mapping[str, Photo], options: Mapping[str, Any]
) -> tuple[dict[str, Photo], dict[str, str]]:
    """Photos that the folder has under another spelling of their name, by either name; the sure ones."""
    absent = [name for name in names if name not in photos or photos[name].is_absent]
    found = find_files(absent, folder, taken=photos.keys() - absent) if absent else {}
    sure = {name: paths[0] for name, paths in found.items() if len(paths) == 1}
    read = read_photos(folder, sure.values(), **options)
    renamed = {name: dataclasses.replace(read[path], named=path) for name, path in sure.items()}
    guesses = {
        name: Photo(os.path.join(folder, name), candidates=found[name])
        for name in found
        if name not in sure
    }
    return read | renamed | guesses, sure


def _folder_with(name: str, folder: Path, path: str) -> Path | None:
    """The folder above this one that has a photo by its full name, as another file than a path here."""
    parts = name.replace('\\', '/').split('/')
    dropped = 0 if leaves_folder(name) else len(parts) - len(path.split('/'))
    for number in range(1, dropped + 1):
        root = Path(os.path.normpath(folder.joinpath(*['..'] * number)))
        there = root.joinpath(*parts)
        if os.path.isfile(there) and not os.path.samefile(there, folder / path):
            return root
    return None


def check_files(
    files: Sequence[CocoData], taxonomy: Taxonomy | None = None, *, progress: bool = False
) -> Checked:
    """Run all checks on what `load_files` returns.

    By default, the classes are those that the supercategories of the training files make.
    """
    train = [data for data in files if data.split != SPLITS[1]]
    known = classes.load_taxonomy(train) if taxonomy is None else taxonomy
    findings = [*classes.check_taxonomy(files[0], known)]
    findings += granularity.check_depths(files[0], known)
    findings += granularity.check_lists(files, known)
    for data in files:
        for subject in (structure, ids, boxes, images, annotated):
            findings += subject.CHECKS.run(data)
        # Each of several training files may annotate classes of its own.
        findings += classes.check(data, known, allow_missing=data in train and len(train) > 1)
        findings += granularity.check(data, known, train)
        findings += repeated.check(data, known)
    findings += classes.check_boxes(files, known)
    findings += copies.check(files, progress=progress)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.check.severity))
    return Checked(tuple(files), known, tuple(findings))
