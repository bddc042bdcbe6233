"""What is left after a kill, and what waits for the disk."""

import errno
import os
import subprocess

import pytest

from mmdet_multigrain.utils import files
from mmdet_multigrain.utils.errors import FileError
from mmdet_multigrain.utils.files import open_whole, read_bytes, remove_leftovers, write_whole


@pytest.fixture(scope='module')
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen(['true'])
    process.wait()
    return process.pid


def test_leftovers_of_processes_that_have_ended_go(tmp_path, dead):
    gone = [f'.a.json.{dead}.tmp', f'.b.pth.{os.getpid()}.tmp', f'.c.json.{10**30}.tmp']
    stays = [
        f'.a.txt.{dead}.tmp',  # another suffix
        f'.living.json.{os.getppid()}.tmp',
        f'a.json.{dead}.tmp',
        '.a.json.tmp',
        '.a.json.x1.tmp',
        f'.a.json.{dead}.tmp2',
        'a.json',
    ]
    for name in [*gone, *stays]:
        (tmp_path / name).write_text('')
    (tmp_path / f'.folder.json.{dead}.tmp').mkdir()
    (tmp_path / 'below').mkdir()
    (tmp_path / 'below' / gone[0]).write_text('')
    assert remove_leftovers(tmp_path, suffix=('.json', '.pth')) == [tmp_path / one for one in gone]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*stays, f'.folder.json.{dead}.tmp', 'below'}
    assert (tmp_path / 'below' / gone[0]).exists()
    assert remove_leftovers(tmp_path, suffix='.txt') == [tmp_path / stays[0]]


def test_leftovers_of_other_users_stay(tmp_path, dead, monkeypatch):
    def kill(process, number):
        assert (process, number) == (dead, 0)
        raise PermissionError

    (tmp_path / f'.a.json.{dead}.tmp').write_text('')
    monkeypatch.setattr(os, 'kill', kill)
    assert remove_leftovers(tmp_path, suffix='.json') == []


@pytest.fixture
def synced(monkeypatch):
    """What is waited for: kinds of opened files."""
    seen, original = [], os.fsync

    def fsync(descriptor):
        seen.append('folder' if os.path.isdir(f'/proc/self/fd/{descriptor}') else 'file')
        original(descriptor)

    monkeypatch.setattr(files.os, 'fsync', fsync)
    return seen


def test_what_waits_for_the_disk(tmp_path, synced):
    write_whole(tmp_path / 'a', b'x')
    with open_whole(tmp_path / 'a', sync=False) as file:
        file.write(b'y')
    assert synced == []
    write_whole(tmp_path / 'a', b'x', sync=True)
    with open_whole(tmp_path / 'a') as file:
        file.write(b'y')
    assert synced == ['file', 'folder'] * 2
    assert (tmp_path / 'a').read_bytes() == b'y'


@pytest.mark.parametrize(('number', 'fails'), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_wait(tmp_path, monkeypatch, number, fails):
    """Some network file systems know no such call for a folder."""
    opened, closed, original = [], [], os.close

    def fsync(descriptor):
        if os.path.isdir(f'/proc/self/fd/{descriptor}'):
            opened.append(descriptor)
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, 'fsync', fsync)
    monkeypatch.setattr(files.os, 'close', lambda one: closed.append(one) or original(one))
    if fails:
        with pytest.raises(FileError, match='a: cannot be written .Input/output error'):
            write_whole(tmp_path / 'a', b'x', sync=True)
    else:
        write_whole(tmp_path / 'a', b'x', sync=True)
    assert len(opened) == 1 and opened[0] in closed
    assert os.listdir(tmp_path) == ['a']


def test_sizes_of_files_that_are_read(tmp_path):
    (tmp_path / 'a').write_bytes(b'12345')
    assert read_bytes(tmp_path / 'a') == read_bytes(tmp_path / 'a', 5) == b'12345'
    with pytest.raises(OSError) as caught:
        read_bytes(tmp_path / 'a', 4)
    assert caught.value.errno == errno.EFBIG
    (tmp_path / 'a').write_bytes(bytes(2**19 * 3 + 1))
    with pytest.raises(OSError, match=r'over 1\.5 MiB'):
        read_bytes(tmp_path / 'a', 2**19 * 3)


def test_a_file_is_built_beside_its_place(tmp_path):
    with open_whole(tmp_path / 'a.json') as file:
        file.write(b'x')
        assert os.listdir(tmp_path) == [f'.a.json.{os.getpid()}.tmp']
