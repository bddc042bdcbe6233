"""The parts of a report: sections of text, tables and figures.

All text here is plain; `render` escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmdet_multigrain.utils.table import Table


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list; each item is a lead in bold and its text."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Command:
    """Lines for a shell."""

    text: str


@dataclass(frozen=True)
class _Titled:
    """A block with files."""

    name: str  # of the files
    title: str  # what it shows
    note: str  # how to read it


@dataclass(frozen=True)
class TableBlock(_Titled):
    """A table, also written as LaTeX and, if `data` is None, as CSV; else that is the CSV."""

    table: Table
    data: Table | None = None


@dataclass(frozen=True)
class FigureBlock(_Titled):
    """A figure; `contents` are its files by kind: `png` and `svg` (`style.render`)."""

    contents: Mapping[str, bytes]


Block = Paragraph | Points | Command | TableBlock | FigureBlock


@dataclass(frozen=True)
class Section:
    """A part of the report with its heading; links point to `name`."""

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A report."""

    title: str
    detail: str  # the line below
    sections: Sequence[Section]  # in order
    data: Mapping[str, Table]  # further tables by name, written as CSV only
