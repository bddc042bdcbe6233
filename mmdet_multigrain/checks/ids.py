"""Checks of ids: missing, not integers, duplicate or 0, and dangling references."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from mmdet_multigrain.coco.columns import first_rows
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, WARNING, Check, Finding, rows_where, run


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about ids."""
    yield from run(CHECKS, data)


def is_good_id(value: object) -> bool:
    """Whether it is a whole number that any tool can hold."""
    return type(value) is int and abs(value) < 2**63


def _id_checks(name: str, plural: str) -> tuple[Check, Check]:
    """Ids that are missing or not whole numbers, in the table `plural`."""
    describe = getattr(CocoData, f'name_{name}')

    missing = Check(
        f'{name}-id-missing',
        ERROR,
        f'{plural} without an id',
        'give each an id of its own',
        fixable=True,
        describe=describe,
        find=rows_where(plural, lambda entry: entry.get('id') is None),
    )
    text = str if name == 'image' else ()  # `image-id-text`
    not_integer = Check(
        f'{name}-id-not-integer',
        ERROR,
        f'{name} ids that are not whole numbers',
        f'number {plural}',
        fixable=True,
        describe=describe,
        find=rows_where(
            plural,
            lambda entry: (
                not (
                    entry.get('id') is None
                    or is_good_id(entry['id'])
                    or isinstance(entry['id'], text)
                )
            ),
        ),
    )
    return missing, not_integer


text_ids = Check(
    'image-id-text',
    WARNING,
    'image ids that are text',
    'number images; this project reads text, other tools may not',
    fixable=True,
    describe=CocoData.name_image,
    find=rows_where('images', lambda image: isinstance(image.get('id'), str)),
)


def _duplicate_checks(name: str, plural: str, *, key: str, files: str, owner: str) -> list[Check]:
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

    twice = Check(
        f'{name}-listed-twice',
        ERROR,
        f'{plural} listed twice, with the same id and {key.replace("_", " ")}',
        'remove the second entry',
        fixable=True,
        describe=describe,
        find=functools.partial(duplicates, same=True),
    )
    shared = Check(
        f'{name}-id-shared',
        ERROR,
        f'{name} ids that stand for several {files}',
        f'number {plural} apart; nothing tells which {owner}',
        describe=describe,
        find=functools.partial(duplicates, same=False),
    )
    return [twice, shared]


duplicate_images, shared_image_ids = _duplicate_checks(
    'image', 'images', key='file_name', files='files', owner='file the boxes belong to'
)
duplicate_categories, shared_category_ids = _duplicate_checks(
    'category', 'categories', key='name', files='names', owner='class the boxes have'
)


ids_below_1 = Check(
    'annotation-id-below-1',
    ERROR,
    'annotation ids below 1',
    'number annotations from 1; COCOeval never matches annotation 0',
    fixable=True,
    describe=CocoData.name_annotation,
    find=rows_where('annotations', lambda item: is_good_id(item.get('id')) and item['id'] < 1),
)


@Check(
    'annotation-id-twice',
    ERROR,
    'annotation ids that were used before',
    'number annotations apart',
    fixable=True,
    describe=CocoData.name_annotation,
)
def duplicate_annotation_ids(data: CocoData) -> np.ndarray:
    first = first_rows(data.annotations)
    return np.flatnonzero(first != np.arange(len(first)))


@Check(
    'annotation-without-image',
    ERROR,
    'boxes of an image that the file does not list',
    'remove them, or list the image',
    fixable=True,
    describe=CocoData.name_annotation,
)
def unknown_images(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.image_of < 0)


def _category_of(data: CocoData, row: int) -> str:
    category_id = show(data.annotations[row].get('category_id'))
    return f'{data.name_annotation(row)}: category_id {category_id}'


@Check(
    'annotation-without-category',
    ERROR,
    'boxes of a category that the file does not list',
    'remove them, or list the category',
    fixable=True,
    describe=_category_of,
)
def unknown_categories(data: CocoData) -> np.ndarray:
    return np.flatnonzero(data.category_of < 0)


@Check(
    'reference-not-integer',
    ERROR,
    'image_id or category_id written as a fraction (1.0)',
    'write whole numbers',
    fixable=True,
    describe=CocoData.name_annotation,
)
def fractional_references(data: CocoData) -> list[int]:
    return [
        row
        for row, item in enumerate(data.annotations)
        if type(item.get('image_id')) is float
        and data.image_of[row] >= 0
        or type(item.get('category_id')) is float
        and data.category_of[row] >= 0
    ]


CHECKS = (
    *_id_checks('image', 'images'),
    *_id_checks('category', 'categories'),
    *_id_checks('annotation', 'annotations'),
    text_ids,
    duplicate_images,
    shared_image_ids,
    duplicate_categories,
    shared_category_ids,
    ids_below_1,
    duplicate_annotation_ids,
    unknown_images,
    unknown_categories,
    fractional_references,
)
