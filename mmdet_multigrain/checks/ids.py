"""Checks of ids: missing, no whole numbers, twice, 0, and references that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mmdet_multigrain.coco.columns import first_rows
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, WARNING, Check, Finding, Kind, found, run

IMAGE_TEXT = Kind(
    'image-id-text',
    WARNING,
    'image ids that are text',
    'number images; this project reads text, other tools may not',
    fixable=True,
)
BELOW_1 = Kind(
    'annotation-id-below-1',
    ERROR,
    'annotation ids below 1',
    'number annotations from 1; COCOeval never matches annotation 0',
    fixable=True,
)
LISTED_TWICE = Kind(
    'image-listed-twice',
    ERROR,
    'images listed twice, with the same id and file name',
    'remove the second entry',
    fixable=True,
)
SHARED = Kind(
    'image-id-shared',
    ERROR,
    'image ids that stand for several files',
    'number images apart; nothing tells which file the boxes belong to',
)
CATEGORY_TWICE = Kind(
    'category-listed-twice',
    ERROR,
    'categories listed twice, with the same id and name',
    'remove the second entry',
    fixable=True,
)
CATEGORY_SHARED = Kind(
    'category-id-shared',
    ERROR,
    'category ids that stand for several names',
    'number categories apart; nothing tells which class the boxes have',
)
ANNOTATION_TWICE = Kind(
    'annotation-id-twice',
    ERROR,
    'annotation ids that were used before',
    'number annotations apart',
    fixable=True,
)
NO_IMAGE = Kind(
    'annotation-without-image',
    ERROR,
    'boxes of an image that the file does not list',
    'remove them, or list the image',
    fixable=True,
)
NO_CATEGORY = Kind(
    'annotation-without-category',
    ERROR,
    'boxes of a category that the file does not list',
    'remove them, or list the category',
    fixable=True,
)
REFERENCE = Kind(
    'reference-not-integer',
    ERROR,
    'image_id or category_id written as a fraction (1.0)',
    'write whole numbers',
    fixable=True,
)


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about ids."""
    for name in ('image', 'category', 'annotation'):
        yield from _check_values(data, name)
    yield from run(CHECKS, data)


def _check_values(data: CocoData, name: str) -> Iterator[Finding]:
    """Ids that are missing or no whole numbers, in one table."""
    entries = {'image': data.images, 'category': data.categories, 'annotation': data.annotations}[
        name
    ]
    missing = [row for row, entry in enumerate(entries) if entry.get('id') is None]
    strange = [
        row
        for row, entry in enumerate(entries)
        if entry.get('id') is not None
        and not is_good_id(entry['id'])
        and not (name == 'image' and isinstance(entry['id'], str))
    ]
    plural = {'category': 'categories'}.get(name, f'{name}s')
    describe: Callable[[CocoData, int], str] = getattr(CocoData, f'name_{name}')
    yield from found(
        Kind(
            f'{name}-id-missing',
            ERROR,
            f'{plural} without an id',
            'give each an id of its own',
            fixable=True,
        ),
        data,
        missing,
        describe,
    )
    yield from found(
        Kind(
            f'{name}-id-not-integer',
            ERROR,
            f'{name} ids that are no whole numbers',
            f'number {plural}',
            fixable=True,
        ),
        data,
        strange,
        describe,
    )


def is_good_id(value: object) -> bool:
    """Whether it is a whole number that any tool can hold."""
    return type(value) is int and abs(value) < 2**63


def _twice(entries: list[dict[str, Any]], name: str, *, same: bool) -> list[int]:
    """Rows whose id was used before, by an entry of the same name or of another."""
    first = first_rows(entries)
    return [
        row
        for row in np.flatnonzero(first != np.arange(len(first)))
        if (entries[row].get(name) == entries[first[row]].get(name)) == same
    ]


def images_listed_twice(data: CocoData) -> list[int]:
    """Rows of second entries of one image."""
    return _twice(data.images, 'file_name', same=True)


def categories_listed_twice(data: CocoData) -> list[int]:
    """Rows of second entries of one category."""
    return _twice(data.categories, 'name', same=True)


def annotations_numbered_twice(data: CocoData) -> np.ndarray:
    """Rows of annotations whose id was used before."""
    first = first_rows(data.annotations)
    return np.flatnonzero(first != np.arange(len(first)))


def annotations_below_1(data: CocoData) -> list[int]:
    """Rows of annotations that COCOeval does not match, or that other tools refuse."""
    return [
        row
        for row, item in enumerate(data.annotations)
        if is_good_id(item.get('id')) and item['id'] < 1
    ]


def without_image(data: CocoData) -> np.ndarray:
    """Rows of annotations whose image is not listed."""
    return np.flatnonzero(data.image_of < 0)


def without_category(data: CocoData) -> np.ndarray:
    """Rows of annotations whose category is not listed."""
    return np.flatnonzero(data.category_of < 0)


def fractional_references(data: CocoData) -> list[int]:
    """Rows of annotations that refer to 1 as 1.0."""
    return [
        row
        for row, item in enumerate(data.annotations)
        if type(item.get('image_id')) is float
        and data.image_of[row] >= 0
        or type(item.get('category_id')) is float
        and data.category_of[row] >= 0
    ]


def _category_of(data: CocoData, row: int) -> str:
    category_id = show(data.annotations[row].get('category_id'))
    return f'{data.name_annotation(row)}: category_id {category_id}'


CHECKS = (
    Check(
        IMAGE_TEXT,
        lambda data: [
            row for row, image in enumerate(data.images) if isinstance(image.get('id'), str)
        ],
        CocoData.name_image,
    ),
    Check(LISTED_TWICE, images_listed_twice, CocoData.name_image),
    Check(SHARED, lambda data: _twice(data.images, 'file_name', same=False), CocoData.name_image),
    Check(CATEGORY_TWICE, categories_listed_twice, CocoData.name_category),
    Check(
        CATEGORY_SHARED,
        lambda data: _twice(data.categories, 'name', same=False),
        CocoData.name_category,
    ),
    Check(BELOW_1, annotations_below_1, CocoData.name_annotation),
    Check(ANNOTATION_TWICE, annotations_numbered_twice, CocoData.name_annotation),
    Check(NO_IMAGE, without_image, CocoData.name_annotation),
    Check(NO_CATEGORY, without_category, _category_of),
    Check(REFERENCE, fractional_references, CocoData.name_annotation),
)
