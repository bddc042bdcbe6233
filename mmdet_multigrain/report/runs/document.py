"""The parts that a report is put together from: sections of words, tables and figures.

Only what they are; what stands in them belongs in `run_sections`, their HTML, Markdown and LaTeX
in `run_render`. All text here is plain: whoever renders it escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..table import Table


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list; each entry a few words that stand out, and what is said of them."""

    items: tuple[tuple[str, str], ...]


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
    """A part of the report with its heading; `name` is what links to it say."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: Its heading.
        detail: A line below.
        sections: In order.
        data: Further tables that are written as CSV only, by name.
    """

    title: str
    detail: str
    sections: tuple[Section, ...]
    data: Mapping[str, Table]
