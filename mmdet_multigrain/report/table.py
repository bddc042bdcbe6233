"""A table, written down as aligned text, Markdown, LaTeX or CSV.

Only the form is here; what stands in a table, and in which order, its maker knows.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

_FORMULA = ('=', '+', '-', '@', '\t')  # at its beginning, a text is one for a spreadsheet
_MARKDOWN_MARKUP = frozenset('\\|*_`<[$&~')
_LATEX = {letter: f'\\{letter}' for letter in '&%$#_{}'} | {
    '\\': r'\textbackslash{}',
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    '<': r'\textless{}',
    '>': r'\textgreater{}',
    '|': r'\textbar{}',
    '[': '{[}',
    ']': '{]}',  # after a line's end, a bracket would be its option
    '±': r'$\pm$',
    '−': '$-$',
    '°': r'$^{\circ}$',
    '–': '--',
    '…': r'\ldots{}',
}


@dataclass(frozen=True)
class Cell:
    """A value that is not shown as its column says; CSV has the bare value.

    Attributes:
        value: Number, text, bool or None.
        text: What people read instead. Default: as the column shows the value.
        bold: Whether it stands out.
    """

    value: Any
    text: str | None = None
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: Its name in CSV and for `Table.select`.
        title: Its heading in text, Markdown and LaTeX.
        form: Format of a value there, as in `format(value, form)`.
        left: Align to the left, as words are.
        group: Heading above those of neighbors of the same group, where there is room for one.
    """

    key: str
    title: str
    form: str = ''
    left: bool = False
    group: str = ''

    def show(self, value: Any) -> str:
        """A value as people read it; `-` for None, `*` for True and nothing for False."""
        if isinstance(value, Cell):
            return self.show(value.value) if value.text is None else value.text
        if value is None:
            return '-'
        if isinstance(value, bool):
            return '*' if value else ''
        return format(value, self.form)


@dataclass(frozen=True)
class Table:
    """Columns and rows.

    Attributes:
        columns: From left to right.
        rows: Each with one value (text, number, bool, None or a `Cell`) for each column.
        rules: Numbers of the rows above which LaTeX draws a line.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    rules: tuple[int, ...] = ()

    def select(self, keys: Sequence[str]) -> Table:
        """The columns with these keys, in this order."""
        position = {column.key: place for place, column in enumerate(self.columns)}
        places = [position[key] for key in keys]
        return Table(
            tuple(self.columns[place] for place in places),
            tuple(tuple(row[place] for place in places) for row in self.rows),
            self.rules,
        )

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Headings above the columns' own and how many columns each spans; none without any."""
        if not any(column.group for column in self.columns):
            return ()
        return tuple(
            (group, len(list(columns)))
            for group, columns in groupby(column.group for column in self.columns)
        )

    def text(self) -> str:
        """Aligned plain text, also with letters two columns wide; no line ends with a blank."""
        cells = self._cells()
        widths = [max(map(display_width, column)) for column in zip(*cells, strict=True)]
        return '\n'.join(
            '  '.join(
                _pad(cell, width, column.left)
                for cell, width, column in zip(line, widths, self.columns, strict=True)
            ).rstrip()
            for line in cells
        )

    def markdown(self) -> str:
        """A Markdown table; what Markdown would take for markup stands escaped."""
        head = [
            escape_markdown(f'{column.group}: {column.title}' if column.group else column.title)
            for column in self.columns
        ]
        rule = [':--' if column.left else '--:' for column in self.columns]
        body = self._marked(escape_markdown, '**{}**')
        return '\n'.join(f'| {" | ".join(line)} |' for line in (head, rule, *body))

    def latex(self) -> str:
        """A LaTeX tabular in the style of the package booktabs; all text stands escaped."""
        lines = [
            rf'\begin{{tabular}}{{{"".join("rl"[column.left] for column in self.columns)}}}',
            r'\toprule',
        ]
        if self.groups:
            lines.append(
                ' & '.join(
                    rf'\multicolumn{{{span}}}{{c}}{{{escape_latex(group)}}}'
                    if group
                    else ' & ' * (span - 1)
                    for group, span in self.groups
                )
                + r' \\'
            )
            start = 1
            for group, span in self.groups:
                if group:
                    lines.append(rf'\cmidrule(lr){{{start}-{start + span - 1}}}')
                start += span
        lines += [
            ' & '.join(escape_latex(column.title) for column in self.columns) + r' \\',
            r'\midrule',
        ]
        for number, line in enumerate(self._marked(escape_latex, r'\textbf{{{}}}')):
            lines += [r'\midrule'] * (number in self.rules)
            lines.append(' & '.join(line) + r' \\')
        return '\n'.join([*lines, r'\bottomrule', r'\end{tabular}']) + '\n'

    def csv(self) -> str:
        """CSV with the keys as heading and the plain values; None is empty.

        A text that a spreadsheet would run as a formula has an apostrophe before it.
        """
        file = io.StringIO()
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(column.key for column in self.columns)
        writer.writerows(
            [_csv_value(cell.value if isinstance(cell, Cell) else cell) for cell in row]
            for row in self.rows
        )
        return file.getvalue()

    def _cells(self) -> list[list[str]]:
        return [
            [column.title for column in self.columns],
            *(
                [column.show(value) for column, value in zip(self.columns, row, strict=True)]
                for row in self.rows
            ),
        ]

    def _marked(self, escape: Callable[[str], str], bold: str) -> list[list[str]]:
        """Texts of the rows, escaped; those that stand out in the form for bold."""
        return [
            [
                bold.format(escape(text)) if isinstance(cell, Cell) and cell.bold else escape(text)
                for cell, text in zip(row, texts, strict=True)
            ]
            for row, texts in zip(self.rows, self._cells()[1:], strict=True)
        ]


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    value = value.replace('\r', ' ')  # the writer does not quote it, and it would begin a row
    return f"'{value}" if value.startswith(_FORMULA) else value


def escape_markdown(text: str) -> str:
    """The text with what Markdown would take for markup escaped."""
    return ''.join(f'\\{letter}' if letter in _MARKDOWN_MARKUP else letter for letter in text)


def escape_latex(text: str) -> str:
    """The text with what LaTeX would take for commands escaped."""
    return ''.join(_LATEX.get(letter, letter) for letter in text)


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian letters two, accents none."""
    return sum(
        0
        if unicodedata.combining(letter) or unicodedata.category(letter) in ('Cf', 'Me')
        else 2
        if unicodedata.east_asian_width(letter) in 'WF'
        else 1
        for letter in text
    )


def shorten(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis, at most `width` columns wide."""
    if display_width(text) <= width:
        return text
    while text and display_width(text) >= width:
        text = text[:-1]
    return text.rstrip() + '…'


def _pad(cell: str, width: int, left: bool) -> str:
    blanks = ' ' * (width - display_width(cell))
    return cell + blanks if left else blanks + cell
