"""One table as text, Markdown, LaTeX and CSV."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.utils.table import Cell, Column, Table, display_width, escape_latex, shorten

TABLE = Table(
    (
        Column('name', 'class', left=True),
        Column('boxes', 'boxes', ',d'),
        Column('rare', 'rare', left=True),
    ),
    (('hat', 1234, False), ('a|b*', None, True)),
)


def test_text():
    assert TABLE.text() == ('class  boxes  rare\nhat    1,234\na|b*       -  *')


def test_markdown():
    assert TABLE.markdown() == (
        '| class | boxes | rare |\n| :-- | --: | :-- |\n| hat | 1,234 |  |\n| a\\|b\\* | - | \\* |'
    )


def test_markdown_takes_names_literally():
    table = Table((Column('n', 'n', left=True),), (('$5_a$ <b>',),))
    assert table.markdown().splitlines()[-1] == r'| \$5\_a\$ \<b> |'


def test_csv():
    assert TABLE.csv() == 'name,boxes,rare\nhat,1234,false\na|b*,,true\n'


def test_select():
    assert TABLE.select(['boxes', 'name']).csv() == 'boxes,name\n1234,hat\n,a|b*\n'
    with pytest.raises(KeyError):
        TABLE.select(['area'])


def test_wide_letters_keep_columns_aligned():
    table = Table((Column('n', 'n', left=True), Column('b', 'b')), (('短袖', 1), ('abc', 2)))
    assert table.text() == 'n     b\n短袖  1\nabc   2'


@pytest.mark.parametrize(
    ('text', 'width'), [('', 0), ('abc', 3), ('短', 2), ('é', 1), ('e\u0301', 1), ('a\u200db', 2)]
)
def test_display_width(text, width):
    assert display_width(text) == width


def test_shorten():
    assert shorten('short', 5) == 'short'
    assert shorten('longer', 5) == 'long…'
    assert shorten('very long', 6) == 'very…'
    assert shorten('短袖上衣', 6) == '短袖…'


names = st.text(st.characters(exclude_categories=('Cc', 'Cs', 'Zl', 'Zp')), max_size=12)


@given(names, st.integers(1, 12))
def test_shortened_texts_fit(name, width):
    assert display_width(shorten(name, width)) <= width
    assert shorten(name, 99) == name


FORMULA = ('=', '+', '-', '@')


@pytest.mark.parametrize('text', ['=cmd()', '=1+1', '+1', '-1', '@SUM(A1)', '\t=1'])
def test_csv_holds_no_formula(text):
    table = Table((Column('name', 'x'), Column('change', 'y')), ((text, -0.5), (Cell(text), -1)))
    read = list(csv.reader(io.StringIO(table.csv(), newline='')))
    assert read[1:] == [[f"'{text}", '-0.5'], [f"'{text}", '-1']]  # numbers stay numbers
    assert text.strip() in table.text() and table.rows[0][0] == text
    assert Table([Column(text)], []).csv() == f"'{text}\n"  # a heading may name a run


def test_csv_has_a_line_for_each_row():
    table = Table((Column('name', 'x'),), (('a\r=cmd()',), ('\r',)))
    assert table.csv() == 'name\na =cmd()\n \n'


@given(st.lists(st.tuples(names | st.sampled_from(['=x', '-']), st.none() | st.integers())))
def test_csv_reads_back(rows):
    table = Table((Column('name', 'x'), Column('boxes', 'y')), tuple(rows))
    read = list(csv.reader(io.StringIO(table.csv(), newline='')))
    assert read[1:] == [
        [name if name[:1] not in FORMULA else f"'{name}", '' if value is None else str(value)]
        for name, value in rows
    ]
    assert len(table.text().splitlines()) == 1 + len(rows)


MARKED = Table(
    (
        Column('class', 'class', left=True),
        Column('ours', 'AP', '.2f', group='these runs'),
        Column('a', 'AP', '.2f', group='the paper'),
        Column('b', 'AP50', '.2f', group='the paper'),
    ),
    (('a & b_c%', Cell(1.005, bold=True), 2, None), ('[x]', Cell(3.25, '3.25 ± 0.50'), 4, 5)),
    rules=(1,),
)


def test_latex():
    assert (
        MARKED.latex()
        == r"""\begin{tabular}{lrrr}
\toprule
 & \multicolumn{1}{c}{these runs} & \multicolumn{2}{c}{the paper} \\
\cmidrule(lr){2-2}
\cmidrule(lr){3-4}
class & AP & AP & AP50 \\
\midrule
a \& b\_c\% & \textbf{1.00} & 2.00 & - \\
\midrule
{[}x{]} & 3.25 $\pm$ 0.50 & 4.00 & 5.00 \\
\bottomrule
\end{tabular}
"""
    )
    assert r'\multicolumn' not in TABLE.latex()


def test_latex_columns_without_group_keep_their_places():
    table = Table((Column('a', 'a'), Column('b', 'b'), Column('c', 'c', group='g')), ((1, 2, 3),))
    assert table.groups == (('', 2), ('g', 1))
    lines = table.latex().splitlines()
    assert lines[2].count('&') == 2 and lines[3] == r'\cmidrule(lr){3-3}'


def test_cells_are_bold_in_markdown_and_plain_in_csv():
    lines = MARKED.markdown().splitlines()
    assert lines[0] == '| class | these runs: AP | the paper: AP | the paper: AP50 |'
    assert lines[2] == r'| a \& b\_c% | **1.00** | 2.00 | - |'
    assert MARKED.csv().splitlines()[1:] == ['a & b_c%,1.005,2,', '[x],3.25,4,5']
    assert MARKED.text().splitlines()[-1].split('  ')[0] == '[x]'


def test_select_keeps_rules_and_groups():
    assert MARKED.select(['class', 'b']).rules == (1,)
    assert MARKED.select(['class', 'b']).groups == (('', 1), ('the paper', 1))


@given(names)
def test_latex_has_no_bare_command(text):
    """What is left without our own commands has none of LaTeX's letters."""
    bare = escape_latex(text)
    for letter in (
        'textbackslash',
        'textasciitilde',
        'textasciicircum',
        'textless',
        'textgreater',
        'textbar',
        'ldots',
    ):
        bare = bare.replace(f'\\{letter}{{}}', '')
    for letter in '&%$#_{}':
        bare = bare.replace(f'\\{letter}', '')
    for own in ('{[}', '{]}', r'$\pm$', '$-$', r'$^{\circ}$'):
        bare = bare.replace(own, '')
    assert not set(bare) & set('\\&%$#_{}~^<>|[]')


def test_cells_and_columns_by_default():
    assert Cell(1) == Cell(1, None, False) and Table((), ()).rules == ()
    column = Column('a')
    assert column == Column('a', 'a', '', False, '')
    shown = [column.show(value) for value in (None, True, False, 1.5, Cell(None), Cell(2, 'two'))]
    assert shown == ['-', '*', '', '1.5', '-', 'two']
    assert TABLE.groups == ()


def test_shortened_by_columns():
    assert shorten('短袖上衣', 8) == '短袖上衣'
    assert shorten('短袖上衣', 7) == '短袖上…' and shorten('短袖上衣', 5) == '短袖…'
    assert shorten('ab', 1) == '…'
