"""The parts of a report: sections of text, tables and figures.

All text here is plain; `render` escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..table import Table


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
class TableBlock:
    """A table, also written as CSV and LaTeX.

    Attributes:
        name: Of its files.
        title: What it shows.
        note: How to read it.
        table: What is shown.
        data: What CSV has. Default: the same.
    """

    name: str
    title: str
    note: str
    table: Table
    data: Table | None = None


@dataclass(frozen=True)
class FigureBlock:
    """A figure, also written as PNG and SVG.

    Attributes:
        name: Of its files.
        title: What it shows.
        note: How to read it.
        contents: The files by kind: `png` and `svg` (`style.render`).
    """

    name: str
    title: str
    note: str
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
    """A report.

    Attributes:
        title: Its heading.
        detail: The line below.
        sections: In order.
        data: Further tables by name, written as CSV only.
    """

    title: str
    detail: str
    sections: Sequence[Section]
    data: Mapping[str, Table]

    def blocks(self) -> Iterator[Block]:
        """All blocks in order."""
        for section in self.sections:
            yield from section.blocks
