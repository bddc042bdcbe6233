"""A report's document as files: one HTML page, Markdown, CSV and LaTeX tables, figures.

Text is escaped here, by the rules of each format.
"""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

from mmdet_multigrain.utils.table import Table, display_width, escape_latex, escape_markdown

from ..templates import render_template
from .document import Command, Document, FigureBlock, Paragraph, Points, Section, TableBlock

_PAGE, _WORDS, _GAP = 112, 24, 2  # letters: page, column of words, between columns


def render_files(document: Document) -> dict[str, bytes]:
    """The content of all files by their path in the report's folder."""
    files = {
        'report.html': render_html(document).encode(),
        'report.md': render_markdown(document).encode(),
    }
    for block in (block for section in document.sections for block in section.blocks):
        if isinstance(block, TableBlock):
            files[f'tables/{block.name}.csv'] = (block.data or block.table).csv().encode()
            files[f'tables/{block.name}.tex'] = latex_file(block).encode()
        elif isinstance(block, FigureBlock):
            for kind, content in block.contents.items():
                files[f'figures/{block.name}.{kind}'] = content
    for name, table in document.data.items():
        files[f'tables/{name}.csv'] = table.csv().encode()
    return files


def render_html(document: Document) -> str:
    """One HTML page that needs no other file."""

    def inline(figure: FigureBlock) -> Markup:
        return inline_svg(figure.contents['svg'].decode(), prefix=figure.name, title=figure.title)

    filters = {
        'kind': lambda block: type(block).__name__,
        'inline': inline,
        'breaks': allow_breaks,
        'is_wide': is_wide,
    }
    return render_template(__package__, 'report.html.j2', filters, document=document)


def is_wide(table: Table) -> bool:
    """Whether a page takes the table in small print only."""
    width = 0
    for number, column in enumerate(table.columns):
        texts = [column.title, *(column.show(row[number]) for row in table.rows)]
        # A column of words can wrap, up to a point.
        width += _GAP + min(max(map(display_width, texts)), _WORDS if column.left else 99)
    return width > _PAGE


def allow_breaks(text: str) -> Markup:
    """Let a browser break a text after slashes and underscores, as paths have them."""
    return Markup(re.sub(r'([/_])(?=\w)', r'\1<wbr>', str(escape(text))))


def inline_svg(text: str, *, prefix: str, title: str) -> Markup:
    """An SVG file as part of an HTML page, with a title for screen readers.

    The `prefix` makes its ids differ from those of other figures on the page.
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


def render_text(section: Section) -> str:
    """The tables, below their notes, and the lists of a section for a terminal."""
    parts = []
    for block in section.blocks:
        if isinstance(block, TableBlock):
            parts.append('\n'.join(filter(None, [block.note, block.table.text()])))
        elif isinstance(block, Points):
            parts.append('\n'.join(f'{lead}: {text}' for lead, text in block.items))
    return '\n\n'.join(parts)


def _markdown(block: Any) -> list[str]:
    if isinstance(block, Paragraph):
        return [escape_markdown(block.text)]
    if isinstance(block, Points):
        items = [[escape_markdown(text) for text in item] for item in block.items]
        return ['\n'.join(f'- **{lead}**: {text}' for lead, text in items)]
    if isinstance(block, Command):
        return ['\n'.join(f'    {line}' for line in block.text.splitlines())]
    title = escape_markdown(block.title)
    heading = f'**{title}**' + (f'. {escape_markdown(block.note)}' if block.note else '')
    if isinstance(block, FigureBlock):
        return [heading, f'![{title}](figures/{block.name}.png)']
    return [heading, block.table.markdown()]


def latex_file(block: TableBlock) -> str:
    """A file for `\\input`: title and note as comments, then the tabular."""
    # Comments are escaped, too, so that the title can be copied from them.
    comments = [escape_latex(text) for text in (block.title, block.note) if text]
    comments.append(r'Needs \usepackage{booktabs}.')
    return ''.join(f'% {line}\n' for line in comments) + block.table.latex()
