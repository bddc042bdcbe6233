"""The taxonomies that come with the package: their names and where their files are."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SUFFIX = '.yaml'


def names() -> tuple[str, ...]:
    """Names of the built-in taxonomies, in alphabetical order."""
    return tuple(
        sorted(
            entry.name.removesuffix(_SUFFIX)
            for entry in _folder().iterdir()
            if entry.name.endswith(_SUFFIX)
        )
    )


def content(name: str) -> bytes:
    """The YAML file of a built-in taxonomy."""
    return (_folder() / f'{name}{_SUFFIX}').read_bytes()


def _folder() -> Traversable:
    return resources.files(__package__) / 'data'
