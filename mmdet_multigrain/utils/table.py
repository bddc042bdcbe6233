"""A table as aligned text, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

_FORMULA = ('=', '+', '-', '@', '\t')  # spreadsheets run a text that starts with one of these
_MARKDOWN_MARKUP = frozenset('\\|*_`<[$&~')
_LATEX = {letter: f'\\{letter}' for letter in '&%$#_{}'} | {
    '\\': r'\textbackslash{}',
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    '<': r'\textless{}',
    '>': r'\textgreater{}',
    '|': r'\textbar{}',
    '[': '{[}',
    ']': '{]}',  # LaTeX reads a bracket after a line end as its option
    '±': r'$\pm$',
    '−': '$-$',
    '°': r'$^{\circ}$',
    '–': '--',
    '…': r'\ldots{}',
}


@dataclass(frozen=True)
class Cell:
    """A value with its own text or weight; CSV holds the bare value."""

    value: Any  # number, text, bool or None
    text: str | None = None  # to show; default: what the column makes of the value
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """A column."""

    key: str  # name in CSV and for `Table.select`
    title: str | None = None  # heading in text, Markdown and LaTeX; default: the key
    form: str = ''  # format of the values, as in `format(value, form)`
    left: bool = False  # align to the left, as for words
    group: str = ''  # heading that neighboring columns share

    def __post_init__(self) -> None:
        if self.title is None:
            object.__setattr__(self, 'title', self.key)

    def show(self, value: Any) -> str:
        """The text of a value; `-` for None, `*` for True, nothing for False."""
        if isinstance(value, Cell):
            return self.show(value.value) if value.text is None else value.text
        if value is None:
            return '-'
        if isinstance(value, bool):
            return '*' if value else ''
        return format(value, self.form)


@dataclass(frozen=True)
class Table:
    """Columns and rows."""

    columns: Sequence[Column]  # from left to right
    rows: Sequence[Sequence[Any]]  # a value (text, number, bool, None or `Cell`) for each column
    rules: tuple[int, ...] = ()  # indices of the rows above which LaTeX and HTML draw a line

    def select(self, keys: Sequence[str]) -> Table:
        """The columns with these keys, in this order."""
        index = {column.key: number for number, column in enumerate(self.columns)}
        chosen = [index[key] for key in keys]
        return Table(
            [self.columns[number] for number in chosen],
            [[row[number] for number in chosen] for row in self.rows],
            self.rules,
        )

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Group headings and how many columns each spans; empty without any."""
        if not any(column.group for column in self.columns):
            return ()
        return tuple(
            (group, len(list(columns)))
            for group, columns in groupby(column.group for column in self.columns)
        )

    def text(self) -> str:
        """Aligned plain text, wide (East Asian) letters included; no trailing blanks."""
        cells = [[column.title for column in self.columns], *self._texts()]
        widths = [max(map(display_width, column)) for column in zip(*cells, strict=True)]
        return '\n'.join(
            '  '.join(
                _pad(cell, width, column.left)
                for cell, width, column in zip(line, widths, self.columns, strict=True)
            ).rstrip()
            for line in cells
        )

    def markdown(self) -> str:
        """A Markdown table; markup in names is escaped."""
        head = [
            escape_markdown(f'{column.group}: {column.title}' if column.group else column.title)
            for column in self.columns
        ]
        rule = [':--' if column.left else '--:' for column in self.columns]
        body = self._styled(escape_markdown, '**{}**')
        return '\n'.join(f'| {" | ".join(line)} |' for line in (head, rule, *body))

    def latex(self) -> str:
        """A LaTeX tabular for the booktabs package; all text is escaped."""
        alignment = ''.join('rl'[column.left] for column in self.columns)
        head = ' & '.join(escape_latex(column.title) for column in self.columns) + r' \\'
        lines = [rf'\begin{{tabular}}{{{alignment}}}', r'\toprule', *self._latex_groups(), head]
        lines.append(r'\midrule')
        for number, line in enumerate(self._styled(escape_latex, r'\textbf{{{}}}')):
            lines += [r'\midrule'] * (number in self.rules)
            lines.append(' & '.join(line) + r' \\')
        return '\n'.join([*lines, r'\bottomrule', r'\end{tabular}']) + '\n'

    def csv(self) -> str:
        """CSV of keys and bare values; None is empty.

        An apostrophe keeps spreadsheets from running a text as a formula.
        """
        file = io.StringIO()
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(_csv_value(column.key) for column in self.columns)
        writer.writerows(
            [_csv_value(cell.value if isinstance(cell, Cell) else cell) for cell in row]
            for row in self.rows
        )
        return file.getvalue()

    def _latex_groups(self) -> list[str]:
        """The row of group headings, and a rule below each."""
        headings, rules, start = [], [], 1
        for group, span in self.groups:
            if group:
                headings.append(rf'\multicolumn{{{span}}}{{c}}{{{escape_latex(group)}}}')
                rules.append(rf'\cmidrule(lr){{{start}-{start + span - 1}}}')
            else:
                headings.append(' & ' * (span - 1))
            start += span
        return [' & '.join(headings) + r' \\', *rules] if headings else []

    def _texts(self) -> list[list[str]]:
        return [
            [column.show(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def _styled(self, escape: Callable[[str], str], bold: str) -> list[list[str]]:
        """Escaped texts of the rows, bold ones in the format `bold`."""
        return [
            [
                (bold if isinstance(cell, Cell) and cell.bold else '{}').format(escape(text))
                for cell, text in zip(row, texts, strict=True)
            ]
            for row, texts in zip(self.rows, self._texts(), strict=True)
        ]


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    value = value.replace('\r', ' ')  # csv does not quote it, and readers start a row there
    return f"'{value}" if value.startswith(_FORMULA) else value


def escape_markdown(text: str) -> str:
    """Escape what Markdown reads as markup."""
    return ''.join(f'\\{letter}' if letter in _MARKDOWN_MARKUP else letter for letter in text)


def escape_latex(text: str) -> str:
    """Escape what LaTeX reads as commands."""
    return ''.join(_LATEX.get(letter, letter) for letter in text)


def display_width(text: str) -> int:
    """Width of a text in terminal columns: East Asian letters take two, accents none."""
    return sum(
        0
        if unicodedata.combining(letter) or unicodedata.category(letter) in ('Cf', 'Me')
        else 1 + (unicodedata.east_asian_width(letter) in 'WF')
        for letter in text
    )


def shorten(text: str, width: int) -> str:
    """Cut a text to at most `width` columns, ending in an ellipsis where it was longer."""
    if display_width(text) <= width:
        return text
    while text and display_width(text) >= width:
        text = text[:-1]
    return text.rstrip() + '…'


def _pad(cell: str, width: int, left: bool) -> str:
    blanks = ' ' * (width - display_width(cell))
    return cell + blanks if left else blanks + cell
