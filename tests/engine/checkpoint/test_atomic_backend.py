"""How MMEngine reaches the backend, and that files are written atomically."""

import os

import pytest
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.runner import save_checkpoint

from mmdet_multigrain.engine.checkpoint.atomic_backend import BACKEND, AtomicLocalBackend
from mmdet_multigrain.utils.errors import FileError


def backend(path):
    return get_file_backend(path, backend_args=dict(backend=BACKEND))


def test_mmengine_finds_it_by_name_and_keeps_its_own(tmp_path):
    assert type(backend(str(tmp_path))) is AtomicLocalBackend
    assert type(get_file_backend(str(tmp_path))) is LocalBackend


def test_files_are_written_as_by_mmengine(tmp_path):
    ours, stock = backend('x'), LocalBackend()
    for path, writer in ((tmp_path / 'ours', ours), (tmp_path / 'stock', stock)):
        writer.put(b'abc', path / 'new' / 'a')
        writer.put_text('groß\n', str(path / 'b'), encoding='latin-1')
        assert (path / 'new' / 'a').read_bytes() == b'abc'
        assert (path / 'b').read_bytes() == b'gro\xdf\n'
        assert writer.get(path / 'new' / 'a') == b'abc'
        assert sorted(os.listdir(path)) == ['b', 'new'] and os.listdir(path / 'new') == ['a']


def test_content_and_name_are_waited_for_in_this_order(tmp_path, monkeypatch):
    steps = []
    replace, fsync = os.replace, os.fsync

    def note_fsync(descriptor):
        steps.append(os.readlink(f'/proc/self/fd/{descriptor}'))
        fsync(descriptor)

    def note_replace(source, target):
        steps.append((str(source), str(target)))
        replace(source, target)

    monkeypatch.setattr(os, 'fsync', note_fsync)
    monkeypatch.setattr(os, 'replace', note_replace)
    backend('x').put(b'abc', tmp_path / 'a')
    temporary = str(tmp_path / f'.a.{os.getpid()}.tmp')  # next to it: renaming is one step
    assert steps == [temporary, (temporary, str(tmp_path / 'a')), str(tmp_path)]


@pytest.mark.parametrize('half', [True, False])
def test_an_error_leaves_what_was_there(tmp_path, monkeypatch, half):
    path = tmp_path / 'a.pth'
    save_checkpoint(dict(a=1), str(path), backend_args=dict(backend=BACKEND))
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync' if half else 'replace', fail)
    with pytest.raises(FileError, match=f'^{path}: cannot be written .No space left on device.$'):
        save_checkpoint(dict(a=2), str(path), backend_args=dict(backend=BACKEND))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ['a.pth']
