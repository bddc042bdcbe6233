"""Checks of two files together: photos that are in both."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .data import CocoData
from .finding import ERROR, WARNING, Check, Finding, found
from .photos import equal_files

SAME_NAME = Check(
    'file-name-in-both-splits',
    WARNING,
    'file names that are in both files',
    'give --images, which tells whether they are the same photos; if so, remove them from one',
)
SAME_PHOTO = Check(
    'photo-in-both-splits',
    ERROR,
    'photos that are in both files',
    'remove them from one: results on photos that were learned say nothing',
)


def check(train: CocoData, val: CocoData, *, progress: bool = False) -> Iterator[Finding]:
    """Findings about photos in both files: by content where photos are given, else by name."""
    if train.photos is None or val.photos is None:
        same = SAME_NAME
        first, second = ({name: row for row, name in data.file_names()} for data in (train, val))
        pairs = [(name, name) for name in first if name in second]
    else:
        same = SAME_PHOTO
        first, second = (
            {
                os.path.realpath(photo.path): row
                for row, photo in data.known_photos()
                if not photo.is_absent
            }
            for data in (train, val)
        )
        pairs = list(equal_files(first, second, progress=progress))
    yield from found(
        same,
        train,
        pairs,
        lambda _, pair: f'{train.name_image(first[pair[0]])} and {val.name_image(second[pair[1]])}',
        split='',
    )
