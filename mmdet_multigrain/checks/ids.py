"""Checks of ids: missing, not integers, duplicate or 0, and dangling references."""

from __future__ import annotations

import numpy as np

from mmdet_multigrain.coco.columns import first_rows
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import Check, Checks, rows_where


def is_good_id(value: object) -> bool:
    """Whether it is a whole number that any tool can hold."""
    return type(value) is int and abs(value) < 2**63


CHECKS = Checks(describe=CocoData.name_annotation)


def _check_ids(name: str, plural: str) -> None:
    """Ids that are missing or not whole numbers, in the table `plural`."""
    describe = getattr(CocoData, f'name_{name}')
    others = (type(None), str) if name == 'image' else type(None)  # these are findings of their own
    CHECKS.fixable_error(
        f'{name}-id-missing',
        f'{plural} without an id',
        'give each an id of its own',
        rows_where(plural, lambda entry: entry.get('id') is None),
        describe=describe,
    )
    CHECKS.fixable_error(
        f'{name}-id-not-integer',
        f'{name} ids that are not whole numbers',
        f'number {plural}',
        rows_where(
            plural,
            lambda entry: not (is_good_id(entry.get('id')) or isinstance(entry.get('id'), others)),
        ),
        describe=describe,
    )


def _check_duplicates(name: str, plural: str, *, key: str, files: str, owner: str) -> Check:
    """Entries listed twice, and ids that several entries share, in the table `plural`."""
    describe = getattr(CocoData, f'name_{name}')

    def duplicates(data: CocoData, *, same: bool) -> list[int]:
        """Rows whose id was used before, by an entry with the same `key` or with another."""
        entries = getattr(data, plural)
        return [
            row
            for row, first in enumerate(first_rows(entries))
            if row != first and (entries[row].get(key) == entries[first].get(key)) == same
        ]

    twice = CHECKS.fixable_error(
        f'{name}-listed-twice',
        f'{plural} listed twice, with the same id and {key.replace("_", " ")}',
        'remove the second entry',
        lambda data: duplicates(data, same=True),
        describe=describe,
    )
    CHECKS.error(
        f'{name}-id-shared',
        f'{name} ids that stand for several {files}',
        f'number {plural} apart; nothing tells which {owner}',
        lambda data: duplicates(data, same=False),
        describe=describe,
    )
    return twice


_check_ids('image', 'images')
_check_ids('category', 'categories')
_check_ids('annotation', 'annotations')
CHECKS.fixable_warning(
    'image-id-text',
    'image ids that are text',
    'number images; this project reads text, other tools may not',
    rows_where('images', lambda image: isinstance(image.get('id'), str)),
    describe=CocoData.name_image,
)
duplicate_images = _check_duplicates(
    'image', 'images', key='file_name', files='files', owner='file the boxes belong to'
)
duplicate_categories = _check_duplicates(
    'category', 'categories', key='name', files='names', owner='class the boxes have'
)
CHECKS.fixable_error(
    'annotation-id-below-1',
    'annotation ids below 1',
    'number annotations from 1; COCOeval never matches annotation 0',
    rows_where('annotations', lambda item: is_good_id(item.get('id')) and item['id'] < 1),
)
duplicate_annotation_ids = CHECKS.fixable_error(
    'annotation-id-twice',
    'annotation ids that were used before',
    'number annotations apart',
    lambda data: first_rows(data.annotations) != np.arange(len(data.annotations)),
)
unknown_images = CHECKS.fixable_error(
    'annotation-without-image',
    'boxes of an image that the file does not list',
    'remove them, or list the image',
    lambda data: data.image_of < 0,
)
unknown_categories = CHECKS.fixable_error(
    'annotation-without-category',
    'boxes of a category that the file does not list',
    'remove them, or list the category',
    lambda data: data.category_of < 0,
    describe=lambda data, row: (
        f'{data.name_annotation(row)}: category_id {show(data.annotations[row].get("category_id"))}'
    ),
)


@CHECKS.fixable_error(
    'reference-not-integer',
    'image_id or category_id written as a fraction (1.0)',
    'write whole numbers',
)
def fractional_references(data: CocoData) -> list[int]:
    references = {'image_id': data.image_of, 'category_id': data.category_of}
    return [
        row
        for row, item in enumerate(data.annotations)
        if any(type(item.get(key)) is float and of[row] >= 0 for key, of in references.items())
    ]
