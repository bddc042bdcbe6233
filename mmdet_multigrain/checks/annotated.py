"""Checks of images that tell which classes they annotate, as in LVIS; see `coco.unannotated`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from mmdet_multigrain.coco.columns import id_key
from mmdet_multigrain.coco.unannotated import NEGATIVE, PARTIAL
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, NOTE, WARNING, Check, Finding, found, rows_where, run

Entry = tuple[int, str, Any]  # row of an image, field, category id


def _describe(data: CocoData, entry: Entry) -> str:
    row, field, id = entry
    return f'{data.name_image(row)}: {field} has {show(id)}'


PER_IMAGE = Check(
    'annotated-per-image',
    NOTE,
    'images that tell which classes they annotate, as in LVIS',
    "set train_dataloader.dataset.annotated='per_image'; else objects of all other classes are "
    'background (docs/labels.md)',
    describe=CocoData.name_image,
    find=rows_where(
        'images', lambda image: bool(image.get(PARTIAL)) or image.get(NEGATIVE) is not None
    ),
)
NO_LIST = Check(
    'annotated-not-a-list',
    ERROR,
    f'images whose {NEGATIVE} or {PARTIAL} are not lists',
    'write lists of category ids',
    describe=CocoData.name_image,
    find=rows_where(
        'images',
        lambda image: (
            not all(isinstance(image.get(key) or [], list) for key in (NEGATIVE, PARTIAL))
        ),
    ),
)
UNKNOWN_ID = Check(
    'annotated-unknown-id',
    WARNING,
    f'ids in {NEGATIVE} and {PARTIAL} that no category has',
    'correct them, or add the categories; they are passed over',
    describe=_describe,
)
ABSENT = Check(
    'absent-class-with-boxes',
    WARNING,
    f'ids in {NEGATIVE}, absent from the image, of categories that it has boxes of',
    'remove the ids, or the boxes',
    describe=_describe,
)


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about these fields of images."""
    kind = PER_IMAGE
    if data.split == 'val':
        kind = dataclasses.replace(kind, fix='nothing: evaluation leaves the other classes out')
    yield from found(kind, data, kind.find(data))
    yield from run((NO_LIST,), data)
    known = {id_key(category.get('id')) for category in data.categories} - {None}
    unknown = _entries(data, (NEGATIVE, PARTIAL), lambda row, id: id not in known)
    yield from found(UNKNOWN_ID, data, unknown)
    ids = (id_key(item.get('category_id')) for item in data.annotations)
    boxed = set(zip(data.image_of.tolist(), ids, strict=True))
    absent = _entries(data, (NEGATIVE,), lambda row, id: id in known and (row, id) in boxed)
    yield from found(ABSENT, data, absent)


def _entries(
    data: CocoData, fields: tuple[str, ...], test: Callable[[int, object], bool]
) -> list[Entry]:
    """Ids in some fields of images that pass a test of row and id."""
    return [
        (row, field, id)
        for row, image in enumerate(data.images)
        for field in fields
        for id in (image.get(field) if isinstance(image.get(field), list) else ())
        if test(row, id_key(id))
    ]
