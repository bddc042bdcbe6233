"""Reading and writing: whole files or none, the same with and without orjson."""

import os

import pytest

from mmdet_multigrain import files
from mmdet_multigrain.files import FileError, dump_json, load_json, write_whole


@pytest.fixture(params=['orjson', 'standard library'])
def parser(request, monkeypatch):
    if request.param == 'standard library':
        monkeypatch.setattr(files, 'orjson', None)
    elif files.orjson is None:
        pytest.skip('orjson is not installed')


def test_json_round_trip(tmp_path, parser):
    value = {'b': [1, 2.5, True, None], 'a': 'Kleid, groß'}
    content = dump_json(value)
    assert content == '{"b":[1,2.5,true,null],"a":"Kleid, groß"}'.encode()
    (tmp_path / 'a.json').write_bytes(content)
    assert load_json(tmp_path / 'a.json') == value


def test_byte_order_mark_is_accepted(tmp_path, parser):
    (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert load_json(tmp_path / 'a.json') == {'a': 1}


@pytest.mark.parametrize('content', [
    b'', b'{', b'{"a": NaN}', b'[Infinity]', b'\xff\xfe', b'[' * 100_000])
def test_what_is_no_json_raises_value_error(tmp_path, parser, content):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(ValueError):
        load_json(tmp_path / 'a.json')


def test_nan_is_read_on_request(tmp_path, parser):
    (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf[NaN, -Infinity, 1]')
    nan, *others = load_json(tmp_path / 'a.json', allow_nan=True)
    assert nan != nan and others == [-float('inf'), 1]
    (tmp_path / 'a.json').write_bytes(b'[NaN')
    with pytest.raises(ValueError):
        load_json(tmp_path / 'a.json', allow_nan=True)


def test_write_whole_replaces_and_leaves_nothing_else(tmp_path):
    write_whole(tmp_path / 'a', b'old')
    write_whole(tmp_path / 'a', b'new')
    assert os.listdir(tmp_path) == ['a']
    assert (tmp_path / 'a').read_bytes() == b'new'


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
@pytest.mark.parametrize('step', ['replace', 'write'])
def test_failure_keeps_the_old_file_and_no_temporary(tmp_path, monkeypatch, error, step):
    (tmp_path / 'a').write_bytes(b'old')

    def fail(path, *args):
        if step == 'write':  # half of the data is there already
            with open(path, 'wb') as file:
                file.write(b'ne')
        raise error

    if step == 'replace':
        monkeypatch.setattr(os, 'replace', fail)
    else:
        monkeypatch.setattr(files.Path, 'write_bytes', fail)
    expected = FileError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_whole(tmp_path / 'a', b'new')
    if expected is FileError:
        assert str(caught.value) == f'{tmp_path / "a"}: cannot be written (No space left on device)'
    assert os.listdir(tmp_path) == ['a']
    with open(tmp_path / 'a', 'rb') as file:
        assert file.read() == b'old'


def test_missing_folder_is_one_line(tmp_path):
    with pytest.raises(FileError, match='cannot be written') as caught:
        write_whole(tmp_path / 'no' / 'a', b'')
    assert '\n' not in str(caught.value)
