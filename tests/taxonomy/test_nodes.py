"""The nodes above each class, by answer level."""

from __future__ import annotations

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes


def test_from_class_to_object():
    taxonomy = Taxonomy(
        'pets', ['cod', 'tuna', 'cat', 'hat'], paths=[['animal', 'fish']] * 2 + [['animal'], []]
    )
    nodes = Nodes.of(taxonomy)
    assert [[nodes.name(label, level) for level in range(4)] for label in range(4)] == [
        ['cod', 'fish', 'animal', 'object'],
        ['tuna', 'fish', 'animal', 'object'],
        ['cat', 'cat', 'animal', 'object'],
        ['hat', 'hat', 'hat', 'object'],
    ]
    assert nodes.names[0] == taxonomy.classes and nodes.names[-1] == ('object',)
    sets = nodes.sets
    assert sets[1, 0] == sets[1, 1] and sets[2, 0] == sets[2, 1] == sets[2, 2]
    assert sets[0, 2] == sets[1, 2] and len({*sets[:3, 3]}) == 1  # alone in its groups
    assert [nodes.is_class(0, level) for level in range(4)] == [True, False, False, False]
    assert [nodes.is_class(2, level) for level in range(4)] == [True, True, False, False]
    assert [nodes.is_class(3, level) for level in range(4)] == [True, True, True, False]
    assert len({*sets[3]}) == 1 and len(np.unique(sets)) == 4 + 2 + 1


def test_of_groups_and_without(garments, three_levels):
    for taxonomy in (garments, three_levels, Taxonomy('flat', ['a', 'b'])):
        nodes = Nodes.of(taxonomy)
        assert len(nodes.names) == taxonomy.num_levels + 1
        for label in range(taxonomy.num_classes):
            for level in range(taxonomy.num_levels):
                group = taxonomy.superclass_of(label, taxonomy.num_levels - 1 - level)
                assert nodes.name(label, level) == group


def test_a_group_with_the_name_of_one_of_its_classes_is_not_that_class():
    nodes = Nodes.of(Taxonomy.load({'groups': {'top': ['top', 'vest'], 'head': ['hat']}}))
    assert nodes.name(0, 0) == nodes.name(0, 1) == 'top' and not nodes.is_class(0, 1)
    assert nodes.sets[0, 2] == nodes.sets[1, 2] and not nodes.is_class(2, 1)  # another name
