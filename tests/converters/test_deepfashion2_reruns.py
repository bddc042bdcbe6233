"""The DeepFashion2 converter run again, interrupted, or on a full disk."""

import errno
import os
import shutil
import time

import pytest
from PIL import Image

from mmdet_multigrain.coco.writer import CocoWriter
from mmdet_multigrain.converters import deepfashion2 as module
from mmdet_multigrain.utils import files
from mmdet_multigrain.utils.errors import FileError

from .deepfashion2_release import annotation_of, item, run, write


def test_interrupt_keeps_the_old_file(tmp_path, monkeypatch):
    write(tmp_path, 1, annotation_of(item('vest')))
    out_file = run(tmp_path)[0].out_file
    before = out_file.read_bytes()

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(CocoWriter, 'add_all', interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, force=True)
    assert [p.name for p in out_file.parent.iterdir()] == ['train.json']
    assert out_file.read_bytes() == before


def test_output_that_cannot_be_written_is_one_line(tmp_path):
    write(tmp_path, 1, annotation_of(item('vest')))
    (tmp_path / 'file').write_text('')
    with pytest.raises(FileError, match='cannot be written') as caught:
        run(tmp_path, out_file=tmp_path / 'file' / 'train.json')
    assert '\n' not in str(caught.value)


class FullDisk:
    """A file on a disk that is full after a few bytes."""

    def __init__(self, *args):
        self._file = open(*args)
        self._room = 2000

    def write(self, data):
        if len(data) > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._room -= len(data)
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):  # looked up in the class
        return self

    def __exit__(self, *args):
        self._file.close()


@pytest.mark.parametrize('workers', [1, 2])
def test_full_disk_is_one_line_and_keeps_the_old_file(tmp_path, monkeypatch, workers):
    write(tmp_path, 1, annotation_of(item('vest')))
    out_file = run(tmp_path)[0].out_file
    before = out_file.read_bytes()
    write(tmp_path, 2, annotation_of(*[item('vest')] * 30))
    monkeypatch.setattr(files, 'open', FullDisk, raising=False)
    with pytest.raises(FileError, match=r'train\.json: cannot be written \(No space left'):
        run(tmp_path, workers=workers)
    assert os.listdir(out_file.parent) == ['train.json']
    assert out_file.read_bytes() == before


@pytest.fixture
def converted(tmp_path):
    """A converted split of two images."""
    for number in (1, 2):
        write(tmp_path, number, annotation_of(item('vest')))
    return tmp_path, run(tmp_path)[0].out_file


def test_second_run_finds_everything_done(converted):
    root, out_file = converted
    before = out_file.read_bytes(), out_file.stat()
    summary, _ = run(root)
    assert summary.up_to_date and 'is up to date' in str(summary)
    assert '\n' not in str(summary)
    assert (out_file.read_bytes(), out_file.stat()) == before
    assert not run(root, force=True)[0].up_to_date


def _replace_by_older_image(root):
    path = root / 'train' / 'image' / '000002.jpg'
    Image.new('RGB', (200, 220)).save(root / 'other.jpg')
    os.utime(root / 'other.jpg', (0, 0))
    shutil.copy2(root / 'other.jpg', path)


CHANGES = {
    'annotation rewritten': lambda root: write(root, 2, annotation_of(item('sling')), size=None),
    'image replaced by an older one': _replace_by_older_image,
    'picture added': lambda root: write(root, 3, annotation_of(item('skirt'))),
    'annotation removed': lambda root: (root / 'train' / 'annos' / '000002.json').unlink(),
    'image renamed': lambda root: os.rename(
        root / 'train' / 'image' / '000002.jpg', root / 'train' / 'image' / '000002.png'
    ),
    'output removed': lambda root: (root / 'annotations' / 'train.json').unlink(),
}


@pytest.mark.parametrize('change', CHANGES)
def test_second_run_notices_a_change(converted, change):
    root, _ = converted
    time.sleep(0.02)  # longer than a tick of the file system's clock
    CHANGES[change](root)
    assert not run(root)[0].up_to_date
    assert run(root)[0].up_to_date


@pytest.mark.parametrize(
    'content', ['{"info":{"descript', '[]', '{"info":{"description":"DeepFashion2, other split"},']
)
def test_a_file_of_another_command_is_replaced_only_when_asked(converted, content):
    root, _ = converted
    path = root / 'annotations' / 'train.json'
    path.write_text(content)
    with pytest.raises(FileError, match=r'train.json: already exists, .*\(--force\)$'):
        run(root)
    assert path.read_text() == content
    assert not run(root, force=True)[0].up_to_date
    assert run(root)[0].up_to_date


def test_second_run_notices_other_options_and_formats(converted, monkeypatch):
    root, _ = converted
    assert not run(root, with_segmentation=True)[0].up_to_date
    assert run(root, with_segmentation=True)[0].up_to_date
    monkeypatch.setattr(module, 'FORMAT_VERSION', module.FORMAT_VERSION + 1)
    assert not run(root, with_segmentation=True)[0].up_to_date


def test_what_changes_during_a_conversion_is_noticed_by_the_next(tmp_path, monkeypatch):
    write(tmp_path, 1, annotation_of(item('vest')))

    def add_all(self, *args):
        time.sleep(0.02)
        write(tmp_path, 1, annotation_of(item('sling')), size=None)
        original(self, *args)

    original = CocoWriter.add_all
    monkeypatch.setattr(CocoWriter, 'add_all', add_all)
    assert run(tmp_path)[1]['annotations'][0]['category_id'] == 5
    monkeypatch.undo()
    assert run(tmp_path)[1]['annotations'][0]['category_id'] == 6
