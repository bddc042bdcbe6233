"""Checks of two files together: photos that stand in both."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .data import CocoData
from .finding import ERROR, WARNING, Finding, Kind
from .photos import equal_files

SAME_NAME = Kind(
    'file-name-in-both-splits',
    WARNING,
    'file names that stand in both files',
    'give --images, which tells whether they are the same photos; if so, remove them from one',
)
SAME_PHOTO = Kind(
    'photo-in-both-splits',
    ERROR,
    'photos that stand in both files',
    'remove them from one: results on photos that were learned say nothing',
)


def check(train: CocoData, val: CocoData, *, progress: bool = False) -> Iterator[Finding]:
    """Findings about photos in both files: by content where photos are given, else by name."""
    if train.photos is None or val.photos is None:
        names = [
            {
                name: row
                for row in range(len(data.images))
                if (name := data.file_name(row)) is not None
            }
            for data in (train, val)
        ]
        both = [name for name in names[0] if name in names[1]]
        kind, pairs = SAME_NAME, [(names[0][name], names[1][name]) for name in both]
    else:
        rows = [
            {
                os.path.realpath(photo.path): row
                for row in range(len(data.images))
                if (photo := data.photo(row)) is not None and not photo.is_absent
            }
            for data in (train, val)
        ]
        kind, pairs = (
            SAME_PHOTO,
            [
                (rows[0][first], rows[1][second])
                for first, second in equal_files(rows[0], rows[1], progress=progress)
            ],
        )
    if pairs:
        yield Finding(
            kind,
            '',
            len(pairs),
            tuple(
                f'{train.name_image(first)} and {val.name_image(second)}'
                for first, second in pairs[: train.max_examples]
            ),
        )
