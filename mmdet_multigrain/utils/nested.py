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


def kind_of(config: Any, registry: Any) -> Any:
    """What the `type` of a config stands for in a registry; None without one."""
    kind = config.get('type') if isinstance(config, Mapping) else None
    return registry.get(kind) if isinstance(kind, str) else kind


def is_kind(config: Any, registry: Any, *classes: type) -> bool:
    """Whether something is a config of one of these classes, or of a subclass."""
    kind = kind_of(config, registry)
    return isinstance(kind, type) and issubclass(kind, classes)
