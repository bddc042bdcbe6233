"""Reading CSV files by line and column name: every dialect, every damage, exact line numbers."""

import csv
import gzip
import os
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmdet_multigrain.converters import openimages_rows as module
from mmdet_multigrain.converters.openimages_rows import add_rows, read_rows
from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.problems import Problems

COLUMNS = ('ID', 'Name')


def read(path, content=None, *, required=COLUMNS, optional=(), containing=None):
    """The rows as tuples of line number and fields, and the problems."""
    if content is not None:
        path.write_bytes(content)
    problems = Problems()
    frames = list(read_rows(path, required, optional, problems=problems, containing=containing))
    return [row for frame in frames for row in frame.iter_rows()], problems


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'a.csv'


@pytest.mark.parametrize(
    'content',
    [
        b'ID,Name\na,b\nc,d\n',
        b'ID,Name\na,b\nc,d',
        b'ID,Name\r\na,b\r\nc,d\r\n',
        b'\xef\xbb\xbfID,Name\na,b\nc,d\n',
        b'Name,x,ID\nb,1,a\nd,2,c\n',
        b' id , NAME \n a, b\nc ,d\n',
        b'"ID","Name"\n"a","b"\n"c","d"\n',
        b'ID,Name,x\na,b,"1,2"\nc,d,""\n',
        gzip.compress(b'ID,Name\na,b\nc,d\n', mtime=0),
    ],
)
def test_dialects(path, content):
    rows, problems = read(path, content)
    assert rows == [(2, 'a', 'b'), (3, 'c', 'd')] and not problems.counts


def test_optional_columns_are_read_where_they_are(path):
    assert read(path, b'ID,z,Name\n1,2,3\n', optional=('y', 'Z'))[0] == [(2, '1', '3', '2')]


def test_empty_lines_are_passed_over_and_counted(path):
    assert read(path, b'ID,Name\n\na,b\n \r\n\nc,d\n\n')[0] == [(3, 'a', 'b'), (6, 'c', 'd')]


def test_only_rows_that_contain_a_text_are_read(path):
    content = b'ID,Name\na,dog\nb,cat\nc,hotdog\n"d","cat"\n"e","dog"\ndog,f\n'
    rows, problems = read(path, content, containing=['dog', 'cow'])
    assert [line for line, *_ in rows] == [2, 4, 6, 7] and not problems.counts


def test_wrong_numbers_of_fields_are_counted_with_their_lines(path):
    content = b'ID,Name\na,dog\nb\nc,cat,3\n"d,dog\ne,dog\nf,do'
    rows, problems = read(path, content, containing=['dog'])
    assert [line for line, *_ in rows] == [2, 6]
    assert problems.counts == {'row with a wrong number of fields': 3}
    assert problems.examples['row with a wrong number of fields'] == [
        'a.csv line 3 (1, not 2)',
        'a.csv line 4 (3, not 2)',
        'a.csv line 5 (1, not 2)',
    ]


def test_what_is_no_text_stays_within_its_field(path):
    rows, problems = read(path, b'ID,Name\na\x00b,\xff\xfe\nc,gr\xc3\xbcn\n\x1f,\xe2\x80\xa8\n')
    assert rows == [(2, 'a\x00b', '\ufffd\ufffd'), (3, 'c', 'grün'), (4, '\x1f', '')]
    assert not problems.counts


def test_a_field_too_long_for_a_parser_spoils_its_row_only(path):
    rows, problems = read(path, b'ID,Name\n"' + b'a' * 200_000 + b'",b\nc,d\n')
    assert rows == [(3, 'c', 'd')] and problems.counts.total() == 1


def test_header_only_gives_no_row(path):
    assert read(path, b'ID,Name\n')[0] == read(path, b'ID,Name')[0] == []


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'first line is empty'),
        (b'\n\nID,Name\n', 'first line is empty'),
        (b'\xef\xbb\xbf\r\n', 'first line is empty'),
        (b'a,b\nc,d\n', 'no column ID, Name; the first line must name the columns'),
        (b'ID;Name\na;b\n', "but is 'ID;Name'"),
        (b'ID,Nam\na,b\n', 'no column Name;'),
        (b'ID,Name,id\na,b,c\n', 'two columns are named ID'),
        ('ID,Name\na,b\n'.encode('utf-16'), 'as UTF-8 text'),
        (b'ID,Name\r' + b'a,b\r' * 9, 'no column'),  # line ends of old times
        (gzip.compress(b'ID,Name\n' + bytes(range(256)) * 99, mtime=0)[:60], 'cannot be read'),
        (gzip.compress(b'ID,Name\na,b\n', mtime=0)[:-5] + b'xxxxx', 'cannot be read'),
        (b'\x1f\x8bnothing', 'cannot be read'),
    ],
)
def test_what_cannot_be_read_is_one_line(path, content, message):
    with pytest.raises(ConverterError) as caught:
        read(path, content)
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)
    assert message in str(caught.value)


def test_missing_files_and_folders(path, tmp_path):
    with pytest.raises(ConverterError, match='no such file'):
        read(path)
    with pytest.raises(ConverterError, match='this is a folder'):
        read(tmp_path)


def test_a_file_without_lines_does_not_fill_the_memory(path, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK_BYTES', 100)
    with pytest.raises(ConverterError, match='a line of over 100 bytes'):
        read(path, b'ID,Name\n' + b'x' * 1000)


@pytest.mark.parametrize('row', ['x' + ',' * 50_000, '"x"' + ',' * 50_000])
def test_rows_of_far_too_many_fields_do_not_fill_the_memory(path, row):
    # 20 MB of text; told apart, their fields took 16 bytes for each of 20 million commas.
    content = ('ID,Name\n' + f'{row}\n' * 400).encode()
    path.write_bytes(content)
    program = (
        'import resource, sys; from pathlib import Path\n'
        'from mmdet_multigrain.converters.openimages_rows import read_rows\n'
        'from mmdet_multigrain.utils.problems import Problems\n'
        'peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'before, problems = peak(), Problems()\n'
        'rows = [*read_rows(Path(sys.argv[1]), ["ID"], problems=problems)]\n'
        'print(sum(map(len, rows)), problems.counts.total(), (peak() - before) // 1024)'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, path],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path), 'POLARS_MAX_THREADS': '1'},
    )
    rows, wrong, grown = map(int, done.stdout.split())
    assert (rows, wrong) == (0, 400)
    assert grown < 250  # MB


def test_many_batches_give_the_same_rows(path, monkeypatch):
    content = b'ID,Name\n' + b''.join(b'%d,%d\n' % (n, n % 7) for n in range(1000))
    whole = read(path, content)[0]
    assert [row[:2] for row in whole] == [(n + 2, str(n)) for n in range(1000)]
    monkeypatch.setattr(module, 'BLOCK_BYTES', 64)
    monkeypatch.setattr(module, 'BATCH_ROWS', 10)
    assert read(path, content)[0] == whole


@pytest.mark.parametrize(('name', 'limit'), [('BATCH_ROWS', 10), ('BATCH_BYTES', 9 * 29 + 1)])
def test_batches_have_the_size_asked_for(path, monkeypatch, name, limit):
    path.write_bytes(b'ID,Name\n' + b''.join(b'%020d,12345678\n' % n for n in range(32)))
    monkeypatch.setattr(module, 'BLOCK_BYTES', 30)  # a line
    monkeypatch.setattr(module, name, limit)
    batches = read_rows(path, COLUMNS, problems=Problems())
    assert [len(batch) for batch in batches] == [10, 10, 10, 2]


def test_kept_lines_do_not_hold_their_blocks():
    wanted = pl.col('text').str.contains('y', literal=True)
    block = b'\n'.join([b'x' * 100] * 1000 + [b'y' * 100] * 9)
    kept, count = module._sieve(block, wanted)
    assert (len(kept), count, kept['line'][0]) == (9, 1009, 1000)
    assert kept.to_arrow(compat_level=pl.CompatLevel.newest()).get_total_buffer_size() < 10_000


def test_problem_examples_and_counts():
    problems = Problems()
    add_rows(problems, 'odd', pl.DataFrame({'n': range(5)}), lambda row: f'n {row["n"]}')
    add_rows(problems, 'odd', pl.DataFrame({'n': [9]}), lambda row: f'n {row["n"]}')
    add_rows(problems, 'none', pl.DataFrame({'n': []}), str)
    assert problems.counts == {'odd': 6} and problems.examples['odd'] == ['n 0', 'n 1', 'n 2']


FIELDS = st.text('ab,"\r \t;é\x00', max_size=4)


@given(
    lines=st.lists(st.lists(FIELDS, max_size=4).map(','.join), max_size=12),
    block=st.integers(40, 80),
    batch=st.integers(1, 5),
    end=st.sampled_from(['', '\n', '\r\n']),
    containing=st.none() | st.just(['a', 'é']),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
def test_same_as_a_csv_reader_line_by_line(path, monkeypatch, lines, block, batch, end, containing):
    expected, wrong = [], 0
    for number, line in enumerate(lines, start=2):
        fields = line.split(',')
        if '"' in line:
            try:
                fields = next(csv.reader([line.rstrip('\r')]), [])
            except csv.Error:
                fields = []
        wanted = containing is None or any(text in line for text in containing)
        if not line.strip():
            continue
        if len(fields) == 3:
            if wanted:
                expected.append((number, *(field.strip() for field in fields)))
        elif wanted or '"' not in line:
            wrong += 1
    with monkeypatch.context() as patch:
        patch.setattr(module, 'BLOCK_BYTES', block)
        patch.setattr(module, 'BATCH_ROWS', batch)
        rows, problems = read(
            path,
            '\n'.join(['x,y,z', *lines]).encode() + end.encode(),
            required=('x', 'y', 'z'),
            containing=containing,
        )
    assert rows == expected
    assert problems.counts.total() == wrong


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_give_rows_or_one_line(path, content):
    for head in (b'', b'ID,Name\n'):
        try:
            read(path, head + content)
        except ConverterError as error:
            assert '\n' not in str(error)
