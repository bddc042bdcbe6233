"""Objects that are annotated twice: moved a little, in two classes, as parent and as child."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.checks import repeated
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.taxonomy import Taxonomy

CATEGORIES = [
    {'id': 1, 'name': 'vest', 'supercategory': 'top'},
    {'id': 2, 'name': 'coat', 'supercategory': 'top'},
    {'id': 3, 'name': 'top', 'supercategory': 'clothes'},
    {'id': 4, 'name': 'clothes'},
]


def found(*annotations, taxonomy='none', categories=CATEGORIES):
    """Examples by code; an annotation is a box and perhaps other fields."""
    data = CocoData(
        {
            'images': [
                {'id': n, 'file_name': f'{n}.jpg', 'width': 500, 'height': 400} for n in (1, 2)
            ],
            'annotations': [
                {'id': n, 'image_id': 1, 'category_id': 1, 'bbox': box, **dict(*fields)}
                for n, (box, *fields) in enumerate(annotations, start=1)
            ],
            'categories': categories,
        },
        path=Path('x.json'),
        max_examples=99,
    )
    return {finding.check.code: finding.examples for finding in repeated.check(data, taxonomy)}


def numbers(examples):
    """Pairs of annotation ids: the box and the first one at its place."""
    return [(int(one.split()[1]), int(one.split(', and ')[1].split(':')[0])) for one in examples]


BOX = [100, 100, 60, 40]


@pytest.mark.parametrize(
    ('other', 'of_one_class', 'of_two'),
    [
        ([100, 100, 60, 40], False, True),  # equal: `bbox-duplicate`
        ([100.5, 100.5, 60, 40], True, True),
        ([99.5, 99.5, 61, 41], True, True),
        ([101, 101, 60, 40], True, True),
        ([102, 101, 59, 40], True, True),
        ([104, 100, 59, 40], True, False),
        ([110, 108, 60, 40], False, False),
        ([100, 100, 40, 60], False, False),
        ([105, 105, 50, 30], False, False),
    ],
)
def test_boxes_at_one_place(other, of_one_class, of_two):
    for boxes in ([BOX], [other]), ([other], [BOX]):
        assert bool(found(*boxes)) == of_one_class
        (first, second) = boxes
        codes = list(found(first, [*second, {'category_id': 2}]))
        assert codes == (['object-in-two-classes'] if of_two else [])


def test_boxes_that_begin_left_of_the_image():
    assert found([[-60, 100, 70, 40]], [[-55, 100, 70, 40]]).keys() == {'object-twice'}


def test_small_boxes():
    assert found([[10, 10, 8, 8]], [[10.5, 10.5, 8, 8]])
    assert found([[10, 10, 25, 30]], [[12, 12, 25, 30]])
    assert not found([[10, 10, 6, 6]], [[11, 11, 6, 6]])  # two of a swarm


def test_the_second_is_named_with_the_first():
    [example] = found([BOX], [[101, 100, 60, 40]])['object-twice']
    assert example == "annotation 2 ('1.jpg'): [101, 100, 60, 40], and 1: [100, 100, 60, 40]"
    [example] = found([BOX], [BOX, {'category_id': 2}])['object-in-two-classes']
    assert example.endswith("40] of 'coat', and 1: [100, 100, 60, 40] of 'vest'")
    three = found([BOX], [[100.5, 100, 60, 40]], [[101, 100, 60, 40]])['object-twice']
    assert numbers(three) == [(2, 1), (3, 1)]


@pytest.mark.parametrize(
    ('one', 'other', 'code'),
    [
        (1, 3, 'object-as-parent-and-child'),
        (3, 1, 'object-as-parent-and-child'),
        (2, 4, 'object-as-parent-and-child'),  # two levels apart
        (1, 2, 'object-in-two-classes'),
    ],
)
def test_parents_and_children(one, other, code):
    boxes = [BOX, {'category_id': one}], [BOX, {'category_id': other}]
    assert list(found(*boxes)) == [code]


def test_the_taxonomy_tells_parents_too():
    categories = [{'id': n, 'name': name} for n, name in enumerate(('vest', 'top'), start=1)]
    boxes = [BOX], [BOX, {'category_id': 2}]
    assert list(found(*boxes, categories=categories)) == ['object-in-two-classes']
    taxonomy = Taxonomy('t', ['vest', 'coat', 'top', 'hat'], [['top']] * 3 + [[]])
    of_file = found(*boxes, categories=categories, taxonomy=taxonomy)
    assert list(of_file) == ['object-as-parent-and-child']
    aliases = Taxonomy('t', ['vest', 'coat'], aliases={'vest': ['top']})
    assert list(found(*boxes, categories=categories, taxonomy=aliases)) == ['object-twice']


def test_what_is_not_an_object_twice():
    circle = [{'id': n, 'name': f'{n}', 'supercategory': f'{3 - n}'} for n in (1, 2)]
    assert found([BOX], [BOX, {'category_id': 2}], categories=circle)
    near = [101, 100, 60, 40]
    for fields in ({'iscrowd': 1}, {'image_id': 2}, {'image_id': 9}, {'category_id': 9}):
        assert not found([BOX], [near, fields])
    assert not found([BOX], [None], [[1, 2, 0, 4]])


coordinates = st.integers(0, 6).map(lambda value: value / 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*([coordinates] * 4), st.integers(1, 2), st.integers(1, 2)),
        max_size=9,
    )
)
def test_pairs_are_those_of_a_slow_reference(many):
    boxes = [[x, y, 10 + w, 9 + h] for x, y, w, h, *_ in many]
    expected = {}
    for row, (box, item) in enumerate(zip(boxes, many, strict=True)):
        for first in range(row):
            if item[5] != many[first][5]:
                continue
            (x, y, w, h), (u, v, s, t) = box, boxes[first]
            both = max(0, min(x + w, u + s) - max(x, u)) * max(0, min(y + h, v + t) - max(y, v))
            iou = both / (w * h + s * t - both)
            gap = max(abs(x - u), abs(y - v), abs(x + w - u - s), abs(y + h - v - t))
            same = item[4] == many[first][4]
            least, near = (0.85, 0.7) if same else (0.95, 0.8)
            if (gap or not same) and (iou >= least or gap <= 2 and iou >= near):
                code = 'object-twice' if same else 'object-in-two-classes'
                expected.setdefault(code, {}).setdefault(row + 1, first + 1)
    result = found(
        *(
            [box, {'category_id': item[4], 'image_id': item[5]}]
            for box, item in zip(boxes, many, strict=True)
        )
    )
    assert {code: dict(numbers(examples)) for code, examples in result.items()} == expected
