"""A table, written down as aligned text, Markdown or CSV.

Only the form is here; what stands in a table, and in which order, its maker knows.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: Its name in CSV and for ``Table.select``.
        title: Its heading in text and Markdown.
        form: Format of a value in text and Markdown, as in ``format(value, form)``.
        left: Align to the left, as words are.
    """

    key: str
    title: str
    form: str = ''
    left: bool = False

    def show(self, value: Any) -> str:
        """A value as people read it; ``-`` for None, ``*`` for True and nothing for False."""
        if value is None:
            return '-'
        if isinstance(value, bool):
            return '*' if value else ''
        return format(value, self.form)


@dataclass(frozen=True)
class Table:
    """Columns and rows; a row has one value (text, number, bool or None) for each column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def select(self, keys: Sequence[str]) -> Table:
        """The columns with these keys, in this order."""
        position = {column.key: place for place, column in enumerate(self.columns)}
        places = [position[key] for key in keys]
        return Table(tuple(self.columns[place] for place in places),
                     tuple(tuple(row[place] for place in places) for row in self.rows))

    def text(self) -> str:
        """Aligned plain text, also with letters two columns wide; no line ends with a blank."""
        cells = self._cells()
        widths = [max(map(display_width, column)) for column in zip(*cells, strict=True)]
        return '\n'.join('  '.join(
            _pad(cell, width, column.left)
            for cell, width, column in zip(line, widths, self.columns, strict=True)).rstrip()
            for line in cells)

    def markdown(self) -> str:
        """A Markdown table; what Markdown would take for markup stands escaped."""
        head, *body = ([_escape(cell) for cell in line] for line in self._cells())
        rule = [':--' if column.left else '--:' for column in self.columns]
        return '\n'.join(f'| {" | ".join(line)} |' for line in (head, rule, *body))

    def csv(self) -> str:
        """CSV with the keys as heading and the plain values; None is empty."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(column.key for column in self.columns)
        writer.writerows(
            [str(value).lower() if isinstance(value, bool) else value for value in row]
            for row in self.rows)
        return file.getvalue()

    def _cells(self) -> list[list[str]]:
        return [[column.title for column in self.columns],
                *([column.show(value) for column, value in zip(self.columns, row, strict=True)]
                  for row in self.rows)]


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian letters two, accents none."""
    return sum(0 if unicodedata.combining(letter) or unicodedata.category(letter) in ('Cf', 'Me')
               else 2 if unicodedata.east_asian_width(letter) in 'WF' else 1 for letter in text)


def shorten(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis, at most ``width`` columns wide."""
    if display_width(text) <= width:
        return text
    while text and display_width(text) >= width:
        text = text[:-1]
    return text.rstrip() + '…'


def _pad(cell: str, width: int, left: bool) -> str:
    blanks = ' ' * (width - display_width(cell))
    return cell + blanks if left else blanks + cell


def _escape(cell: str) -> str:
    return ''.join(f'\\{letter}' if letter in '\\|*_`<[$' else letter for letter in cell)
