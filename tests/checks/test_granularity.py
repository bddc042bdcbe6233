"""Boxes of superclasses, classes above others, leaves of unequal depth, files that list other classes."""

import pytest

from mmdet_multigrain.checks import classes, granularity
from mmdet_multigrain.checks.dataset import check_files
from mmdet_multigrain.taxonomy import Taxonomy

from .test_classes import codes, data

SEA = {'cod': 'fish', 'tuna': 'fish', 'crab': 'shell', 'shrimp': 'shell'}
BOXES = {'fish': 1200, 'cod': 2, 'tuna': 3, 'crab': 4, 'shrimp': 5}


ALONE = ' alone'


def sea(boxes=BOXES, split='', **groups):
    return data(boxes, split, SEA | groups)


def found(file, taxonomy=None):
    taxonomy = classes.load_taxonomy([file]) if taxonomy is None else taxonomy
    return codes(granularity.check(file, taxonomy, [file]))


def test_a_parent_with_boxes_is_named_with_both_ways_to_go():
    file = sea()
    (finding,) = granularity.check(file, classes.load_taxonomy([file]), [file, sea()])
    assert (finding.check.code, finding.check.severity) == ('parent-annotated', 'warning')
    text = "'fish' (id 1), 1,200 boxes; the superclass of 'cod', 'tuna' (5 boxes)"
    assert (finding.count, finding.examples) == (1, (text,))
    assert 'keep the class if' in finding.check.fix
    assert 'make_taxonomy.py --from coco x.json x.json --coarse' in finding.check.fix


@pytest.mark.parametrize(
    ('boxes', 'groups', 'below'),
    [
        # A self-named category, and one that only a group between connects with its classes.
        ({'bag': 3, 'purse': 1}, {'bag': 'bag', 'purse': 'bag'}, "'purse' (1 boxes)" + ALONE),
        (
            {'animal': 3, 'fish': 0, 'cod': 1, 'crab': 1},
            {'cod': 'fish', 'fish': 'animal'},
            "'fish', 'cod' (1 boxes)",
        ),
        (
            {'Fish': 3, 'cod': 1},
            {'cod': 'fish'},
            "'cod' (1 boxes)" + ALONE,
        ),  # no taxonomy, as in training
    ],
)
def test_parents_of_any_kind(boxes, groups, below):
    file = data(boxes, groups=groups)
    (example,) = found(file)['parent-annotated']
    assert example.endswith(f'the superclass of {below}')
    assert found(file, 'no taxonomy') == found(file)


def test_a_parent_of_one_class_has_no_label_to_go_to():
    file = data({'bag': 3, 'purse': 1}, groups={'purse': 'bag'})
    (finding,) = granularity.check(file, 'no taxonomy', [file])
    assert 'give the finer class' in finding.check.fix and '--coarse' not in finding.check.fix


def test_what_is_no_parent():
    assert found(sea({**BOXES, 'fish': 0})) == {}
    assert found(sea({'cod': 1, 'Cod': 1}, Cod='cod'), 'no taxonomy') == {}
    # A root without boxes that has the name of a class, as Roboflow writes.
    export = data({'top': 3, 'vest': 1}, groups={'top': 'top', 'vest': 'top'})
    export.categories.append({'id': 3, 'name': 'top', 'supercategory': 'none'})
    assert found(export, 'no taxonomy') == {}


def test_the_taxonomy_makes_parents_too():
    flat = data(BOXES)
    taxonomy = Taxonomy.load({'fish': ['fish', 'cod', 'tuna'], 'shell': ['crab', 'shrimp']})
    assert list(found(flat, taxonomy)) == ['parent-annotated']


COARSE = Taxonomy.load({'fish': ['cod', 'tuna'], 'shell': ['crab', 'shrimp']})


@pytest.mark.parametrize('split', ['', 'train', 'val'])
def test_boxes_of_a_superclass_are_noted_and_known(split):
    file = sea(split=split)
    for item in file.annotations[:200]:
        item['iscrowd'] = 1
    (finding,) = granularity.check(file, COARSE, [file])
    assert (finding.check.code, finding.check.severity) == ('superclass-only', 'note')
    assert finding.examples == ("'fish' (id 1), 1,000 boxes: a group of 2 classes at level 0",)
    assert ('evaluation' in finding.check.fix) == (split == 'val')
    assert codes(classes.check(file, COARSE)) == {}
    counts = classes.count_boxes(file, COARSE, file.is_counted)
    assert counts == {'cod': 2, 'tuna': 3, 'crab': 4, 'shrimp': 5}
    assert codes(classes.check_boxes([file], COARSE)) == {
        'boxes-not-counted': ('200 x crowd (iscrowd 1)',)
    }


def test_any_object_and_two_categories_of_one_group():
    boxes = {**BOXES, 'Fish': 1, 'object': 7}
    assert "'object' (id 7), 7 boxes: any class" in found(sea(boxes), COARSE)['superclass-only']
    assert codes(classes.check(sea(boxes), COARSE)) == {
        'categories-one-class': ("'Fish' (id 6) and 'fish' (id 1)",)
    }


def test_a_group_without_boxes_is_no_label():
    assert found(sea({**BOXES, 'fish': 0, 'object': 0}), COARSE) == {}


def test_a_name_of_several_groups_is_refused_as_in_training():
    twice = {'a': {'x': ['cod', 'tuna']}, 'x': ['crab', 'shrimp']}
    (example,) = codes(classes.check(sea({**BOXES, 'fish': 0, 'x': 2}), Taxonomy.load(twice)))[
        'class-unknown'
    ]
    assert example.startswith("'x' (id 6), 2 boxes; 'x' is the name of 2 groups")


def test_a_file_of_superclasses_only_teaches_no_class():
    file = sea(dict.fromkeys(BOXES, 0) | {'fish': 9})
    assert codes(classes.check_boxes([file], COARSE)) == {
        'class-without-boxes': ("'cod'", "'tuna'", "'crab'")
    }


def test_leaves_of_unequal_depth():
    deep = Taxonomy.load({'a': {'fish': ['cod', 'tuna'], 'shell': ['crab']}, 'b': ['shrimp']})
    assert codes(granularity.check_depths(sea(), deep)) == {
        'leaves-of-unequal-depth': ("'shrimp': 1 of 2",)
    }
    for even in (COARSE, Taxonomy('flat', SEA), 'no taxonomy'):
        assert codes(granularity.check_depths(sea(), even)) == {}


def test_files_that_list_other_classes():
    train, val = sea(split='train'), sea({'fish': 1, 'cod': 1, 'CRAB': 2, 'eel': 0}, 'val')
    train.path, val.path = 'a.json', 'b.json'
    listed = ("'tuna': not in b.json", "'shrimp': not in b.json")
    assert codes(granularity.check_lists([train, val], COARSE)) == {'class-lists-differ': listed}
    assert codes(granularity.check_lists([train, train], COARSE)) == {}
    (finding,) = granularity.check_lists([train, val], 'no taxonomy')
    assert finding.count == 3 and finding.check.severity == 'warning'


def test_several_training_files_share_their_classes():
    one = sea({'fish': 0, 'cod': 2, 'tuna': 3}, 'train')
    two = sea({'crab': 4, 'shrimp': 5, 'shell': 0}, 'train 2')
    val = sea({**BOXES, 'fish': 0, 'shrimp': 0}, 'val')
    checked = check_files([one, two, val])
    assert checked.taxonomy.name == 'supercategories of x.json and 1 more'
    assert set(checked.taxonomy.classes) == set(SEA)
    kinds = codes(f for f in checked.findings if f.check.severity != 'note')
    assert kinds['class-lists-differ'][0] == "'cod': not in x.json"
    assert kinds['class-only-in-train'] == ("'shrimp' (5 boxes)",)
    assert not {'class-not-listed', 'class-unknown', 'class-without-boxes'} & {*kinds}


def test_depths_and_groups_of_each_tree(two_trees):
    file = data({**dict.fromkeys(two_trees.classes, 1), 'winter': 3})
    expected = ("'hat': 1 of 2 (kind)", "'hat': 0 of 1 (season)")
    assert codes(granularity.check_depths(file, two_trees)) == {'leaves-of-unequal-depth': expected}
    place = "'winter' (id 6), 3 boxes: a group of 2 classes at level 2 (season)"
    assert found(file, two_trees) == {'superclass-only': (place,)}
    # A class that has the name of a group of any tree is named.
    season = {**two_trees.forest, 'season': [('vest',), ('vest',), (), (), ()]}
    named = Taxonomy('named', two_trees.classes, season)
    file = data(dict.fromkeys(two_trees.classes, 1))
    assert 'parent-annotated' in found(file, named) and 'parent-annotated' not in found(
        file, two_trees
    )


def test_many_classes_are_not_compared_with_each_other(monkeypatch):
    calls = []
    normalize = granularity.normalize
    monkeypatch.setattr(
        granularity, 'normalize', lambda name: calls.append(name) or normalize(name)
    )
    for number in (40, 80):
        names = {f'class {n}': 1 for n in range(number)}
        found(data(names, groups={name: f'group {n // 4}' for n, name in enumerate(names)}))
    assert len(calls) == 3 * (40 + 80)  # its name twice, and that of its group
