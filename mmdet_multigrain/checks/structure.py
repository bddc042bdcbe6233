"""Checks of the file as a whole: readable by others, with its three lists of objects."""

from __future__ import annotations

from mmdet_multigrain.coco.files import LISTS
from mmdet_multigrain.utils.messages import show

from .data import CocoData
from .finding import Checks

CHECKS = Checks()


def _describe_list(data: CocoData, name: str) -> str:
    value = data.content.get(name)
    found = 'not there' if value is None else f'{type(value).__name__} instead of a list'
    is_test_set = name == 'annotations' and data.images and name not in data.content
    return f'{name}: {found}' + (' (a test set, only to predict on)' if is_test_set else '')


def _is_list(data: CocoData, name: str) -> bool:
    return isinstance(data.content.get(name), list)


not_strict = CHECKS.fixable_error(
    'json-not-strict',
    'place (perhaps of many) with NaN, Infinity or half a surrogate',
    'write null or leave the field out; most readers refuse such a file',
    lambda data: [data.not_strict] if data.not_strict else [],
)
CHECKS.fixable_warning(
    'field-recovered',
    'kinds of fields in another form than COCO has them, read nevertheless',
    'write them as COCO has them, since other programs cannot read them',
    lambda data: [f'{count:,} {what}' for what, count in data.recovered.items()],
)
CHECKS.error(
    'list-missing',
    'lists that a COCO file must have, not there or of another type',
    f'write all of {", ".join(LISTS)}',
    lambda data: [name for name in LISTS if not _is_list(data, name)],
    describe=_describe_list,
)


@CHECKS.error('list-empty', 'empty lists', 'there is nothing to train or evaluate on')
def _empty_lists(data: CocoData) -> list[str]:
    return [name for name in LISTS if data.content.get(name) == []]


@CHECKS.fixable_error('entry-not-object', 'entries that are not JSON objects', 'remove them')
def not_objects(data: CocoData) -> list[str]:
    return [
        f'{name}[{place}]: {show(entry)}'
        for name in LISTS
        if _is_list(data, name)
        for place, entry in enumerate(data.content[name])
        if not isinstance(entry, dict)
    ]
