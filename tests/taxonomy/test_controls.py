"""Other groups of the same classes."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.taxonomy.controls import CONTROLS, controls, one_group, random_groups

TREE = Taxonomy.load(
    {
        'name': 'tree',
        'groups': {
            'wear': {'top': ['shirt', 'vest'], 'low': ['skirt']},
            'foot': {'shoe': ['boot']},
        },
        'ungrouped': ['hat'],
        'aliases': {'vest': ['gilet'], 'top': ['upper'], 'object': ['thing']},
    }
)


def sizes(taxonomy, level):
    return sorted(Counter(taxonomy.group_index(level)).values())


@pytest.mark.parametrize('name', CONTROLS)
def test_the_same_classes_on_the_same_number_of_levels(name):
    control = controls(TREE)[name]
    assert (control.classes, control.num_levels) == (TREE.classes, TREE.num_levels)
    assert control.find('gilet') == TREE.find('gilet') and 'top' not in control.aliases
    assert control.find('thing', coarse=True) == len(control.labels) - 1  # any class, as before


@pytest.mark.parametrize('seed', range(20))
def test_random_groups_have_the_shape_of_the_tree(seed):
    control = random_groups(TREE, seed=seed)
    assert [sizes(control, level) for level in range(3)] == [
        sizes(TREE, level) for level in range(3)
    ]
    assert sorted(map(len, control.paths)) == sorted(map(len, TREE.paths))
    assert control == random_groups(TREE, seed=seed)


def test_draws_differ_and_reach_every_class():
    drawn = [random_groups(TREE, seed=seed).paths for seed in range(200)]
    assert len(set(drawn)) > 30
    alone = Counter(path.index(()) for path in drawn)  # the class without a group
    assert len(alone) == 5 and min(alone.values()) > 20
    assert len({random_groups(TREE, seed=seed).paths for seed in (1, 2, 3)}) == 3


def test_a_draw_never_changes():
    """Published experiments depend on it."""
    cells = Taxonomy.load(dict(a=['1', '2', '3', '4'], b=['5', '6', '7'], c=['8', '9']))
    groups = random_groups(cells, seed=4).to_dict()['groups']
    assert {name: set(members) for name, members in groups.items()} == {
        'random 1': {'1', '4', '5', '6'},
        'random 2': {'7', '8', '9'},
        'random 3': {'2', '3'},
    }


def test_identity_and_one_group():
    made = controls(TREE)
    assert made['identity'].is_ungrouped and not made['identity'].has_one_group
    for level in (0, 1):
        assert made['one_group'].group_names(level) == ('everything',)
    assert one_group(Taxonomy('flat', ['a', 'b'])).num_levels == 2


@pytest.mark.parametrize('name', CONTROLS)
def test_files_are_read_as_they_were_written(name, tmp_path):
    control = controls(TREE)[name]
    path = tmp_path / f'{name}.yaml'
    path.write_text(control.to_yaml())
    for same in (
        Taxonomy.load(path),
        Taxonomy.load(control.to_dict()),
        pickle.loads(pickle.dumps(control)),
    ):
        assert same == control and same.num_levels == 3


@pytest.mark.parametrize(
    'taxonomy', [Taxonomy('flat', ['a', 'b']), TREE.ungrouped(), one_group(TREE)]
)
def test_without_groups_there_is_nothing_to_compare(taxonomy):
    with pytest.raises(TaxonomyError, match='has no groups that controls could be compared with; '):
        controls(taxonomy)
