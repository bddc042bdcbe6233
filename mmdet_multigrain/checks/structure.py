"""Checks of the file as a whole: readable by others, with its three lists of objects."""

from __future__ import annotations

from collections.abc import Iterator

from mmdet_multigrain.coco.files import LISTS
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, WARNING, Check, Finding, run


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about the file as a whole."""
    yield from run((not_strict, recovered, missing_lists, empty_lists, not_objects), data)


@Check(
    'json-not-strict',
    ERROR,
    'place (perhaps of many) with NaN, Infinity or half a surrogate',
    'write null or leave the field out; most readers refuse such a file',
    fixable=True,
)
def not_strict(data: CocoData) -> list[str]:
    return [data.not_strict] if data.not_strict else []


@Check(
    'field-recovered',
    WARNING,
    'kinds of fields in another form than COCO has them, read nevertheless',
    'write them as COCO has them, since other programs cannot read them',
    fixable=True,
)
def recovered(data: CocoData) -> list[str]:
    return [f'{count:,} {what}' for what, count in data.recovered.items()]


@Check(
    'list-missing',
    ERROR,
    'lists that a COCO file must have, not there or of another type',
    f'write all of {", ".join(LISTS)}',
    describe=lambda data, name: (
        f'{name}: {_describe(data.content.get(name))}'
        + ' (a test set, only to predict on)'
        * (name == 'annotations' and bool(data.images) and 'annotations' not in data.content)
    ),
)
def missing_lists(data: CocoData) -> list[str]:
    return [name for name in LISTS if not isinstance(data.content.get(name), list)]


@Check('list-empty', ERROR, 'empty lists', 'there is nothing to train or evaluate on')
def empty_lists(data: CocoData) -> list[str]:
    return [name for name in LISTS if data.content.get(name) == []]


@Check('entry-not-object', ERROR, 'entries that are not JSON objects', 'remove them', fixable=True)
def not_objects(data: CocoData) -> list[str]:
    return [
        f'{name}[{place}]: {show(entry)}'
        for name in LISTS
        if isinstance(data.content.get(name), list)
        for place, entry in enumerate(data.content[name])
        if not isinstance(entry, dict)
    ]


def _describe(value: object) -> str:
    return 'not there' if value is None else f'{type(value).__name__} instead of a list'
