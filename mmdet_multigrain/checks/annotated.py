"""Checks of images that tell which classes they annotate, as in LVIS; see `coco.unannotated`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmdet_multigrain.coco.columns import id_key
from mmdet_multigrain.coco.unannotated import NEGATIVE, PARTIAL
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import Checks, rows_where

FIELDS = NEGATIVE, PARTIAL
Entry = tuple[int, str, Any]  # row of an image, field, category id


def _describe(data: CocoData, entry: Entry) -> str:
    row, field, id = entry
    return f'{data.name_image(row)}: {field} has {show(id)}'


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


def _known(data: CocoData) -> set[object]:
    return {id_key(category.get('id')) for category in data.categories} - {None}


CHECKS = Checks(describe=_describe)
CHECKS.note(
    'annotated-per-image',
    'images that tell which classes they annotate, as in LVIS',
    "set train_dataloader.dataset.annotated='per_image'; else objects of all other classes are "
    'background (docs/labels.md)',
    rows_where('images', lambda image: bool(image.get(PARTIAL)) or image.get(NEGATIVE) is not None),
    describe=CocoData.name_image,
    varies=lambda data: (
        {'fix': 'nothing: evaluation leaves the other classes out'} if data.split == 'val' else {}
    ),
)
CHECKS.error(
    'annotated-not-a-list',
    f'images whose {NEGATIVE} or {PARTIAL} are not lists',
    'write lists of category ids',
    rows_where(
        'images', lambda image: not all(isinstance(image.get(key) or [], list) for key in FIELDS)
    ),
    describe=CocoData.name_image,
)


@CHECKS.warning(
    'annotated-unknown-id',
    f'ids in {NEGATIVE} and {PARTIAL} that no category has',
    'correct them, or add the categories; they are passed over',
)
def _unknown_ids(data: CocoData) -> list[Entry]:
    known = _known(data)
    return _entries(data, FIELDS, lambda row, id: id not in known)


@CHECKS.warning(
    'absent-class-with-boxes',
    f'ids in {NEGATIVE}, absent from the image, of categories that it has boxes of',
    'remove the ids, or the boxes',
)
def _absent_with_boxes(data: CocoData) -> list[Entry]:
    ids, known = (id_key(item.get('category_id')) for item in data.annotations), _known(data)
    boxed = set(zip(data.image_of.tolist(), ids, strict=True))
    return _entries(data, (NEGATIVE,), lambda row, id: id in known and (row, id) in boxed)
