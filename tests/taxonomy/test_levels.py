"""The groups of a level as classes."""

from __future__ import annotations

import pytest

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import at_level
from mmdet_multigrain.utils.errors import TaxonomyError

DEEP = Taxonomy.load(
    {
        'groups': {'top': {'light': ['vest', 'sling'], 'warm': ['coat']}, 'bag': ['tote']},
        'aliases': {'coat': ['jacket'], 'top': ['upper']},
    }
)


@pytest.mark.parametrize(
    ('level', 'name', 'classes', 'index'),
    [
        ('coarse', 'coarse', ('top', 'bag'), (0, 0, 0, 1)),
        ('0', 'coarse', ('top', 'bag'), (0, 0, 0, 1)),
        (1, 'level 1', ('light', 'warm', 'tote'), (0, 0, 1, 2)),
        ('2', 'level 2', ('vest', 'sling', 'coat', 'tote'), (0, 1, 2, 3)),
        ('object', 'object', ('object',), (0, 0, 0, 0)),
    ],
)
def test_levels(level, name, classes, index):
    found = at_level(DEEP, level)
    assert (found.name, found.taxonomy.classes, found.index) == (name, classes, index)
    assert found.leaves is DEEP and found.taxonomy.num_levels == 1
    for group, label in enumerate(found.labels):
        members = [number for number, own in enumerate(index) if own == group]
        assert DEEP.labels.sets[label].nonzero()[0].tolist() == members
    assert at_level(DEEP, level) == found and len({found, at_level(DEEP, level)}) == 1


def test_other_names_stay():
    assert at_level(DEEP, 0).taxonomy.find('Upper') == 0
    assert at_level(DEEP, 2).taxonomy.find('jacket') == 2


def test_a_taxonomy_without_groups_has_its_classes_and_objects():
    flat = Taxonomy('flat', ['a', 'b'])
    assert at_level(flat, 0).index == (0, 1) and at_level(flat, 'object').index == (0, 0)
    assert at_level(flat, 'object').labels == (3,)
    assert at_level(Taxonomy('one', ['a']), 'object').labels == (0,)
    with pytest.raises(TaxonomyError, match="level 'coarse' is not .*; use 0 .the classes. or obj"):
        at_level(flat, 'coarse')


@pytest.mark.parametrize('level', ['3', -1, '-1', 'fine', '', 1.0, '²'])
def test_levels_that_are_none(level):
    with pytest.raises(TaxonomyError, match=r'use coarse \(0\), a number up to 2 .* or object'):
        at_level(DEEP, level)
