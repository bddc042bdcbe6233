"""Files as data set, metric and report read them: what is filled in, matched, noted and refused."""

from __future__ import annotations

import copy
import math
import sys

import pytest

from mmdet_multigrain.coco.annotations import (
    AnnotationFile,
    left_out_categories,
    match_categories,
    read_categories,
)
from mmdet_multigrain.utils.errors import AnnotationError, TaxonomyError
from mmdet_multigrain.utils.files import dump_json


@pytest.fixture
def content():
    """Two images; a box of each class of `garments`, a second shirt."""
    names = ('shirt', 'skirt', 'vest', 'hat', 'shorts')
    return {
        'images': [
            {'id': 7, 'file_name': 'a.jpg', 'width': 64, 'height': 48},
            {'id': 'b', 'file_name': 'sub/b.jpg', 'width': 64, 'height': 31},
        ],
        'categories': [{'id': 10 + n, 'name': name} for n, name in enumerate(names)],
        'annotations': [
            {'id': 3 + n, 'image_id': 7, 'category_id': 10 + n, 'bbox': [n, 2, 8, 9], 'area': 72,
             'iscrowd': 0}
            for n in range(5)
        ]
        + [{'id': 20, 'image_id': 'b', 'category_id': 10, 'bbox': [1, 2, 8, 9], 'area': 72,
            'iscrowd': 1}],
    }  # fmt: skip


@pytest.fixture
def read(tmp_path, garments):
    """Write a content and read it; notes come without the path."""

    def read_content(content, **options):
        path = tmp_path / 'a.json'
        path.write_bytes(dump_json(content))
        file = AnnotationFile(path, taxonomy=garments, **options)
        assert file.path == str(path) and file.taxonomy is garments
        assert all(note.startswith(f'{path}: ') for note in file.notes)
        return file, [note.removeprefix(f'{path}: ') for note in file.notes]

    return read_content


def test_a_whole_file_stays_as_it_is(content, read):
    file, notes = read(content)
    assert (file.dataset, notes) == (content, [])
    assert file.category_ids == [10, 11, 12, 13, 14]


def test_what_is_filled_in(content, read):
    rows = content['annotations']
    rows[0]['area'] = None
    rows[1]['area'] = -1
    rows[2] |= {'area': 0, 'bbox': [1, 1, 0, 5]}  # true of a box without a width
    rows[3]['area'] = 0
    rows[4]['area'] = 1e30
    rows[5]['iscrowd'] = None
    file, notes = read(content)
    assert [row['area'] for row in file.dataset['annotations']] == [72, 72, 0, 72, 72, 72]
    assert file.dataset['annotations'][5]['iscrowd'] == 0
    assert notes == ["filled in 'area' of 4 annotations", "filled in 'iscrowd' of 1 annotations"]


def test_ignore_becomes_true_or_false(content, read):
    rows = content['annotations']
    for row, value in zip(rows[:4], ('yes', 'False', 1, None), strict=True):
        row['ignore'] = value
    rows[4] |= {'bbox': [1, 2, 0.5, 9], 'area': 4.5}  # narrower than a pixel: left out
    file, notes = read(content)
    found = [row.get('ignore') for row in file.dataset['annotations']]
    assert found == [True, False, True, False, True, None]
    assert notes == ["read the text in 'ignore' of 2 annotations"]


@pytest.mark.parametrize('id', [None, 0, -1, 2.0, 'a'])
def test_ids_that_cannot_be_matched_are_replaced(content, read, id):
    content['annotations'][2]['id'] = id
    file, notes = read(content)
    assert [row['id'] for row in file.dataset['annotations']] == [1, 2, 3, 4, 5, 6]
    assert notes == ['numbered annotations from 1 (some ids missing, 0 or not whole)']


def test_a_file_without_annotations_can_be_predicted_on(content, read):
    del content['annotations']
    file, notes = read(content)
    assert file.dataset['annotations'] == []
    assert notes == ["has no 'annotations'; a test set, only to predict on"]
    assert file.training_counts() == [0] * 5


def test_what_is_read_in_another_form_is_noted(content, read):
    del content['images'][0]['file_name']
    content['images'][0]['coco_url'] = 'https://x.org/val/a.jpg'
    file, notes = read(content)
    assert file.dataset['images'][0]['file_name'] == 'val/a.jpg'
    assert notes == ["1 file names taken from 'coco_url'"]


def test_boxes_that_training_uses(content, read):
    content['annotations'][5]['iscrowd'] = 0
    content['annotations'].append({**content['annotations'][0], 'id': 21})
    content['annotations'][1]['ignore'] = 1
    file, _ = read(content)
    assert file.training_counts() == [2, 0, 1, 1, 1]  # not the one on an image of 31 pixels
    assert file.training_counts(min_size=31) == [3, 0, 1, 1, 1]
    assert file.training_counts(min_size=65) == [0] * 5


def test_ids_of_classes_that_the_file_lacks(content, read):
    del content['categories'][1], content['annotations'][1]
    with pytest.raises(TaxonomyError, match='1 of 5 classes'):
        read(content)
    assert read(content, allow_missing=True)[0].category_ids == [10, -2, 12, 13, 14]
    content['categories'][3]['id'] = content['annotations'][3]['category_id'] = -4
    file, _ = read(content, allow_missing=True)
    assert file.category_ids == [10, -6, 12, 13, -4]
    assert file.training_counts() == [1, 0, 1, 1, 1]


def test_unknown_categories_are_told(content, read):
    content['categories'].append({'id': 1, 'name': 'belt'})
    assert read(content)[1] == []  # without boxes it does not matter
    content['annotations'][5]['category_id'] = 1
    with pytest.raises(TaxonomyError, match="not in taxonomy .*'belt'"):
        read(content)
    note = "boxes of classes that taxonomy 'garments' lacks: 'belt'"
    file, notes = read(content, allow_unknown=True)
    assert notes == [f'left out 1 {note}'] and file.category_ids == [10, 11, 12, 13, 14]
    assert read(content, allow_unknown=True, on_unknown='ignored')[1] == [f'ignored 1 {note}']


def test_a_second_category_of_a_class(content, read):
    content['categories'].insert(0, {'id': 2, 'name': 'Shirt'})
    file, notes = read(content)
    assert file.category_ids[0] == 10
    assert notes == [
        "left out category 'Shirt' (id 2): it has no boxes, and another category is the same class"
    ]
    content['annotations'][1]['category_id'] = 2
    with pytest.raises(TaxonomyError, match="'Shirt' and 'shirt' are both class 'shirt'"):
        read(content)


def test_categories_that_are_groups(content, read):
    content['categories'] += [{'id': 30, 'name': 'Top'}, {'id': 31, 'name': 'bottom'}]
    content['annotations'][5]['category_id'] = 30
    with pytest.raises(TaxonomyError, match="not in taxonomy .*'Top'"):
        read(content)
    file, notes = read(content, coarse=True)
    # Labels: five classes, background, top, bottom, object; a group without boxes has no id.
    assert file.category_ids == [10, 11, 12, 13, 14, -6, 30, -8, -9] and notes == []


NAN = math.nan


@pytest.mark.parametrize(
    ('key', 'row', 'entry', 'message'),
    [
        ('annotations', 0, {'image_id': 8}, 'annotations[0]: no image has id 8'),
        ('annotations', 1, {'image_id': 7.0}, 'annotations[1]: no image has id 7.0'),
        ('annotations', 2, {'category_id': 'x'}, "annotations[2]: no category has id 'x'"),
        (
            'annotations',
            0,
            {'image_id': None},
            "annotations[0] has no 'image_id'; add it or remove",
        ),
        ('annotations', 0, {'bbox': [1, 2, 3]}, 'annotations[0]: bbox [1, 2, 3] is not [x, y, wid'),
        ('annotations', 0, {'bbox': [1, 2, 3, '4']}, "annotations[0]: bbox [1, 2, 3, '4'] is not"),
        ('annotations', 0, {'bbox': (1,)}, 'annotations[0]: bbox [1] is not'),
        ('annotations', 0, {'bbox': [1, 2, 3, 1e30]}, 'annotations[0]: bbox [1, 2, 3, 1e+30] is n'),
        ('annotations', 0, {'iscrowd': 2}, 'annotations[0]: iscrowd 2 is not 0 or 1'),
        ('annotations', 1, {'id': 3}, 'annotation id 3 is used twice; make ids unique'),
        ('images', 0, {'id': 1.5}, 'images[0]: id 1.5 is not an integer'),
        ('images', 0, {'id': True}, 'images[0]: id True is not an integer'),
        ('images', 1, {'id': 7}, 'images[1]: id 7 is used twice; make ids unique'),
        ('images', 0, {'file_name': 5}, 'images[0]: file_name 5 is not text'),
        ('images', 0, {'file_name': '../a'}, "images[0]: file_name '../a' leaves the image folder"),
        ('images', 0, {'width': 0}, 'images[0]: width 0 is not a size in pixels'),
        ('images', 0, {'height': '9'}, "images[0]: height '9' is not a size in pixels"),
        ('images', 0, {'height': None}, "images[0] has no 'height'; add it or remove the entry"),
        ('categories', 0, {'id': '1'}, "categories[0]: id '1' is not an integer"),
        ('categories', 1, {'id': 10}, 'categories[1]: id 10 is used twice'),
        ('categories', 1, {'name': ['a']}, "categories[1]: name ['a'] is not text"),
        ('categories', 1, {'name': None}, "categories[1] has no 'name'"),
    ],
)
def test_what_is_refused(content, read, key, row, entry, message):
    broken = copy.deepcopy(content)
    broken[key][row] |= entry
    with pytest.raises(AnnotationError) as caught:
        read(broken)
    assert message in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('key', ['images', 'categories'])
def test_lists_that_are_missing(content, read, key):
    with pytest.raises(AnnotationError, match=f"no list '{key}'; is it a COCO file"):
        read({**content, key: {}})
    with pytest.raises(AnnotationError, match=rf"{key}\[0\] has no 'id'"):
        read({**content, key: ['x']})


@pytest.mark.parametrize(('number', 'is_size'), [(sys.maxsize, True), (sys.maxsize + 1, False)])
def test_numbers_that_arrays_can_hold(content, read, number, is_size):
    content['images'][0]['width'] = number
    if is_size:
        assert read(content)[1] == []
    else:
        with pytest.raises(AnnotationError, match='is not a size in pixels'):
            read(content)


def test_categories_of_a_content(garments):
    content = {'categories': [{'id': 5, 'name': 'hat'}, {'id': 0, 'name': 'Hat'}]}
    names = read_categories(content, 'x')
    assert names == {5: 'hat', 0: 'Hat'}
    found = match_categories(names, {5: 0, 0: 2}, garments, 'x', allow_missing=True)
    assert found == {0: 3} and left_out_categories(names, found, garments) == ["'hat' (id 5)"]
    found = match_categories(names, {5: 0, 0: 0}, garments, 'x', allow_missing=True)
    assert [*found.values()] == [3]  # one of the two
    names[9] = 'belt'
    found = match_categories(
        names, {5: 1, 0: 0, 9: 4}, garments, 'x', allow_missing=True, allow_unknown=True
    )
    assert found == {5: 3, 9: None} and left_out_categories(names, found, garments) == [
        "'Hat' (id 0)"
    ]
