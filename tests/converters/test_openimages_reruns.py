"""The Open Images converter run again, interrupted, or on a full disk."""

import os

import pytest
from PIL import Image

from mmdet_multigrain.converters import openimages_writer as module
from mmdet_multigrain.converters.openimages import convert
from mmdet_multigrain.converters.openimages_selection import select
from mmdet_multigrain.utils import files
from mmdet_multigrain.utils.errors import FileError

from .openimages_release import SELECTION, row, run, write


def test_second_run_says_that_nothing_is_to_be_done(tmp_path):
    first, _ = run(tmp_path, row())
    content, time = first.out_file.read_bytes(), first.out_file.stat().st_mtime_ns
    second, _ = run(tmp_path)
    assert second.up_to_date and 'is up to date' in str(second)
    assert first.out_file.stat().st_mtime_ns == time
    assert not run(tmp_path, force=True)[0].up_to_date
    assert first.out_file.read_bytes() == content


@pytest.mark.parametrize('change', ['boxes', 'sizes', 'options', 'taxonomy'])
def test_what_changed_is_converted_anew(tmp_path, change):
    summary, _ = run(tmp_path, row())
    options = {}
    if change in ('boxes', 'sizes'):
        path = tmp_path / ('train.csv' if change == 'boxes' else 'sizes.csv')
        path.write_bytes(path.read_bytes())
    elif change == 'options':
        options = {'group_of': 'drop'}
    else:
        options = {'selection': select(SELECTION.taxonomy.ungrouped())}
    assert not run(tmp_path, **options)[0].up_to_date


def test_a_file_of_another_command_is_replaced_only_when_asked(tmp_path):
    summary, _ = run(tmp_path, row())
    summary.out_file.write_bytes(b'{"info":{}')
    with pytest.raises(FileError, match=r'already exists, .*\(--force\)$'):
        run(tmp_path)
    assert summary.out_file.read_bytes() == b'{"info":{}'
    assert not run(tmp_path, force=True)[0].up_to_date


def test_an_older_file_of_the_same_name_is_another_one(tmp_path):
    (tmp_path / 'old').mkdir()
    write(tmp_path / 'old', row(), row('b'))
    out = run(tmp_path, row())[0].out_file
    assert run(tmp_path)[0].up_to_date
    summary = convert(
        tmp_path / 'old' / 'train.csv',
        out,
        split='train',
        selection=SELECTION,
        image_sizes=tmp_path / 'sizes.csv',
        progress=False,
    )
    assert summary.num_images == 2


def test_pycocotools_reads_the_file(tmp_path, capsys):
    coco_module = pytest.importorskip('pycocotools.coco')
    summary, _ = run(tmp_path, row(), row('b', '/m/hat'))
    coco = coco_module.COCO(str(summary.out_file))
    assert len(coco.getAnnIds(catIds=coco.getCatIds(catNms=['hat']))) == 1


def test_new_images_are_converted_anew(tmp_path):
    (tmp_path / 'train').mkdir()
    Image.new('RGB', (8, 8)).save(tmp_path / 'train' / 'a.jpg')
    options = {'image_sizes': None, 'images': tmp_path / 'train'}
    write(tmp_path, row(), row('b'))
    assert run(tmp_path, **options)[0].num_images == 1
    assert run(tmp_path, **options)[0].up_to_date
    Image.new('RGB', (8, 8)).save(tmp_path / 'train' / 'b.jpg')
    assert run(tmp_path, **options)[0].num_images == 2


@pytest.mark.parametrize('out', ['annotations/train.json', 'train.json'])
def test_a_file_among_the_images_is_no_change_of_them(tmp_path, out):
    write(tmp_path, row(), row('b'))

    def again():
        return convert(
            tmp_path / 'train.csv',
            tmp_path / out,
            split='train',
            images=tmp_path,
            selection=SELECTION,
            progress=False,
        )

    Image.new('RGB', (8, 8)).save(tmp_path / 'a.jpg')
    assert again().num_images == 1
    (tmp_path / 'annotations' / 'validation.json').parent.mkdir(exist_ok=True)
    (tmp_path / 'annotations' / 'validation.json').write_text('{}')
    assert again().up_to_date
    Image.new('RGB', (8, 8)).save(tmp_path / 'b.jpg')
    assert again().num_images == 2 and again().up_to_date
    Image.new('RGB', (9, 9)).save(tmp_path / 'b.jpg')
    assert not again().up_to_date
    (tmp_path / 'b.jpg').unlink()
    assert again().num_images == 1


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_full_disk_and_interrupt_keep_the_old_file(tmp_path, monkeypatch, error):
    summary, _ = run(tmp_path, row())
    old = summary.out_file.read_bytes()

    def fail(*_):
        raise error

    monkeypatch.setattr(files.os, 'fsync', fail)
    with pytest.raises(FileError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        run(tmp_path, force=True)
    if isinstance(error, OSError):
        assert str(caught.value) == (
            f'{summary.out_file}: cannot be written (No space left on device)'
        )
    assert summary.out_file.read_bytes() == old
    assert os.listdir(tmp_path / 'out') == ['train.json']


def test_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    encode, calls = module._encode, []

    def interrupt(rows, value):
        calls.append(len(rows))
        if len(calls) > 2:
            raise KeyboardInterrupt
        return encode(rows, value)

    monkeypatch.setattr(module, 'WRITTEN_IMAGES', 1)
    monkeypatch.setattr(module, '_encode', interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, row(), row('b'))
    assert calls == [1, 1, 1] and not (tmp_path / 'out').exists()


def test_parts_of_any_size_give_the_same_bytes(tmp_path, monkeypatch):
    rows = [row(name, label) for name in 'baab' for label in ('/m/hat', '/m/coat', '/m/dog')]
    whole = run(tmp_path, *rows)[0].out_file.read_bytes()
    monkeypatch.setattr(module, 'WRITTEN_IMAGES', 1)
    assert run(tmp_path, *rows)[0].out_file.read_bytes() == whole
