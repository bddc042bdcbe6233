"""One table as text, Markdown and CSV."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.report.table import Column, Table, display_width, shorten

TABLE = Table(
    (Column('name', 'class', left=True), Column('boxes', 'boxes', ',d'),
     Column('rare', 'rare', left=True)),
    (('hat', 1234, False), ('a|b*', None, True)))


def test_text():
    assert TABLE.text() == ('class  boxes  rare\n'
                            'hat    1,234\n'
                            'a|b*       -  *')


def test_markdown():
    assert TABLE.markdown() == ('| class | boxes | rare |\n'
                                '| :-- | --: | :-- |\n'
                                '| hat | 1,234 |  |\n'
                                '| a\\|b\\* | - | \\* |')


def test_markdown_takes_names_literally():
    table = Table((Column('n', 'n', left=True), ), (('$5_a$ <b>', ), ))
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


@pytest.mark.parametrize(('text', 'width'), [
    ('', 0), ('abc', 3), ('短', 2), ('é', 1), ('e\u0301', 1), ('a\u200db', 2)])
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


@given(st.lists(st.tuples(names, st.none() | st.integers())))
def test_csv_reads_back(rows):
    table = Table((Column('name', 'x'), Column('boxes', 'y')), tuple(rows))
    read = list(csv.reader(io.StringIO(table.csv(), newline='')))
    assert read[1:] == [[name, '' if value is None else str(value)] for name, value in rows]
    assert len(table.text().splitlines()) == 1 + len(rows)
