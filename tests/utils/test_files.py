"""Reading and writing: whole files or none."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.utils import files
from mmdet_multigrain.utils.errors import FileError
from mmdet_multigrain.utils.files import (
    dump_json,
    is_absolute,
    leaves_folder,
    load_json,
    nearby,
    open_whole,
    write_together,
    write_whole,
)


def test_json_round_trip(tmp_path):
    value = {'b': [1, 2.5, True, None], 'a': 'Kleid, groß'}
    content = dump_json(value)
    assert content == '{"b":[1,2.5,true,null],"a":"Kleid, groß"}'.encode()
    (tmp_path / 'a.json').write_bytes(content)
    assert load_json(tmp_path / 'a.json') == value


def test_byte_order_mark_is_accepted(tmp_path):
    (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert load_json(tmp_path / 'a.json') == {'a': 1}


@pytest.mark.parametrize(
    'content', [b'', b'{', b'{"a": NaN}', b'[Infinity]', b'\xff\xfe', b'[' * 100_000]
)
def test_what_is_no_json_raises_value_error(tmp_path, content):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(ValueError):
        load_json(tmp_path / 'a.json')


def test_nan_is_read_on_request(tmp_path):
    (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf[NaN, -Infinity, 1]')
    nan, *others = load_json(tmp_path / 'a.json', allow_nan=True)
    assert nan != nan and others == [-float('inf'), 1]
    (tmp_path / 'a.json').write_bytes(b'[NaN')
    with pytest.raises(ValueError):
        load_json(tmp_path / 'a.json', allow_nan=True)


def test_a_file_larger_than_those_of_its_kind_is_not_read(tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes(b'[1, 2]')
    assert load_json(path, max_bytes=6) == [1, 2]
    with open(path, 'ab') as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError) as caught:
        load_json(path, max_bytes=1 << 20)
    assert caught.value.strerror == 'over 1 MiB, more than a file of its kind has'


def test_too_little_memory_is_an_error_of_the_system(tmp_path):
    path = tmp_path / 'a.json'
    with open(path, 'wb') as file:
        file.truncate(1 << 30)
    program = (
        'import resource, sys; from mmdet_multigrain.utils.files import load_json\n'
        'resource.setrlimit(resource.RLIMIT_AS, (1 << 29, ) * 2)\n'
        'try: load_json(sys.argv[1])\n'
        'except OSError as error: print(error.strerror)'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, path],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    assert done.stdout == 'Cannot allocate memory\n', done.stderr


def test_write_whole_replaces_and_leaves_nothing_else(tmp_path):
    write_whole(tmp_path / 'a', b'old')
    write_whole(tmp_path / 'a', b'new')
    assert os.listdir(tmp_path) == ['a']
    assert (tmp_path / 'a').read_bytes() == b'new'


@pytest.mark.parametrize('name', [250 * 'a' + '.json', 83 * '衣' + '.png'])
def test_names_as_long_as_they_may_be(tmp_path, name):
    write_whole(tmp_path / name, b'new')
    assert os.listdir(tmp_path) == [name]


class FailingFile:
    """Takes half of the data, then raises."""

    def __init__(self, path, mode, error):
        self._file, self._error = open(path, mode), error

    def write(self, data):
        self._file.write(data[: len(data) // 2])
        raise self._error

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
@pytest.mark.parametrize('step', ['replace', 'write', 'fsync'])
def test_failure_keeps_the_old_file_and_no_temporary(tmp_path, monkeypatch, error, step):
    (tmp_path / 'a').write_bytes(b'old')

    def fail(*args):
        raise error

    if step == 'write':
        monkeypatch.setattr(
            files, 'open', lambda path, mode: FailingFile(path, mode, error), raising=False
        )
    else:
        monkeypatch.setattr(os, step, fail)
    expected = FileError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_whole(tmp_path / 'a', b'new', sync=True)
    if expected is FileError:
        assert str(caught.value) == f'{tmp_path / "a"}: cannot be written (No space left on device)'
    assert os.listdir(tmp_path) == ['a']
    assert (tmp_path / 'a').read_bytes() == b'old'


def test_full_disk_is_one_line_and_leaves_nothing():
    """A device that is always full: the error comes when the buffer is flushed."""
    if not os.path.exists('/dev/full'):
        pytest.skip('/dev/full is not on this machine')
    with pytest.raises(FileError, match='No space left on device') as caught:
        with open('/dev/full', 'wb') as full:
            files._Writer('a.json', full).write(b'x' * 10_000_000)
    assert str(caught.value) == 'a.json: cannot be written (No space left on device)'


def test_pieces_appear_at_the_end_and_folders_are_made(tmp_path):
    with open_whole(tmp_path / 'b' / 'c' / 'a') as file:
        file.write(b'one')
        assert not (tmp_path / 'b' / 'c' / 'a').exists()
        file.write(b'two')
    assert (tmp_path / 'b' / 'c' / 'a').read_bytes() == b'onetwo'
    assert os.listdir(tmp_path / 'b' / 'c') == ['a']


def test_an_error_of_the_block_passes_and_leaves_no_folder(tmp_path):
    with pytest.raises(OSError, match='of another file'):
        with open_whole(tmp_path / 'b' / 'c' / 'a') as file:
            file.write(b'one')
            raise OSError('of another file')
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / 'no').write_text('')
    with pytest.raises(FileError, match='cannot be written') as caught:
        write_whole(tmp_path / 'no' / 'a', b'')
    assert '\n' not in str(caught.value)


# ---------------------------------------------------------------- file names

PARTS = st.sampled_from(['a', 'b.jpg', '..', '.', '...', '..a', 'a..', ''])


@pytest.mark.parametrize(
    'name',
    [
        'a.jpg',
        'a/b.jpg',
        './a.jpg',
        'a/../b.jpg',
        '..a.jpg',
        'a..jpg',
        'x/..y/z.jpg',
        'ä b.jpg',
        'a/b/../../c.jpg',
        'c:a.jpg',
        '~/a.jpg',
        '',
        '.',
        '-rf',
        '=cmd()',
        '<script>.jpg',
    ],
)
def test_names_below(name):
    assert not leaves_folder(name)


@pytest.mark.parametrize(
    'name',
    [
        '../a.jpg',
        '..',
        'a/../../b.jpg',
        './../a.jpg',
        'a/b/../../../c.jpg',
        '..\\a.jpg',
        'a\\..\\..\\b.jpg',
        'a/..\\../b.jpg',
    ],
)
def test_names_above(name):
    assert leaves_folder(name) and not is_absolute(name)


@pytest.mark.parametrize(
    'name', ['/a.jpg', '//host/a.jpg', '\\a.jpg', '\\\\host\\a.jpg', 'C:\\a.jpg', 'c:/a.jpg']
)
def test_absolute_names(name):
    assert leaves_folder(name) and is_absolute(name)


@given(st.lists(PARTS, max_size=8))
def test_as_the_system_resolves_them(parts):
    name = '/'.join(parts)
    inside = os.path.normpath(os.path.join('/data/photos', name))
    stays = inside == '/data/photos' or inside.startswith('/data/photos/')
    # Out and in again by the folder's own name counts as out: the name is not known here.
    assert leaves_folder(name) == (not stays)


def test_files_written_together_appear_all_or_none(tmp_path):
    first, second = tmp_path / 'a', tmp_path / 'b'

    def contents():
        yield first, b'1'
        raise ValueError('no more')

    with pytest.raises(ValueError, match='no more'):
        write_together(contents())
    assert not any(tmp_path.iterdir())
    write_together([(first, b'1'), (second, b'2')])
    assert (first.read_bytes(), second.read_bytes()) == (b'1', b'2')


def test_paths_nearby_are_named_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert nearby(tmp_path / 'a' / 'b.json') == os.path.join('a', 'b.json')
    assert nearby(tmp_path.parent) == str(tmp_path.parent)
