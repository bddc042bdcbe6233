"""Boxes: hand-made cases for each finding, and a slow reference for many boxes."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.checks import boxes
from mmdet_multigrain.checks.data import CocoData


def data(annotations, *, width=100, height=80):
    return CocoData(
        {
            'images': [
                {'id': n, 'file_name': f'{n}.jpg', 'width': width, 'height': height} for n in (1, 2)
            ],
            'annotations': [
                {'id': n, 'image_id': 1, 'category_id': 1, 'iscrowd': 0, **annotation}
                for n, annotation in enumerate(annotations, start=1)
            ],
            'categories': [{'id': n, 'name': f'class {n}'} for n in (1, 2)],
        },
        path=Path('x.json'),
    )


def found(*annotations, **size):
    """Ids of the annotations by code."""
    checked = data(
        [{'area': math.prod(a['bbox'][2:]) if _has_sides(a) else 1, **a} for a in annotations],
        **size,
    )
    checked.max_examples = 100
    return {
        finding.check.code: [int(example.split()[1]) for example in finding.examples]
        for finding in boxes.CHECKS.run(checked)
    }


def _has_sides(annotation):
    try:
        return 0 < annotation['bbox'][2] * annotation['bbox'][3] < 1e9
    except (KeyError, IndexError, TypeError):
        return False


def box(*numbers, **fields):
    return {'bbox': list(numbers), **fields}


def test_nothing_to_find():
    assert found(box(0, 0, 100, 80), box(10, 10, 1, 1), box(99, 79, 1.04, 1)) == {}


@pytest.mark.parametrize(
    'code, bad',
    [
        (
            'bbox-not-four-numbers',
            [
                [],
                [1, 2, 3],
                [1, 2, 3, '4'],
                [1, 2, None, 4],
                [True, 1, 2, 3],
                None,
                'box',
                {'x': 1},
                7,
            ],
        ),
        ('bbox-unclear', [[1, 2, 3, 4, 5], [1, 2] * 4, [1, 2, 3, 4, '5'], '1 2 3 4 5']),
        (
            'bbox-not-finite',
            [
                [math.nan, 1, 2, 3],
                [1, 2, math.inf, 4],
                [1, 2, 3, 10**400],
                [-1e10, 0, 5, 5],
                [0, 0, 1e308, 1e308],
            ],
        ),
        ('bbox-empty', [[1, 2, 0, 4], [1, 2, 3, 0], [5, 5, -3, 4], [200, 0, 0, 0]]),
        (
            'bbox-outside',
            [[100, 0, 5, 5], [0, 80, 5, 5], [-5, 0, 5, 5], [0, -9, 50, 8], [500, 1, 2, 3]],
        ),
        (
            'bbox-partly-outside',
            [[-1, 0, 5, 5], [0, 0, 100.06, 5], [99, 70, 50, 50], [-5, -5, 999, 999], [0, 75, 5, 9]],
        ),
        ('bbox-below-one-pixel', [[0, 0, 0.5, 5], [0, 0, 5, 0.99]]),
    ],
)
def test_each_kind(code, bad):
    good = box(10, 10, 20, 20)
    result = found(good, *({'bbox': value} for value in bad))
    assert result.pop(code) == list(range(2, len(bad) + 2))
    assert result == {}


def test_a_box_of_an_unknown_image_has_no_place():
    assert found({**box(500, 0, 5, 5), 'image_id': 9}) == {}
    assert found(box(500, 0, 5, 5), width=None) == {}


def test_area():
    assert found(
        box(0, 0, 10, 10, area=151),
        box(1, 0, 10, 10, area=1.9),
        box(2, 0, 10, 10, area=0),
        box(3, 0, 10, 10, area='100'),
        box(4, 0, 10, 10, area=152),
        box(5, 0, 10, 10, area=2),
        box(6, 0, 10, 10, area=1000, segmentation=[[0] * 6]),  # not a mask
        box(7, 0, 10, 10, area=-1, segmentation=[[0] * 6]),
        box(8, 0, 10, 10, area=10**400),
    ) == {'area-not-positive': [3, 4, 8, 9], 'area-contradicts-box': [2, 5, 7]}
    assert found(box(0, 0, 10, 10, area=None), box(1, 0, 10, 10, area=math.nan)) == {
        'area-missing': [1, 2]
    }


def test_areas_that_mask_or_image_contradicts():
    assert found(
        box(10, 10, 40, 40, area=8000),
        box(20, 20, 40, 40, area=100, segmentation=polygon(20, 20, 60, 60)),
        box(30, 30, 40, 40, area=1600, segmentation=polygon(30, 30, 70, 70)),
        box(40, 20, 20, 20, area=9000, segmentation=polygon(0, 0, 80, 60)),  # all three differ
        box(0, 0, 100, 80, area=8000),
    ) == {
        'area-of-another': [1, 2],
        'area-contradicts-box': [4],
        'bbox-apart-from-mask': [4],
    }


def test_iscrowd():
    assert found(
        *(
            box(n, 0, 9, 9, iscrowd=value)
            for n, value in enumerate([0, 1, None, True, 2, '1', [], math.nan])
        )
    ) == {'iscrowd-missing': [3, 8], 'iscrowd-not-0-or-1': [5, 6, 7]}


def test_duplicates_are_of_one_image_class_and_box():
    same = box(1, 2, 3, 4)
    assert found(
        same,
        {**same, 'image_id': 2},
        {**same, 'category_id': 2},
        box(1, 2, 3, 5),
        same,
        box(1.0, 2, 3, 4),
        {**same, 'image_id': 2},
        {**same, 'image_id': 9},
        {**same, 'image_id': 9},
    ) == {'bbox-duplicate': [5, 6, 7]}


CORNERS = [
    box(60, 50, 90, 70),
    box(40, 30, 80, 60),
    box(10, 40, 95, 80),
    box(5, 5, 20, 20),
    box(55, 10, 100, 75),
]


def test_corners_are_named_as_one_fault():
    assert found(*CORNERS) == {'bbox-corners': [1, 2, 3, 4, 5]}
    assert found(*CORNERS[:1]) == {'bbox-corners': [1]}
    # Of another image, too few to tell; the file as a whole tells more.
    inside = {**CORNERS[3], 'image_id': 2}
    assert found(CORNERS[0], inside) == {'bbox-corners': [1]}
    assert found(*CORNERS, inside) == {'bbox-corners': [1, 2, 3, 4, 5, 6]}


def polygon(x1, y1, x2, y2):
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


@pytest.mark.parametrize(
    'mask, is_apart',
    [
        (polygon(20, 20, 60, 60), False),
        (polygon(22, 22, 58, 58), False),
        (polygon(20, 20, 60, 48), False),  # partly hidden
        ([[40, 20, 60, 40, 40, 60, 20, 40]], False),
        (polygon(10, 10, 30, 30), True),  # of a photo half as large
        (polygon(40, 20, 80, 60), True),  # moved
        (polygon(0, 0, 100, 80), True),
        ([polygon(20, 20, 30, 30)[0], polygon(50, 50, 60, 60)[0]], False),
        ([], False),
        ([[1, 2, 3]], False),
        ({'size': [80, 100], 'counts': [0]}, False),
        ({'size': [80, 100], 'counts': [2 * 80, 80 * 2, 96 * 80]}, True),
    ],
)
def test_boxes_apart_from_their_mask(mask, is_apart):
    result = found(box(20, 20, 40, 40, segmentation=mask))
    assert result == ({'bbox-apart-from-mask': [1]} if is_apart else {})


def test_rounding_moves_small_boxes_off_their_mask():
    assert found(box(10, 10, 3, 3, segmentation=polygon(11.5, 10, 14, 12))) == {}


@pytest.mark.parametrize(
    'fields, is_rotated',
    [
        ({'attributes': {'rotation': 35.0}}, True),
        ({'attributes': {'rotation': '35'}}, True),
        ({'attributes': {'rotation': 90}}, True),
        ({'attributes': {'angle': -10}}, True),
        ({'rotation': 350}, True),
        ({'rotation': 35, 'segmentation': polygon(10, 10, 52, 60)}, True),
        ({'rotation': 35, 'segmentation': polygon(10, 10, 50, 60)}, False),  # the box around it
        ({'attributes': {'rotation': 0.0}}, False),
        ({'attributes': {'rotation': 180}}, False),
        ({'attributes': {'rotation': 360}}, False),
        ({'attributes': {'rotation': math.nan}}, False),
        ({'attributes': ['rotation', 5], 'rotation': None}, False),
        ({'attributes': {'rotation': 'left'}}, False),
    ],
)
def test_rotated_boxes(fields, is_rotated):
    result = found(box(10, 10, 38, 48, **fields))
    assert result == ({'bbox-rotated': [1]} if is_rotated else {})


def test_boxes_that_leave_the_image_are_not_always_corners():
    sloppy = [box(60, 50, 50, 40)] * 5  # as corners they would be reversed
    assert set(found(*sloppy)) == {'bbox-partly-outside', 'bbox-duplicate'}
    from_1 = [box(1, 1, 100, 80)] * 5  # whole images, counted from 1
    assert set(found(*from_1)) == {'bbox-partly-outside', 'bbox-duplicate'}


def test_fractions_of_the_image_are_named_as_one_fault():
    assert found(box(0.25, 0, 0.5, 1), box(0, 0, 1, 1)) == {'bbox-normalized': [1, 2]}
    assert found(box(0, 0, 1, 1)) == {}  # one pixel


def test_examples_name_image_and_box():
    [finding] = [f for f in boxes.CHECKS.run(data([box(90, 0, 20, 5, area=100)]))]
    assert finding.examples == ("annotation 1 ('1.jpg'): [90, 0, 20, 5] in 100 x 80",)


sides = st.one_of(st.integers(-30, 120), st.floats(-30, 120).map(lambda v: round(v, 1)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(sides, sides, sides, sides), min_size=1, max_size=12))
def test_places_are_those_of_a_slow_reference(many):
    expected = {}
    for number, (x, y, width, height) in enumerate([(0, 0, 100, 80), *many], start=1):
        if width <= 0 or height <= 0:
            code = 'bbox-empty'
        elif x >= 100 or y >= 80 or x + width <= 0 or y + height <= 0:
            code = 'bbox-outside'
        elif x < -0.05 or y < -0.05 or x + width > 100.05 or y + height > 80.05:
            code = 'bbox-partly-outside'
        else:
            continue
        expected.setdefault(code, []).append(number)
    result = found(box(0, 0, 100, 80), *(box(*numbers) for numbers in many))
    if 'bbox-corners' not in result:
        places = ('bbox-empty', 'bbox-outside', 'bbox-partly-outside')
        assert {code: result[code] for code in places if code in result} == expected
