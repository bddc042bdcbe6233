"""A document as files: whole pages, nothing from elsewhere, every name escaped."""

import re
from html.parser import HTMLParser

import pytest

from mmdet_multigrain.report.runs.document import (
    Command,
    Document,
    FigureBlock,
    Paragraph,
    Points,
    Section,
    TableBlock,
)
from mmdet_multigrain.report.runs.render import (
    allow_breaks,
    inline_svg,
    is_wide,
    render_files,
    render_html,
    render_markdown,
)
from mmdet_multigrain.utils.table import Cell, Column, Table
from mmdet_multigrain.visualization import style

SCRIPT, AND = '<script>alert(1)</script>', 'a & b_c%'


def draw(figure):
    figure.set_size_inches(2, 1)
    axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
    axes.plot([0, 1], [0, 1], marker='o')
    axes.set_title(SCRIPT)


@pytest.fixture(scope='module')
def document():
    table = Table(
        (Column('class', SCRIPT, left=True), Column('ap', AND, '.2f')),
        ((SCRIPT, Cell(1.5, bold=True)), (AND, None)),
        rules=(1,),
    )
    figure = style.render(draw)
    return Document(
        title=f'Title {SCRIPT}',
        detail=AND,
        sections=(
            Section(
                'one',
                f'First {AND}',
                (
                    Paragraph(SCRIPT),
                    Points(((SCRIPT, AND),)),
                    Command(f'tool {SCRIPT}\nnext'),
                    TableBlock('things', f'Things {SCRIPT}', AND, table),
                    FigureBlock('drawing', f'Drawing {SCRIPT}', '', figure),
                    FigureBlock('again', 'The same', AND, figure),
                ),
            ),
            Section(
                'two', 'Second', (TableBlock('other', 'Other', '', table, table.select(['class'])),)
            ),
        ),
        data={'all': table.select(['ap'])},
    )


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects what a page asks for."""

    VOID = {'meta', 'wbr', 'br'}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.attributes, self.text = [], [], [], ''
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)
        self.attributes += attributes

    def handle_data(self, text):
        self.text += text


def test_html_is_whole_and_takes_names_literally(document):
    html = render_html(document)
    page = Page(html)
    assert 'script' not in page.seen and page.seen.count('svg') == 2
    assert page.text.count(SCRIPT) >= 6 and page.text.count('a & b_c%') >= 6
    assert html.count('<script') == 0
    assert page.seen.count('table') == 2


def test_html_needs_nothing_from_elsewhere(document):
    page = Page(render_html(document))
    asks = [
        value
        for name, value in page.attributes
        if name in ('src', 'href', 'xlink:href', 'data', 'srcset')
    ]
    assert asks and all(value.startswith('#') for value in asks)
    style_sheet = re.search('<style>(.*?)</style>', render_html(document), re.DOTALL)[1]
    assert 'url(' not in style_sheet and '@import' not in style_sheet
    assert '@media print' in style_sheet


def test_ids_of_a_page_are_unique_and_found(document):
    page = Page(render_html(document))
    ids = [value for name, value in page.attributes if name == 'id']
    assert len(set(ids)) == len(ids)
    wanted = {value[1:] for name, value in page.attributes if name in ('href', 'xlink:href')}
    wanted |= set(re.findall(r'url\(#(.*?)\)', render_html(document)))
    assert {'one', 'two'} <= wanted <= set(ids)


def test_markdown(document):
    text = render_markdown(document)
    escaped = r'\<script>alert(1)\</script>'
    assert text.startswith(f'# Title {escaped}\n\na \\& b\\_c%\n\n## First')
    assert f'- **{escaped}**: a \\& b\\_c%' in text
    assert f'    tool {SCRIPT}\n    next\n' in text  # code is taken as it stands
    assert f'| {escaped} | **1.50** |' in text
    assert '](figures/drawing.png)' in text
    assert not re.search(r'(?m)^(?!    ).*(?<!\\)<script', text)


def test_files(document):
    files = render_files(document)
    assert sorted(files) == [
        'figures/again.png',
        'figures/again.svg',
        'figures/drawing.png',
        'figures/drawing.svg',
        'report.html',
        'report.md',
        'tables/all.csv',
        'tables/other.csv',
        'tables/other.tex',
        'tables/things.csv',
        'tables/things.tex',
    ]
    assert files['tables/other.csv'].decode().splitlines() == ['class', SCRIPT, AND]
    assert files['tables/all.csv'].decode() == 'ap\n1.5\n""\n'
    lines = files['tables/things.tex'].decode().splitlines()
    title = r'Things \textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}'
    assert lines[:4] == [
        f'% {title}',
        r'% a \& b\_c\%',
        r'% Needs \usepackage{booktabs}.',
        r'\begin{tabular}{lr}',
    ]
    assert files == render_files(document)


def test_inline_svg():
    text = (
        '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="9pt">\n <metadata>m\n</metadata>\n'
        '<!-- note --><defs id="a"/><use href="#a" clip-path="url(#b)"/></svg>'
    )
    assert inline_svg(text, prefix='p', title='"T" & <') == (
        '<svg role="img" aria-label="&#34;T&#34; &amp; &lt;" width="9pt">'
        '<defs id="p-a"/><use href="#p-a" clip-path="url(#p-b)"/></svg>'
    )


def test_paths_may_be_broken():
    assert allow_breaks('a/b_c <x>') == 'a/<wbr>b_<wbr>c &lt;x&gt;'
    assert allow_breaks('end_/') == 'end_/'


def test_wide_tables():
    narrow = Table((Column('a', 'a', left=True), Column('b', 'b')), (('x' * 200, 1),))
    assert not is_wide(narrow)  # words go into lines
    assert is_wide(Table(tuple(Column(str(n), 'n') for n in range(12)), (('12.34 ± 5',) * 12,)))
