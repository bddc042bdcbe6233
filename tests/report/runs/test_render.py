"""A document as files: whole pages, nothing from elsewhere, every name escaped."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib import resources

import pytest

from mmdet_multigrain import report
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
    render_text,
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
    assert page.seen.count('script') == 1 and page.seen.count('svg') == 2
    assert page.text.count(SCRIPT) >= 6 and page.text.count('a & b_c%') >= 6
    assert html.count('<script') == 1  # our own
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
    assert '@media screen and (prefers-color-scheme: dark)' in style_sheet


def test_what_is_wide_scrolls_by_keys_too(document):
    """Each table and figure has a box around it that scrolls and shows that it does."""
    html = render_html(document)
    boxes = re.findall(r'<div class="scroll" role="region" tabindex="0" aria-label="(.*?)">', html)
    assert len(boxes) == 4 and boxes[-1] == 'Other'
    assert re.search(r'\.scroll \{ overflow-x: auto; background:', html)


def test_rows_below_a_rule_are_sorted_apart(document):
    """A mean stays below the classes."""
    table = re.search('<table.*?</table>', render_html(document), re.DOTALL)[0]
    bodies = re.findall('<tbody>(.*?)</tbody>', table, re.DOTALL)
    assert [body.count('<tr>') for body in bodies] == [1, 1]


@pytest.mark.skipif(shutil.which('node') is None, reason='needs node')
@pytest.mark.parametrize(
    ('texts', 'words', 'down', 'expected'),
    [
        (['9.50', '-', '1,234', '0.5'], False, False, ['0.5', '9.50', '1,234', '-']),
        (['9.50', '-', '1,234', '0.5'], False, True, ['1,234', '9.50', '0.5', '-']),
        (
            ['+1.00° [−9.00, +9.00]', 'same', '−2.10', '<0.01'],
            False,
            False,
            ['−2.10', 'same', '<0.01', '+1.00° [−9.00, +9.00]'],
        ),
        (['5.00 ± 9.00', '10.00 ± 0.10'], False, False, ['5.00 ± 9.00', '10.00 ± 0.10']),
        (['vest', '', 'a 10', 'a 9'], True, False, ['a 9', 'a 10', 'vest', '']),
        (['vest', '', 'a 10', 'a 9'], True, True, ['vest', 'a 10', 'a 9', '']),
    ],
)
def test_order_of_sorted_rows(texts, words, down, expected):
    script = (resources.files(report) / 'pages' / 'report.js').read_text('utf-8')
    code = (
        'const document = { querySelectorAll: () => [] };\n'
        f'{script}\n'
        f'const texts = {json.dumps(texts)}, down = {json.dumps(down)};\n'
        f'texts.sort((a, b) => compareTexts(a, b, {json.dumps(words)}, down));\n'
        'console.log(JSON.stringify(texts));'
    )
    found = subprocess.run(['node', '-e', code], capture_output=True, check=True).stdout
    assert json.loads(found) == expected


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


def test_text_for_a_terminal(document):
    text = render_text(document.sections[0])
    assert f'{SCRIPT}: {AND}' in text  # the list
    assert re.search(rf'(?m)^{re.escape(SCRIPT)} +1\.50$', text)  # the table
    tables = [block for block in document.sections[0].blocks if isinstance(block, TableBlock)]
    for block in tables:
        assert '\n'.join(filter(None, [block.note, block.table.text()])) in text
    assert any(block.note for block in tables)
