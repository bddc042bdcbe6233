"""Nested dicts and lists, as configs are: every dict in one, and its entries by dotted key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def dicts(value: Any) -> Iterator[Any]:
    """All mappings in nested mappings, lists and tuples, each before those in it."""
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from dicts(item)


def leaves(value: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Dotted key and value of each entry that is not a mapping, or an empty one."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f'{prefix}.{key}' if prefix else str(key))
    else:
        yield prefix, value
