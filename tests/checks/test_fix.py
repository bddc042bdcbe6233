"""Repair: what becomes of each kind of fault, and that a repaired copy is without them."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from mmdet_multigrain.checks import structure
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.fix import repair
from mmdet_multigrain.checks.photos import Photo
from mmdet_multigrain.utils.errors import CheckError

from .small_files import CATEGORIES, box, data, image

RUNS = [10 * 80 + 20, *([40, 40] * 30)[:-1], 60 * 80 + 20]  # COCO's, of [10, 20, 30, 40]


def fixed_copy(*arguments, **fields):
    """The repaired content, and how often what was done."""
    fixed, done = repair(data(*arguments, **fields)), Counter()
    for (what, _), count in fixed.done.items():
        done[what] += count
    return json.loads(fixed.encoded()), done


def test_a_sound_file_stays_as_it_is():
    content, done = fixed_copy([box(7), box(3, 50, score=0.5)])
    assert content == data([box(7), box(3, 50, score=0.5)]).content and done == {}


def test_ids_are_given_where_there_is_no_usable_one():
    content, done = fixed_copy(
        [
            box(3),
            box(0, 11),
            box(None, 12),
            box(3, 13),
            box('1', 14),
            box(1, 15),
            box(2.0, 16),
            box(-5, 17),
            box(10**30, 18),
        ]
    )
    assert [item['id'] for item in content['annotations']] == [3, 2, 4, 5, 6, 1, 7, 8, 9]
    assert done == {'numbered': 7}


def test_new_image_ids_take_their_boxes_along():
    content, _ = fixed_copy(
        [box(1, image_id='a'), box(2, image_id=1), box(3, image_id=1.0, x=0)],
        [image(1), image('a'), image(None)],
    )
    assert [entry['id'] for entry in content['images']] == [1, 2, 3]
    assert [item['image_id'] for item in content['annotations']] == [2, 1, 1]
    assert all(type(item['image_id']) is int for item in content['annotations'])


def test_a_new_id_is_not_one_that_a_lost_box_names():
    content, done = fixed_copy(
        [box(1, image_id=2), box(2, image_id=1)], [image(1), image(None, file_name='b.jpg')]
    )
    assert [(item['id'], item['image_id']) for item in content['annotations']] == [(2, 1)]
    assert content['images'][1]['id'] == 2
    assert done == {'removed': 1, 'numbered': 1}


def test_entries_listed_twice_go():
    content, done = fixed_copy([box()], [image(), image()], [*CATEGORIES, CATEGORIES[0]])
    assert (content['images'], content['categories']) == ([image()], CATEGORIES)


def test_ids_of_two_files_or_names_stay():
    images = [image(), image(file_name='b.jpg')]
    categories = [*CATEGORIES, {'id': 1, 'name': 'coat'}]
    content, done = fixed_copy([box()], images, categories)
    assert (content['images'], content['categories'], done) == (images, categories, {})


def test_boxes_are_clipped_and_their_area_follows():
    content, done = fixed_copy(
        [
            box(1, -5, 70, 20, 30),
            box(2, 90, 0, 20.5, 10),
            box(3, -5, 0, 10, 10, area=30, segmentation=[[0, 0, 5, 0, 5, 6]]),
        ]
    )
    assert [(item['bbox'], item['area']) for item in content['annotations']] == [
        ([0, 70, 15, 10], 150),
        ([90, 0, 10, 10], 100),
        ([0, 0, 5, 10], 30),
    ]
    assert done == {'clipped': 3}
    assert all(type(v) is int for v in content['annotations'][0]['bbox'])


def test_an_endless_area_is_corrected():
    content, done = fixed_copy([box(1, -5, 0, 20, 30, area=10**400)])
    assert content['annotations'][0]['area'] == 15 * 30
    assert done == {'clipped': 1, 'corrected': 1}


def test_rounding_is_no_reason_to_clip():
    assert fixed_copy([box(1, 66.67, 0, 33.34, 80)])[1] == {}


@pytest.mark.parametrize(
    'bbox',
    [
        None,
        [],
        [1, 2, 3],
        [1, 2, 3, '4 px'],
        [1, 2, 3, True],
        'box',
        [1, 2, math.nan, 4],
        [1, 2, math.inf, 4],
        [1, 2, 10**400, 4],
        [1, 2, 0, 4],
        [100, 0, 5, 5],
        [-9, 0, 9, 5],
        {'x': 1},
    ],
)
def test_boxes_that_are_none_go(bbox):
    content, done = fixed_copy([box(1), box(2, bbox=bbox)])
    assert content['annotations'] == [box(1)] and done == {'removed': 1}


def test_boxes_without_an_image_or_a_category_go():
    for fields in (
        {'image_id': 9},
        {'image_id': None},
        {'category_id': 9},
        {'image_id': [1]},
        {'category_id': True},
        {'image_id': 9, 'category_id': 9},
    ):
        content, done = fixed_copy([box(1), box(2, **fields)])
        assert content['annotations'] == [box(1)] and done == {'removed': 1}


def test_equal_boxes_go_but_not_those_of_another_class_or_image():
    content, _ = fixed_copy(
        [box(1), box(2, category_id=2), box(3), box(4, image_id=2), box(5, 10.0)],
        [image(1), image(2)],
    )
    assert [item['id'] for item in content['annotations']] == [1, 2, 4]


def test_boxes_that_clipping_makes_equal_go():
    content, _ = fixed_copy([box(1, 90, 0, 20, 9), box(2, 90, 0, 30, 9)])
    assert [item['id'] for item in content['annotations']] == [1]


def test_fields_are_filled_in():
    item = box()
    del item['area'], item['iscrowd']
    content, done = fixed_copy([item, box(2, 0, area=0), box(3, 1, area=math.nan, iscrowd=None)])
    assert [(item['area'], item['iscrowd']) for item in content['annotations']] == [(1200, 0)] * 3
    assert done == {'filled in': 2 + 2, 'corrected': 1}


def test_sizes_come_from_photos():
    photos = {'1.jpg': Photo('1.jpg', (60, 50)), '2.jpg': Photo('2.jpg', (100, 80))}
    content, _ = fixed_copy(
        [box(1, 40)], [image(1, width=100, height=None), image(2, width=104)], photos=photos
    )
    assert [(entry['width'], entry['height']) for entry in content['images']] == [
        (60, 50),
        (100, 80),
    ]
    assert content['annotations'][0]['bbox'] == [40, 20, 20, 30]  # in the photo


def test_images_without_a_photo_go_with_their_boxes():
    photos = {
        '1.jpg': Photo('1.jpg', (100, 80)),
        '2.jpg': Photo('2.jpg'),
        '3.jpg': Photo('3.jpg', problem='an empty file'),
    }
    content, done = fixed_copy(
        [box(n, image_id=n) for n in (1, 2, 3, 4)],
        [image(1), image(2), image(3), image(4, file_name='')],
        photos=photos,
    )
    assert (content['images'], content['annotations']) == ([image()], [box()])
    assert done == {'removed': 3 + 3}


@pytest.mark.parametrize('size', [(50, 40), (200, 160), (70, 80)])
def test_boxes_drawn_for_another_photo_are_not_touched(size):
    """Resized, or a box that fits the stated size and leaves the photo."""
    annotations = [box(1, 50, 0, 50, 80)]
    content, done = fixed_copy(annotations, photos={'1.jpg': Photo('1.jpg', size)})
    assert (content['annotations'], content['images'], done) == (annotations, [image()], {})


def test_turned_photos_are_not_touched():
    annotations = [box(1, 50, 0, 50, 80)]
    content, done = fixed_copy(
        annotations, photos={'1.jpg': Photo('1.jpg', (80, 100), orientation=6)}
    )
    assert (content['annotations'], content['images'], done) == (annotations, [image()], {})


POLYGON = [[10, 20, 40, 20, 40, 60, 10, 60]]


@pytest.mark.parametrize(
    'fields',
    [
        {'bbox': None, 'segmentation': POLYGON},
        {'bbox': [], 'segmentation': [[str(value) for value in POLYGON[0]]]},
        {'bbox': [1, 2, 3], 'segmentation': [*POLYGON, [12, 22, 14, 22, 14, 24]]},
        {'bbox': [0, 0, 0, 0], 'segmentation': POLYGON},
        {'bbox': [1, 2, 3, 4, 5], 'segmentation': POLYGON},
        {'bbox': None, 'segmentation': {'size': [80, 100], 'counts': RUNS}},
        {'bbox': ['10', '20', '30', '40'], 'area': '1200'},
        {'bbox': '[10, 20, 30, 40]'},
        {'bbox': '10 20.0 3e1 40'},
        {'bbox': [[10, 20, 30, 40]]},
        {'bbox': {'x': 10, 'y': 20, 'width': 30, 'height': 40}},
        {'bbox': {'xmin': '10', 'ymin': '20', 'xmax': '40', 'ymax': '60'}},
        {'bbox': [40, 60, -30, -40], 'area': 1200},
        {'bbox': [10, 20, 40, 60]},  # corners, by the area
        {'bbox': [10, 20, 40, 60], 'segmentation': POLYGON, 'area': 700},
    ],
)
def test_boxes_that_are_told_otherwise_are_recovered(fields):
    content, done = fixed_copy([box(1, **fields), box(2, 50)])
    assert [item['bbox'] for item in content['annotations']] == [[10, 20, 30, 40], [50, 20, 30, 40]]
    assert content['annotations'][0]['area'] == fields.get('area', 1200) or fields['area'] == '1200'
    assert done['recomputed'] == 1 and not done['removed'] and not done['clipped']


def test_numbers_written_as_text_are_recovered():
    content, done = fixed_copy(
        [
            box(1, image_id='1', category_id='002', iscrowd='1'),
            box(2, 0, image_id=5.0),
            box(3, 1, image_id=6),
        ],
        [image(1, width='100', height=' 80 '), image(5), image('6')],
    )
    assert [(i['id'], i['width'], i['height']) for i in content['images']] == [
        (1, 100, 80),
        (5, 100, 80),
        (2, 100, 80),
    ]
    assert [
        (item['image_id'], item['category_id'], item['iscrowd']) for item in content['annotations']
    ] == [(1, 2, 1), (5, 1, 0), (2, 1, 0)]
    assert not done['removed']


def test_a_reference_with_two_readings_is_not_guessed():
    content, done = fixed_copy([box(1, image_id='1'), box(2)], [image(1), image('01')])
    assert [item['id'] for item in content['annotations']] == [2] and done['removed'] == 1


def test_an_area_that_contradicts_its_box_stays():
    content, done = fixed_copy([box(1, area=9000), box(2, 50, area=3)])
    assert [item['area'] for item in content['annotations']] == [9000, 3] and done == {}


def test_photos_get_the_names_of_their_files():
    photo = Photo('p/Ä.png', (100, 80))
    photos = {'a%CC%88.PNG': Photo('p/Ä.png', (100, 80), named='Ä.png'), 'Ä.png': photo}
    content, done = fixed_copy([box()], [image(file_name='a%CC%88.PNG')], photos=photos)
    assert (content['images'], content['annotations']) == ([image(file_name='Ä.png')], [box()])
    assert done == {'renamed': 1}


@pytest.mark.parametrize(
    'boxes, images, photos, what',
    [
        ([box(1, bbox=[1, 2, 3, 4, 5])], None, None, '1 boxes of other than four numbers'),
        ([box(1, 60, 20, 90, 50)], None, None, r"look like corners.*'1.jpg'"),
        ([box(1, 0.2, 0.2, 0.5, 0.25), box(2, image_id=2)], [image(), image(2)], None, 'fractions'),
        ([box(1, 20, 50, 9, 45)], None, None, r"width and height swapped.*'1.jpg'"),
        (
            [box()],
            None,
            {'1.jpg': Photo('1.jpg', candidates=('1.JPG', '1.Jpg'))},
            "'1.JPG', '1.Jpg'",
        ),
    ],
)
def test_what_has_two_readings_is_refused(boxes, images, photos, what):
    with pytest.raises(CheckError, match=f'not repaired, because it has .*{what}'):
        fixed_copy(boxes, images, photos=photos)


def test_what_reading_the_file_changed_is_counted_too():
    content = data([box()]).content
    recovered = {'names that are numbers': 3}
    fixed = repair(CocoData(content, path=Path('x'), not_strict='NaN', recovered=recovered))
    assert fixed.done == {
        ('replaced', structure.not_strict.title): 1,
        ('rewritten', 'names that are numbers'): 3,
    }


def test_it_is_said_how_many_boxes_are_gone():
    fixed = repair(data([box(1), box(2), box(3, 200), box(4, bbox='5 5 9 9')]))
    assert fixed.changes() == 'of 4 boxes, 2 removed and 1 recomputed'
    assert repair(data([box()])).changes() == ''


def test_another_layout_is_refused():
    corners = [box(n, 60, 50 - n, 90, 80) for n in range(1, 6)]
    with pytest.raises(CheckError, match='look like corners'):
        fixed_copy(corners)
    with pytest.raises(CheckError, match='fractions of the image'):
        fixed_copy([box(1, 0.25, 0.5, 0.25, 0.5)])


def test_nothing_left_is_refused():
    with pytest.raises(CheckError, match='no image with a box would be left'):
        fixed_copy([box(1, 200)])


def test_nan_elsewhere_becomes_null():
    content, _ = fixed_copy([box(1, score=math.nan, note='\ud800', deep=[[10**25]])])
    assert content['annotations'] == [box(1, score=None, note='?', deep=[[1e25]])]


def test_a_second_repair_writes_numbers_alike():
    """orjson writes 1e-7, the standard library 1e-07; neither writes all numbers."""
    first = repair(data([box(1, score=1e-7, note=10**30)])).encoded()
    again = repair(CocoData(json.loads(first), path=Path('x.json'))).encoded()
    assert again == first and b'1e-7' in first


@pytest.mark.parametrize('depth', [300, 330, 900])
def test_deeply_nested_fields_are_written_or_refused_in_one_line(depth):
    field = 1
    for _ in range(depth):
        field = [field]
    if depth == 300:  # orjson reads it, but writes less
        assert fixed_copy([box(0, deep=field)])[0]['annotations'][0]['deep'] == field
    else:
        with pytest.raises(CheckError, match='nested too deeply'):
            fixed_copy([box(0, deep=field)])
