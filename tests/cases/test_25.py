"""Case 25: photos of the splits in two folders, and validation data that does not fit."""

from __future__ import annotations

import json
import shutil

import pytest

from ..tools.conftest import SMALL, call

FILES = 'train_ann=train/_annotations.coco.json', 'val_ann=valid/_annotations.coco.json'


@pytest.fixture
def data(repository):
    folder = repository.parent / 'shared' / 'cases' / '25_two_image_folders' / 'roboflow'
    if not folder.is_dir():
        pytest.skip('needs ../shared/cases')
    return folder


@pytest.fixture
def train(repository, tmp_path):
    def run(data, *more):
        return call(
            'train',
            repository / 'configs' / 'multigrain' / 'wgroup_r18_fpn_custom.py',
            '--work-dir',
            tmp_path / 'run',
            '--cfg-options',
            *SMALL,
            *FILES,
            f'data_root={data}',
            f'experiment_name={tmp_path.name}',
            *more,
        )

    return run


@pytest.mark.parametrize('by', ['environment', 'config'])
def test_both_folders_are_read(by, train, data, monkeypatch):
    keys = {'images': 'train/', 'val_images': 'valid/'}
    if by == 'environment':
        for key, folder in keys.items():
            monkeypatch.setenv(f'MULTIGRAIN_{key.upper()}', folder)
        result = train(data)
    else:
        result = train(data, *(f'{key}={folder}' for key, folder in keys.items()))
    assert result.status == 0, result.err
    assert result.iterations == [(1, 2), (2, 2)] and 'rarest 30% of' in result.out


def test_the_check_takes_both_folders(data):
    files = [data / split / '_annotations.coco.json' for split in ('train', 'valid')]
    folders = ['--images', data / 'train', '--val-images', data / 'valid', '--workers', '1']
    result = call('check_dataset', *files, *folders)
    assert result.out.endswith('verdict: clean\n')
    assert '16 photos read' in result.out and '8 photos read' in result.out


def test_the_folder_of_training_for_both_is_refused_before_the_first_iteration(train, data):
    result = train(data, 'images=train/')
    line = result.error()
    assert '8 of its 8 images are not there (first: ' in line and 'MULTIGRAIN_VAL_IMAGES' in line
    assert result.iterations == []


def remove_photo(folder, content):
    (folder / 'val_003.png').unlink()


def cut_photo(folder, content):
    path = folder / 'val_003.png'
    path.write_bytes(path.read_bytes()[:-50])


def swap_size(folder, content):
    image = content['images'][2]
    image['width'], image['height'] = image['height'], image['width']


def remove_boxes(folder, content):
    content['annotations'] = []


def rename_class(folder, content):
    content['categories'][0]['name'] = 'shrit'


@pytest.mark.parametrize(
    ('change', 'said', 'more'),
    [
        (remove_photo, '1 of its 8 images are not there', ()),
        (cut_photo, 'val_003.png: cut off before its end', ()),
        (swap_size, 'val_002.png: read upright', ()),
        (remove_boxes, 'to evaluate on', ()),
        (rename_class, "'shrit'", ()),
        (
            None,
            '8 of the 8 images to evaluate on are not in it',
            ('val_evaluator.ann_file={train}',),
        ),
        (None, 'nowhere.json: no such', ('val_evaluator.ann_file=nowhere.json',)),
        (None, "class_sets: 'tail': 'hat' is not a class", ('val_evaluator.class_sets.tail=hat',)),
    ],
)
def test_validation_data_that_does_not_fit_stops_before_the_first_iteration(
    change, said, more, train, data, tmp_path
):
    copy = tmp_path / 'data'
    shutil.copytree(data, copy)
    path = copy / 'valid' / '_annotations.coco.json'
    if change is not None:
        content = json.loads(path.read_text())
        change(path.parent, content)
        path.write_text(json.dumps(content))
    more = [option.format(train=copy / 'train' / '_annotations.coco.json') for option in more]
    result = train(copy, 'images=train/', 'val_images=valid/', *more)
    assert said in result.error()
    assert result.iterations == []
