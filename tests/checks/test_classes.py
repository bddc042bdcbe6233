"""Classes against the taxonomy and across both files."""

from pathlib import Path

import pytest

from mmdet_multigrain.checks import classes
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.taxonomy import Taxonomy

GARMENTS = Taxonomy.load(
    {
        'name': 'garments',
        'groups': {'top': ['vest', 'coat'], 'bottom': ['skirt', 'shorts']},
        'aliases': {'coat': ['overcoat']},
    }
)


def data(boxes, split='', groups=None):
    """A file with the number of boxes by category name."""
    return CocoData(
        {
            'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 99, 'height': 99}],
            'categories': [
                {'id': n, 'name': name, 'supercategory': (groups or {}).get(name, '')}
                for n, name in enumerate(boxes, start=1)
            ],
            'annotations': [
                {'id': 1, 'image_id': 1, 'category_id': category, 'bbox': [0, 0, 9, 9]}
                for category, count in enumerate(boxes.values(), start=1)
                for _ in range(count)
            ],
        },
        path=Path('x.json'),
        split=split,
    )


def codes(findings):
    return {finding.check.code: finding.examples for finding in findings}


@pytest.mark.parametrize(
    'names', [('vest', 'coat', 'skirt', 'shorts'), ('Shorts', 'overcoat', 'SKIRT', ' vest')]
)
def test_classes_as_the_taxonomy_has_them(names):
    assert codes(classes.check(data(dict.fromkeys(names, 1)), GARMENTS)) == {}


def test_a_category_of_a_group_stands_for_its_classes_as_in_training():
    taxonomy = Taxonomy.load({'groups': {'top': ['shirt', 'coat'], 'bottom': ['jeans', 'skirt']}})
    boxes = {'top': 1, 'jeans': 1, 'skirt': 1}
    assert codes(classes.check(data(boxes), taxonomy)) == {}
    assert codes(classes.check(data(boxes | {'shirt': 1}), taxonomy)) == {
        'class-not-listed': ("'coat'",)
    }


def test_unknown_and_missing_classes_with_what_may_be_meant():
    boxes = {'vest': 1, 'overcoat': 2, 'skrit': 1200, 'group': 0}
    assert codes(classes.check(data(boxes), GARMENTS)) == {
        'class-unknown': ("'skrit' (id 3), 1,200 boxes; did you mean 'skirt'?",),
        'class-not-listed': ("'skirt'; did you mean 'skrit'?", "'shorts'"),
    }


def test_categories_that_are_one_class():
    boxes = {'vest': 1, 'coat': 1, 'Over-Coat': 0, 'overcoat': 1, 'skirt': 1, 'shorts': 1}
    assert codes(classes.check(data(boxes), GARMENTS)) == {
        'categories-one-class': ("'overcoat' (id 4) and 'coat' (id 2)",)
    }
    assert codes(classes.check(data({'hat': 1, 'Hat': 1}), 'no taxonomy')) == {
        'categories-one-class': ("'Hat' (id 2) and 'hat' (id 1)",)
    }


@pytest.mark.parametrize('boxes', [{'vest': 0, 'Vest': 1}, {'Vest': 1, 'vest': 0}])
def test_an_unannotated_namesake_is_no_second_class(boxes):
    found = codes(classes.check(data({**boxes, 'coat': 1, 'skirt': 1, 'shorts': 1}), GARMENTS))
    assert list(found) == ['category-namesake-without-boxes']


@pytest.mark.parametrize('name', [None, '', ' ', 3, ['hat']])
def test_categories_without_a_name(name):
    named = data({'vest': 1})
    named.categories.append({'id': 2, 'name': name})
    assert set(codes(classes.check(named, 'no taxonomy'))) == {'category-name-missing'}


def test_supercategories_make_the_taxonomy():
    file = data(
        {'vest': 1, 'coat': 1, 'skirt': 1}, groups={'vest': 'top', 'coat': 'top', 'skirt': 'bottom'}
    )
    taxonomy = classes.load_taxonomy([file])
    assert taxonomy.name == 'supercategories of x.json'
    assert codes(classes.check_taxonomy(file, taxonomy)) == {'single-class-group': ("'bottom'",)}
    assert codes(classes.check(file, taxonomy)) == {}


@pytest.mark.parametrize(
    'groups',
    [
        {},
        {'vest': 'vest', 'coat': 'coat'},
        {'vest': 'Vest', 'coat': 'COAT'},
        {'vest': 'garment', 'coat': 'garment'},
        {'vest': 'top', 'coat': 'outerwear'},
    ],
)
def test_a_file_without_groups_is_named(groups):
    file = data({'vest': 1, 'coat': 1}, groups=groups)
    assert codes(classes.check_taxonomy(file, classes.load_taxonomy([file]))) == {
        'taxonomy-without-groups': ('2 classes, 0 such superclasses',)
    }


def test_classes_without_boxes():
    assert codes(classes.check_boxes([data({'vest': 1, 'coat': 0, 'hat': 0})], GARMENTS)) == {
        'class-without-boxes': ("'coat'",)
    }


def marked(boxes, split='', **fields):
    """As `data`, with these fields in all boxes of the first class."""
    file = data(boxes, split)
    for item in file.annotations:
        if item['category_id'] == 1:
            item.update(fields)
    return file


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'iscrowd': 1}, 'crowd (iscrowd 1)'),
        ({'ignore': 1}, 'annotation marked "ignore"'),
        ({'ignore': 'True'}, 'annotation marked "ignore"'),
        ({'bbox': [3, 3, 9, 0.5]}, 'box narrower or lower than a pixel'),
        ({'bbox': [99, 3, 9, 9]}, 'box outside its image'),
    ],
)
def test_a_class_of_which_no_box_counts(fields, reason):
    found = {f.check.code: f for f in classes.check_boxes([marked({'vest': 2}, **fields)], '')}
    assert list(found) == ['no-box-counts']
    assert found['no-box-counts'].examples == (f'2 boxes: 2 x {reason}',)
    assert found['no-box-counts'].check.severity == 'error'
    file = marked({'vest': 2, 'coat': 3}, **fields)
    found = {f.check.code: f for f in classes.check_boxes([file], GARMENTS)}
    assert found['class-without-boxes'].examples == ("'vest' (2 boxes, but none counts)",)
    assert found['class-without-boxes'].check.severity == 'error'
    assert (found['boxes-not-counted'].count, found['boxes-not-counted'].examples) == (
        2,
        (f'2 x {reason}',),
    )
    assert found['boxes-not-counted'].check.severity == 'note'
    mostly = marked({'vest': 4, 'coat': 3}, **fields)
    found = {f.check.code: f for f in classes.check_boxes([mostly], GARMENTS)}
    assert found['boxes-not-counted'].check.severity == 'warning'


@pytest.mark.parametrize('value', ['0', 'false', 'No', '', 0, None])
def test_ignore_that_is_not_set(value):
    assert codes(classes.check_boxes([marked({'vest': 2}, ignore=value)], GARMENTS)) == {}


def test_small_images_do_not_train_but_are_evaluated_on():
    files = [data({'vest': 2}, split) for split in ('train', 'val')]
    for file in files:
        file.images[0]['width'] = 31
    found = list(classes.check_boxes(files, GARMENTS))
    assert [(f.split, f.examples) for f in found] == [
        ('train', ('2 boxes: 2 x box in an image below 32 pixels',))
    ]


def test_classes_in_one_file_only():
    train = data({'vest': 5, 'coat': 0, 'skirt': 0, 'shorts': 2}, 'train')
    val = data({'shorts': 0, 'overcoat': 3, 'skirt': 0, 'vest': 1}, 'val')
    assert codes(classes.check_boxes([train, val], GARMENTS)) == {
        'class-without-boxes': ("'skirt'",),
        'class-only-in-val': ("'coat' (3 boxes)",),
        'class-only-in-train': ("'shorts' (2 boxes)",),
    }
    assert codes(classes.check_boxes([val, val], GARMENTS))['class-without-boxes'] == (
        "'shorts'",
        "'skirt'",
    )


def test_extreme_ratios_are_noted():
    assert codes(classes.check_boxes([data({'vest': 198, 'coat': 2, 'skirt': 3})], GARMENTS)) == {}
    assert codes(classes.check_boxes([data({'vest': 200, 'coat': 2, 'skirt': 3})], GARMENTS)) == {
        'class-imbalance': ("200 boxes of 'vest' and 2 boxes of 'coat'",)
    }


def test_supercategories_that_are_read_as_no_group():
    groups = {'vest': 'top', 'coat': 'N/A', 'skirt': 'none', 'shorts': 'nan'}
    file = data(dict.fromkeys(groups, 1), groups=groups)
    (finding,) = [
        finding
        for finding in classes.check_taxonomy(file, GARMENTS)
        if finding.check is classes.SAYS_NONE
    ]
    assert finding.count == 2 and finding.examples[0].endswith("'N/A'")


def test_groups_of_one_class_in_each_tree(two_trees):
    file = data(dict.fromkeys(two_trees.classes, 1))
    examples = ("'head' (kind)", "'hat' (season)")
    assert codes(classes.check_taxonomy(file, two_trees)) == {'single-class-group': examples}
