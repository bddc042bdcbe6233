"""A table as text, from titles and rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmdet_multigrain.utils.table import Column, Table


def text_table(columns: Mapping[str, str], rows: Iterable[tuple[Any, ...]]) -> str:
    """A table of columns with these titles and formats, as '.2f'; an empty one is for text."""
    described = (Column(title, title, form, left=not form) for title, form in columns.items())
    return Table(tuple(described), tuple(rows)).text()
