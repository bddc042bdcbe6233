"""The exception of taxonomies, and the way to put a file's name before its message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmdet_multigrain.utils.errors import MultigrainError


class TaxonomyError(MultigrainError):
    """A taxonomy, or a data file compared with one, cannot be used; the message is one line."""


@contextmanager
def error_source(source: object) -> Iterator[None]:
    """Put the name of the file (or other source) before the message of a `TaxonomyError`."""
    try:
        yield
    except TaxonomyError as error:
        raise TaxonomyError(f'{source}: {error}' if source else str(error)) from None
