"""Finding the files of a release in a folder."""

from pathlib import Path

import pytest

from mmdet_multigrain.converters.openimages_files import (
    DESCRIPTIONS,
    HIERARCHY,
    find_boxes,
    find_images,
    find_one,
    split_of,
)
from mmdet_multigrain.utils.errors import ConverterError


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ('name', 'split'),
    [
        ('train-annotations-bbox.csv', 'train'),
        ('validation-annotations-bbox.csv', 'validation'),
        ('test-annotations-bbox.csv.gz', 'test'),
        ('oidv6-train-annotations-bbox.csv', 'train'),
        ('my_TRAIN_boxes.csv', 'train'),
    ],
)
def test_split_of_a_name(name, split):
    assert split_of(Path(name)) == split


@pytest.mark.parametrize('name', ['boxes.csv', 'trainer.csv', 'train-test.csv'])
def test_names_that_tell_no_split(name):
    with pytest.raises(ConverterError, match='add --split'):
        split_of(Path('train') / name)


def test_files_of_a_release(tmp_path):
    touch(
        tmp_path,
        'validation-annotations-bbox.csv',
        'oidv6-train-annotations-bbox.csv.gz',
        '.train-annotations-bbox.csv',
        'train-images.csv',
        'oidv7-class-descriptions-boxable.csv',
        'bbox_labels_600_hierarchy.json',
    )
    assert find_boxes(tmp_path) == {
        'train': tmp_path / 'oidv6-train-annotations-bbox.csv.gz',
        'validation': tmp_path / 'validation-annotations-bbox.csv',
    }
    assert list(find_boxes(tmp_path)) == ['train', 'validation']
    assert find_one(tmp_path, HIERARCHY).name == 'bbox_labels_600_hierarchy.json'
    assert find_one(tmp_path, DESCRIPTIONS).name == 'oidv7-class-descriptions-boxable.csv'


def test_nothing_and_too_much(tmp_path):
    assert find_one(tmp_path, HIERARCHY) is None
    with pytest.raises(ConverterError, match='no file [*]-annotations-bbox.csv in it'):
        find_boxes(tmp_path)
    touch(
        tmp_path,
        'a_hierarchy.json',
        'b_hierarchy.json',
        'train-annotations-bbox.csv',
        'train-annotations-bbox.csv.gz',
    )
    with pytest.raises(ConverterError, match='a_hierarchy.json: b_hierarchy.json is next to it'):
        find_one(tmp_path, HIERARCHY)
    with pytest.raises(ConverterError, match='is of the same split'):
        find_boxes(tmp_path)


def test_folders_of_images(tmp_path):
    with pytest.raises(ConverterError, match='no such folder of images; name it [(]--images DIR'):
        find_images(tmp_path, 'train')
    with pytest.raises(ConverterError, match='check --images'):
        find_images(tmp_path, 'train', tmp_path / 'x')
    (tmp_path / 'x').mkdir()
    assert find_images(tmp_path, 'train', tmp_path / 'x') == tmp_path / 'x'
    (tmp_path / 'x' / 'train').mkdir()
    assert find_images(tmp_path, 'train', tmp_path / 'x') == tmp_path / 'x' / 'train'
    (tmp_path / 'train').mkdir()
    assert find_images(tmp_path, 'train') == tmp_path / 'train'
