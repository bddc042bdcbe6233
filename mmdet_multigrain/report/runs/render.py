"""A report's document as files: HTML in one file, Markdown, CSV and LaTeX tables, figures.

Here belongs the form only. Text is escaped here, by the rules of each format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from ..table import Cell, Table, display_width, escape_latex, escape_markdown
from .document import Command, Document, FigureBlock, Paragraph, Points, TableBlock

_PAGE, _WORDS, _BLANK = 112, 24, 2  # letters: of a page, of a column of words, between columns


def render_files(document: Document) -> dict[str, bytes]:
    """Content of all files by their path in the report's folder."""
    files = {
        'report.html': render_html(document).encode(),
        'report.md': render_markdown(document).encode(),
    }
    for block in blocks_of(document):
        if isinstance(block, TableBlock):
            files[f'tables/{block.name}.csv'] = (block.data or block.table).csv().encode()
            files[f'tables/{block.name}.tex'] = latex_file(block).encode()
        elif isinstance(block, FigureBlock):
            for kind, content in block.contents.items():
                files[f'figures/{block.name}.{kind}'] = content
    for name, table in document.data.items():
        files[f'tables/{name}.csv'] = table.csv().encode()
    return files


def blocks_of(document: Document) -> Iterator[Any]:
    """All blocks in order."""
    for section in document.sections:
        yield from section.blocks


def render_html(document: Document) -> str:
    """One HTML page that needs no other file."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # "95 %" must not be torn apart.
        finalize=lambda value: value.replace(' %', '\u00a0%') if isinstance(value, str) else value,
    )
    environment.filters['kind'] = lambda block: type(block).__name__
    environment.filters['inline'] = lambda block: inline_svg(
        block.contents['svg'].decode(), prefix=block.name, title=block.title
    )
    environment.filters['lines'] = table_lines
    environment.filters['breaks'] = allow_breaks
    environment.tests['wide'] = is_wide
    source = (resources.files(__package__) / 'templates' / 'report.html.j2').read_text('utf-8')
    return environment.from_string(source).render(document=document)


def table_lines(table: Table) -> list[list[tuple[str, str]]]:
    """Text and classes (HTML's) of each cell of each row."""
    return [
        [
            (
                column.show(cell),
                ' '.join(
                    name
                    for name, holds in (
                        ('words', column.left),
                        ('bold', isinstance(cell, Cell) and cell.bold),
                    )
                    if holds
                ),
            )
            for column, cell in zip(table.columns, row, strict=True)
        ]
        for row in table.rows
    ]


def is_wide(table: Table) -> bool:
    """Whether a page takes the table in small print only."""
    lines = [
        [column.title for column in table.columns],
        *([text for text, _ in line] for line in table_lines(table)),
    ]
    # A column of words may be broken into lines, up to a point.
    return (
        sum(
            _BLANK + min(max(map(display_width, cells)), _WORDS if column.left else 99)
            for column, *cells in zip(table.columns, *lines, strict=True)
        )
        > _PAGE
    )


def allow_breaks(text: str) -> Markup:
    """Text that may be broken after slashes and underscores, as paths have them."""
    return Markup(re.sub(r'([/_])(?=\w)', r'\1<wbr>', str(escape(text))))


def inline_svg(text: str, *, prefix: str, title: str) -> Markup:
    """An SVG file for the inside of an HTML page.

    Args:
        text: The file.
        prefix: Put before its ids, which must differ from those of other figures on the page.
        title: What it shows, for those who cannot see it.
    """
    text = text[text.index('<svg') :]
    text = re.sub(r'\s*(<metadata>.*?</metadata>|<!--.*?-->)', '', text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf'\g<1>{prefix}-', text)
    label = Markup('<svg role="img" aria-label="{}"').format(title)
    return Markup(text.replace('<svg', label, 1))


def render_markdown(document: Document) -> str:
    """The report as Markdown; figures are links to their files."""
    parts = [f'# {escape_markdown(document.title)}', escape_markdown(document.detail)]
    for section in document.sections:
        parts.append(f'## {escape_markdown(section.title)}')
        for block in section.blocks:
            parts += _markdown(block)
    return '\n\n'.join(parts) + '\n'


def _markdown(block: Any) -> list[str]:
    if isinstance(block, Paragraph):
        return [escape_markdown(block.text)]
    if isinstance(block, Points):
        return [
            '\n'.join(
                f'- **{escape_markdown(lead)}**: {escape_markdown(text)}'
                for lead, text in block.items
            )
        ]
    if isinstance(block, Command):
        return ['\n'.join(f'    {line}' for line in block.text.splitlines())]
    title = escape_markdown(block.title)
    heading = f'**{title}**' + (f'. {escape_markdown(block.note)}' if block.note else '')
    if isinstance(block, FigureBlock):
        return [heading, f'![{title}](figures/{block.name}.png)']
    return [heading, block.table.markdown()]


def latex_file(block: TableBlock) -> str:
    """A file for `\\input`: what it is as comment, and the tabular."""
    # A comment is escaped, too, so that the title can be copied from it.
    comment: Sequence[str] = (block.title, block.note, r'Needs \usepackage{booktabs}.')
    lines = [*(escape_latex(text) for text in comment[:2] if text), comment[2]]
    return ''.join(f'% {line}\n' for line in lines) + block.table.latex()
