"""Ids: each fault is found once, with the entries that have it."""

import math
from pathlib import Path

import pytest

from mmdet_multigrain.checks import ids
from mmdet_multigrain.checks.data import CocoData


def found(images=(1,), annotations=((1, 1, 1),), categories=(1,)):
    """Findings for images and categories by id, annotations by id, image_id and category_id."""
    data = CocoData(
        {
            'images': [{'id': n, 'file_name': f'{n}.jpg'} for n in images],
            'annotations': [
                {'id': n, 'image_id': image, 'category_id': category}
                for n, image, category in annotations
            ],
            'categories': [{'id': n, 'name': f'class {n}'} for n in categories],
        },
        path=Path('x.json'),
    )
    return {
        finding.check.code: (finding.count, finding.examples) for finding in ids.CHECKS.run(data)
    }


def test_nothing_to_find():
    assert found((0, 7), [(1, 0, 0), (5, 7, 3)], (0, 3)) == {}  # 0 is a number like others here


def test_annotation_0_is_never_matched():
    assert found(annotations=[(0, 1, 1), (-3, 1, 1), (1, 1, 1)]) == {
        'annotation-id-below-1': (2, ("annotation 0 ('1.jpg')", "annotation -3 ('1.jpg')"))
    }


@pytest.mark.parametrize('value', ['1', 1.5, 2.0, True, [1], {}, 2**63, -(2**63)])
def test_ids_that_are_no_whole_numbers(value):
    assert found(annotations=[(value, 1, 1)])['annotation-id-not-integer'][0] == 1
    assert found(categories=[1, value])['category-id-not-integer'][0] == 1
    code = 'image-id-text' if isinstance(value, str) else 'image-id-not-integer'
    assert found([1, value])[code][0] == 1


def test_missing_ids():
    assert {
        code: count
        for code, (count, _) in found([1, None], [(None, 1, 1), (1, 1, 1)], [None, 1]).items()
    } == {'image-id-missing': 1, 'annotation-id-missing': 1, 'category-id-missing': 1}


def test_ids_used_twice():
    assert found(annotations=[(4, 1, 1), (4, 1, 1), (2, 1, 1), (4, 1, 1)]) == {
        'annotation-id-twice': (2, ("annotation 4 ('1.jpg')",) * 2)
    }
    assert found([1, 2, 1]) == {'image-listed-twice': (1, ("image 1 ('1.jpg')",))}
    assert found(categories=[2, 1, 2]) == {'category-listed-twice': (1, ("'class 2' (id 2)",))}


def test_one_id_of_several_files_or_names():
    data = CocoData(
        {
            'images': [{'id': 1, 'file_name': name} for name in ('a', 'b', 'a', 'c')],
            'annotations': [],
            'categories': [{'id': 1, 'name': name} for name in ('x', 'y')],
        },
        path=Path('x.json'),
    )
    assert {finding.check.code: finding.examples for finding in ids.CHECKS.run(data)} == {
        'image-listed-twice': ("image 1 ('a')",),
        'image-id-shared': ("image 1 ('b')", "image 1 ('c')"),
        'category-id-shared': ("'y' (id 1)",),
    }


def test_references_that_lead_nowhere():
    lost = found(
        annotations=[
            (1, 2, 1),
            (2, None, 1),
            (3, 1, 9),
            (4, 1, [1]),
            (5, math.nan, 1),
            (6, True, 1),
            (7, '1', 1),
        ]
    )
    assert lost['annotation-without-image'] == (
        5,
        (
            'annotation 1 (image_id 2)',
            'annotation 2 (image_id None)',
            'annotation 5 (image_id nan)',
        ),
    )
    assert lost['annotation-without-category'] == (
        2,
        ("annotation 3 ('1.jpg'): category_id 9", "annotation 4 ('1.jpg'): category_id [1]"),
    )


def test_references_as_fractions_are_understood():
    assert found(annotations=[(1, 1.0, 1), (2, 1, 1.0), (3, 1, 1)]) == {
        'reference-not-integer': (2, ("annotation 1 ('1.jpg')", "annotation 2 ('1.jpg')"))
    }
