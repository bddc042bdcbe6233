"""Supercategories with boxes of their own, and the categories of several files."""

import pytest

from mmdet_multigrain.coco import hierarchy
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError

from .test_hierarchy import coco

SEA = [('fish', ''), ('cod', 'fish'), ('tuna', 'fish'), ('crab', 'shell'), ('shrimp', 'shell')]


def taxonomy(data, *coarse):
    return Taxonomy('t', **hierarchy.parse(data, coarse))


def test_parents_with_their_boxes_and_classes():
    data = coco(*SEA, ('shell', 'food'), ('bag', 'bag'), annotated=['fish', 'fish', 'cod', 'shell'])
    assert hierarchy.annotated_parents(data) == {
        'fish': (2, ['cod', 'tuna']),
        'shell': (1, ['crab', 'shrimp']),
    }
    nested = coco(('a', ''), ('b', 'a'), ('c', 'b'), ('d', 'a'), annotated=['a', 'b'])
    assert hierarchy.annotated_parents(nested) == {'a': (1, ['c', 'd']), 'b': (1, ['c'])}


def test_a_coarse_parent_is_a_group_and_no_class():
    data = coco(*SEA, annotated=['fish', 'cod', 'tuna', 'crab', 'shrimp'])
    assert taxonomy(data).classes[0] == 'fish'
    assert taxonomy(data) == taxonomy(data, 'shell')
    coarse = taxonomy(data, 'fish')
    assert coarse.classes == ('cod', 'tuna', 'crab', 'shrimp')
    assert coarse.find('fish') is None and coarse.find('fish', coarse=True) == 5
    assert coarse.labels.names[5] == 'fish'


def test_a_coarse_parent_that_names_itself():
    data = coco(('top', 'top'), ('vest', 'top'), ('coat', 'top'), ('sock', ''), annotated=['top'])
    assert taxonomy(data, 'top').classes == ('vest', 'coat', 'sock')


def test_the_root_of_all_classes_means_any_of_them():
    data = coco(*SEA[:3], annotated=['fish', 'cod'])
    coarse = taxonomy(data, 'fish')
    assert coarse.classes == ('cod', 'tuna') and coarse.is_ungrouped
    assert coarse.labels.names[coarse.find('FISH', coarse=True)] == 'object'
    again = Taxonomy.load(coarse.to_dict())
    assert again == coarse and again.find('fish', coarse=True) == coarse.find('object', coarse=True)
    # Between them, a group has its own label.
    deep = coco(
        ('animal', ''), ('fish', 'animal'), *SEA[1:4], ('shell', 'animal'), annotated=['animal']
    )
    assert taxonomy(deep, 'animal').aliases == {'object': ('animal',)}
    named = coco(('all', ''), ('object', 'all'), ('cod', 'all'), annotated=['all'])
    assert taxonomy(named, 'all').aliases == {}


def test_files_are_merged_by_name():
    one = coco(*SEA[:3], annotated=['cod'])
    two = coco(
        ('crab', 'shell'), ('fish', 'sea'), ('cod', 'none'), annotated=['crab', 'crab', 'fish']
    )
    merged = hierarchy.merge([('a.json', one), ('b.json', two)])
    assert [(entry['name'], entry['supercategory']) for entry in merged['categories']] == [
        ('fish', 'sea'), ('cod', 'fish'), ('tuna', 'fish'), ('crab', 'shell')
    ]  # fmt: skip
    assert hierarchy.annotated_parents(merged) == {'fish': (1, ['cod', 'tuna'])}
    assert taxonomy(merged, 'fish').classes == ('cod', 'tuna', 'crab')
    for data in (one, two):
        alone = hierarchy.merge([('a.json', data)])
        assert hierarchy.parse(alone) == hierarchy.parse(data)


def test_files_that_contradict_each_other():
    with pytest.raises(TaxonomyError) as caught:
        hierarchy.merge([('a.json', coco(('cod', 'fish'))), ('b.json', coco(('cod', 'food')))])
    assert str(caught.value) == (
        "b.json: category 'cod' has the supercategory 'food', but 'fish' in a.json; give it the same"
    )
