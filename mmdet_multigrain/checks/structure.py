"""Checks of the file as a whole: readable by others, with its three lists of objects."""

from __future__ import annotations

from collections.abc import Iterator

from mmdet_multigrain.coco.files import LISTS
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import ERROR, Finding, Kind, found

NOT_STRICT = Kind(
    'json-not-strict',
    ERROR,
    'place (perhaps of many) with NaN, Infinity or half a surrogate',
    'write null or leave the field out; most readers refuse such a file',
    fixable=True,
)
LIST_MISSING = Kind(
    'list-missing',
    ERROR,
    'lists that a COCO file must have, not there or of another type',
    f'write all of {", ".join(LISTS)}',
)
LIST_EMPTY = Kind('list-empty', ERROR, 'empty lists', 'there is nothing to train or evaluate on')
NOT_OBJECT = Kind(
    'entry-not-object', ERROR, 'entries that are no JSON objects', 'remove them', fixable=True
)


def check(data: CocoData) -> Iterator[Finding]:
    """Findings about the file as a whole."""
    yield from found(
        NOT_STRICT, data, [0] if data.not_strict else [], lambda data, _: data.not_strict
    )
    lists = {name: data.content.get(name) for name in LISTS}
    yield from found(
        LIST_MISSING,
        data,
        [n for n, name in enumerate(LISTS) if not isinstance(lists[name], list)],
        lambda _, n: f'{LISTS[n]}: {_describe(lists[LISTS[n]])}',
    )
    yield from found(
        LIST_EMPTY,
        data,
        [n for n, name in enumerate(LISTS) if lists[name] == []],
        lambda _, n: LISTS[n],
    )
    places = strangers(data)
    yield from found(NOT_OBJECT, data, range(len(places)), lambda _, n: places[n])


def strangers(data: CocoData) -> list[str]:
    """Entries of the three lists that are no objects, each in words."""
    return [
        f'{name}[{place}]: {show(entry)}'
        for name in LISTS
        if isinstance(data.content.get(name), list)
        for place, entry in enumerate(data.content[name])
        if not isinstance(entry, dict)
    ]


def _describe(value: object) -> str:
    return 'not there' if value is None else f'{type(value).__name__} instead of a list'
