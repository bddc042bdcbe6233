"""Checks for photos that are there twice: in one file, or in both files, also if only alike."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

from mmdet_multigrain.coco.looks import look_alikes

from .data import CocoData
from .finding import Checks, Describe, Finding, found
from .images import plain_name
from .photos import equal_files

CHECKS = Checks()
TWICE = CHECKS.warning(
    'photo-twice',
    'photos that a second image of the file has too, under another name',
    'merge the two images: in each, the boxes of the other count as background',
)
SAME_NAME = CHECKS.warning(
    'file-name-in-both-splits',
    'file names that are in both files',
    'give --images, which tells whether they are the same photos; if so, remove them from one',
)
SAME_PHOTO = CHECKS.error(
    'photo-in-both-splits',
    'photos that are in both files',
    'remove them from one: results on photos that were learned say nothing',
)
ALIKE = CHECKS.warning(
    'photo-alike-in-both-splits',
    'photos that look like one of the other file: resized, saved again, or of one series',
    'remove them from one, or split by series (split_dataset.py --images keeps such photos together)',
)
Pair = tuple[int, int]  # rows of images


def check(files: Sequence[CocoData], *, progress: bool = False) -> Iterator[Finding]:
    """Findings about photos that are in a file twice, or in both files.

    Photos are compared by their content where they were read, else by their names.
    """
    rows = [_rows_by_path(data) for data in files]
    paths = dict.fromkeys(path for by_path in rows for path in by_path)
    groups = equal_files(paths, progress=progress)
    grouped = {path for group in groups for path in group}
    groups += [[path] for path in paths if path not in grouped]
    same = [
        [[row for path in group for row in by_path.get(path, ())] for by_path in rows]
        for group in groups
    ]
    for number, data in enumerate(files):
        pairs = _repeated(data, [members[number] for members in same])
        yield from found(TWICE, data, pairs, describe=_names(data, data))
    *others, last = range(len(files))
    for number in others if files[last].split == 'val' else ():
        pairs = [(of[number], of[last][0]) for of in same if of[number] and of[last]]
        yield from _in_both(files[number], files[last], pairs)


def _rows_by_path(data: CocoData) -> dict[str, list[int]]:
    """Rows of the images by the file of their photo, where it was read."""
    rows = defaultdict(list)
    for row, photo in data.known_photos():
        if photo.size or photo.problem:
            rows[os.path.realpath(photo.path)].append(row)
    return rows


def _repeated(data: CocoData, groups: Sequence[Sequence[int]]) -> list[Pair]:
    """Rows with the first one of the same photo, unless the name or the id tells that, too."""
    names = dict(data.file_names())
    ids = [image.get('id') for image in data.images]
    return sorted(
        (row, min(rows))
        for rows in groups
        for row in rows
        if row != min(rows)
        and plain_name(names[row]) != plain_name(names[min(rows)])
        and ids[row] != ids[min(rows)]
    )


def _in_both(
    train: CocoData, val: CocoData, same: Sequence[tuple[Sequence[int], int]]
) -> Iterator[Finding]:
    texts = {'split': '', 'describe': _names(train, val)}
    if train.photos is None or val.photos is None:
        first, second = ({name: row for row, name in data.file_names()} for data in (train, val))
        pairs = [(first[name], second[name]) for name in first if name in second]
        yield from found(SAME_NAME, train, pairs, **texts)
        return
    pairs = [(row, other) for rows, other in same for row in rows]
    yield from found(SAME_PHOTO, train, sorted(pairs), **texts)
    looks, other_looks = (
        {row: photo.look for row, photo in data.known_photos() if photo.look is not None}
        for data in (train, val)
    )
    rows, others = [*looks], [*other_looks]
    alike: dict[int, int] = {}
    for place, other in look_alikes([*looks.values()], [*other_looks.values()]):
        alike.setdefault(rows[place], others[other])
    for row, _ in pairs:
        alike.pop(row, None)
    yield from found(ALIKE, train, sorted(alike.items()), **texts)


def _names(first: CocoData, second: CocoData) -> Describe:
    return lambda _, pair: f'{first.name_image(pair[0])} and {second.name_image(pair[1])}'
