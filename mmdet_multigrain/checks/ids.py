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
    text = str if name == 'image' else ()  # `image-id-text`
    CHECKS.error(
        f'{name}-id-missing',
        f'{plural} without an id',
        'give each an id of its own',
        rows_where(plural, lambda entry: entry.get('id') is None),
        describe=describe,
        fixable=True,
    )
    CHECKS.error(
        f'{name}-id-not-integer',
        f'{name} ids that are not whole numbers',
        f'number {plural}',
        rows_where(
            plural,
            lambda entry: (
                (id := entry.get('id')) is not None
                and not is_good_id(id)
                and not isinstance(id, text)
            ),
        ),
        describe=describe,
        fixable=True,
    )


def _check_duplicates(name: str, plural: str, *, key: str, files: str, owner: str) -> Check:
    """Entries listed twice, and ids that several entries share, in the table `plural`."""
    describe = getattr(CocoData, f'name_{name}')

    def duplicates(data: CocoData, *, same: bool) -> list[int]:
        """Rows whose id was used before, by an entry with the same `key` or with another."""
        entries = getattr(data, plural)
        first = first_rows(entries)
        return [
            row
            for row in np.flatnonzero(first != np.arange(len(first)))
            if (entries[row].get(key) == entries[first[row]].get(key)) == same
        ]

    twice = CHECKS.error(
        f'{name}-listed-twice',
        f'{plural} listed twice, with the same id and {key.replace("_", " ")}',
        'remove the second entry',
        lambda data: duplicates(data, same=True),
        describe=describe,
        fixable=True,
    )
    CHECKS.error(
        f'{name}-id-shared',
        f'{name} ids that stand for several {files}',
        f'number {plural} apart; nothing tells which {owner}',
        lambda data: duplicates(data, same=False),
        describe=describe,
    )
    return twice


def _fractional_references(data: CocoData) -> list[int]:
    references = {'image_id': data.image_of, 'category_id': data.category_of}
    return [
        row
        for row, item in enumerate(data.annotations)
        if any(type(item.get(key)) is float and of[row] >= 0 for key, of in references.items())
    ]


_check_ids('image', 'images')
_check_ids('category', 'categories')
_check_ids('annotation', 'annotations')
CHECKS.warning(
    'image-id-text',
    'image ids that are text',
    'number images; this project reads text, other tools may not',
    rows_where('images', lambda image: isinstance(image.get('id'), str)),
    describe=CocoData.name_image,
    fixable=True,
)
duplicate_images = _check_duplicates(
    'image', 'images', key='file_name', files='files', owner='file the boxes belong to'
)
duplicate_categories = _check_duplicates(
    'category', 'categories', key='name', files='names', owner='class the boxes have'
)
CHECKS.error(
    'annotation-id-below-1',
    'annotation ids below 1',
    'number annotations from 1; COCOeval never matches annotation 0',
    rows_where('annotations', lambda item: is_good_id(item.get('id')) and item['id'] < 1),
    fixable=True,
)
duplicate_annotation_ids = CHECKS.error(
    'annotation-id-twice',
    'annotation ids that were used before',
    'number annotations apart',
    lambda data: first_rows(data.annotations) != np.arange(len(data.annotations)),
    fixable=True,
)
unknown_images = CHECKS.error(
    'annotation-without-image',
    'boxes of an image that the file does not list',
    'remove them, or list the image',
    lambda data: data.image_of < 0,
    fixable=True,
)
unknown_categories = CHECKS.error(
    'annotation-without-category',
    'boxes of a category that the file does not list',
    'remove them, or list the category',
    lambda data: data.category_of < 0,
    describe=lambda data, row: (
        f'{data.name_annotation(row)}: category_id {show(data.annotations[row].get("category_id"))}'
    ),
    fixable=True,
)
fractional_references = CHECKS.error(
    'reference-not-integer',
    'image_id or category_id written as a fraction (1.0)',
    'write whole numbers',
    _fractional_references,
    fixable=True,
)
