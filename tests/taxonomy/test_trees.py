"""Several trees over the same classes: their levels, their file, the main one, and what is refused."""

from __future__ import annotations

import pickle

import pytest
import yaml

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.taxonomy.controls import controls
from mmdet_multigrain.taxonomy.levels import at_level

KIND = {'top': ['vest', 'coat'], 'bottom': ['skirt', 'shorts']}
SEASON = {'summer': ['vest', 'shorts'], 'winter': ['coat']}
TREES = {'kind': KIND, 'season': SEASON}


def refusal(document) -> str:
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.load(document)
    assert '\n' not in str(caught.value)
    return str(caught.value).removeprefix('mapping: ')


def sorted_keys(value):
    """As mmengine writes a config."""
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [*map(sorted_keys, value)] if isinstance(value, list) else value


def test_levels_go_through_the_trees_in_order(two_trees):
    assert two_trees.trees == ('kind', 'season') and two_trees.num_levels == 4
    assert [two_trees.group_names(level) for level in range(3)] == [
        ('body', 'head'),
        ('upper', 'lower', 'hat'),
        ('summer', 'winter', 'hat'),  # the class that has no season
    ]
    assert [two_trees.group_index(level) for level in range(4)] == [
        (0, 0, 0, 0, 1),
        (0, 0, 1, 1, 2),
        (0, 1, 1, 0, 2),
        (0, 1, 2, 3, 4),
    ]
    levels = [two_trees.levels_of(tree) for tree in (None, 'kind', 'season')]
    assert levels == [range(2), range(2), range(2, 3)]
    assert [*map(two_trees.tree_of, range(4))] == ['kind', 'kind', 'season', '']
    assert [*map(two_trees.levels_above, range(4))] == [
        range(0),
        range(1),
        range(2, 2),
        range(3),
    ]
    titles = ['level 0 (kind)', 'level 1 (kind)', 'level 2 (season)', 'level 3']
    assert [*map(two_trees.level_title, range(4))] == titles
    assert repr(two_trees) == "Taxonomy('two trees', (kind 2 > 3, season 3) > 5 classes)"


def test_a_tree_is_a_taxonomy(two_trees, three_levels):
    kind, season = two_trees.tree(), two_trees.tree('season')
    assert (kind.name, kind.trees, kind.main_tree) == ('two trees (kind)', (), None)
    assert kind.to_dict() == {**three_levels.to_dict(), 'name': kind.name}
    assert season.group_index(0) == two_trees.group_index(2) and season.num_levels == 2
    assert two_trees.hierarchy == kind
    assert two_trees.with_main_tree('Season').hierarchy == season


def test_one_tree_is_its_own(three_levels, garments):
    for taxonomy in (three_levels, garments, Taxonomy('flat', 'ab')):
        assert taxonomy.trees == () and taxonomy.main_tree is None
        assert taxonomy.tree() is taxonomy.hierarchy is taxonomy
        last = taxonomy.num_levels - 1
        assert taxonomy.levels_of() == taxonomy.levels_of(taxonomy.main_tree) == range(last)
        assert [*map(taxonomy.levels_above, range(last + 1))] == [*map(range, range(last + 1))]
        assert taxonomy.level_title(0) == 'level 0' and taxonomy.tree_of(0) == ''
        assert not {'trees', 'main_tree'} & taxonomy.to_dict().keys()


@pytest.mark.parametrize('main_tree', ['kind', 'season'])
def test_written_and_read(two_trees, main_tree):
    taxonomy = two_trees.with_main_tree(main_tree)
    document = taxonomy.to_dict()
    assert ('main_tree' in document) == (main_tree != 'kind')
    for again in (
        Taxonomy.load(document),
        Taxonomy.load(sorted_keys(document)),
        Taxonomy.load(yaml.safe_load(taxonomy.to_yaml())),
        pickle.loads(pickle.dumps(taxonomy)),
    ):
        assert again == taxonomy and hash(again) == hash(taxonomy)
        assert again.to_dict() == document


def test_what_differs_is_another_taxonomy(two_trees):
    """The same levels in the same order may belong to other trees."""
    paths = {tree: [path[:1] for path in own] for tree, own in two_trees.forest.items()}
    both = Taxonomy('x', two_trees.classes, paths)
    others = [
        both.with_main_tree('season'),
        Taxonomy('x', both.classes, {f'{tree}s': own for tree, own in paths.items()}),
        Taxonomy('x', both.classes, dict(reversed(paths.items()))),
    ]
    assert both == Taxonomy('x', both.classes, paths) and both not in others


def test_classes_may_be_left_out_of_all_trees_but_the_first():
    taxonomy = Taxonomy.load(
        {'trees': TREES, 'ungrouped': ['hat'], 'aliases': {'winter': ['cold']}}
    )
    assert taxonomy.classes == ('vest', 'coat', 'skirt', 'shorts', 'hat')
    assert taxonomy.group_names(0) == ('top', 'bottom', 'hat')
    assert taxonomy.group_names(1) == ('summer', 'winter', 'skirt', 'hat')
    assert taxonomy.tree('season').aliases == {'winter': ('cold',)}
    assert taxonomy.tree('kind').aliases == {}
    # A class without a group in the first tree may have one in another.
    taxonomy = Taxonomy.load({'trees': TREES | {'fabric': {'felt': ['hat']}}, 'ungrouped': ['hat']})
    assert taxonomy.superclass_of('hat', 2) == 'felt'
    order = ['shorts', 'vest', 'skirt', 'coat']
    assert Taxonomy.load({'trees': TREES, 'classes': order}).group_index(1) == (0, 0, 1, 2)


def test_groups_of_plants_may_be_called_trees():
    plants = Taxonomy.load({'trees': ['oak', 'elm'], 'flowers': ['rose']})
    assert plants.group_names(0) == ('trees', 'flowers') and plants.trees == ()


@pytest.mark.parametrize(
    ('document', 'message'),
    [
        ({'trees': {}}, 'trees has 0 entries; write one tree as groups'),
        ({'trees': {'kind': KIND}}, 'trees has 1 entries; write one tree as groups'),
        (
            {'trees': TREES, 'groups': KIND},
            'groups is for a taxonomy of one tree; put it into trees',
        ),
        ({'trees': TREES, 'levels': 3}, 'levels is for a taxonomy of one tree'),
        ({'trees': ['kind']}, "trees is 'kind'; write a mapping of the name of each tree to its"),
        (
            {'trees': {'kind': KIND, 'season': ['vest']}},
            "tree 'season' is ['vest']; write a mapping",
        ),
        ({'trees': [TREES, {'kind': KIND}]}, "tree 'kind' is listed twice in trees; merge the two"),
        ({'trees': {'kind': KIND, 'Kind': SEASON}}, "trees 'kind' and 'Kind' differ only in case"),
        ({'trees': {'kind': KIND, 3: SEASON}}, 'a tree is 3, not text; quote it'),
        (
            {'trees': {'kind': KIND, '3': SEASON}},
            "a tree is called '3', which names a level; rename",
        ),
        (
            {'trees': {'kind': KIND, 'Coarse': SEASON}},
            "a tree is called 'Coarse', which names a lev",
        ),
        (
            {'trees': {'kind': KIND, 'season': {}}},
            "tree 'season' has no groups; list them, or remove",
        ),
        (
            {'trees': {'kind': KIND, 'season': {'warm': ['vets']}}},
            "tree 'season': class 'vets' is neither in the first tree nor in ungrouped; did you mean "
            "'vest'?",
        ),
        (
            {'trees': {'kind': KIND, 'season': {'warm': ['vest'], 'cold': ['vest']}}},
            "tree 'season': class 'vest' is in two groups, 'warm' and 'cold'; remove it from one",
        ),
        (
            {'trees': {'kind': KIND, 'season': {'vest': ['coat']}}},
            "at level 0 of tree 'season', ",
        ),
        (
            {'trees': {'kind': KIND, 'use': {'wear': ['vest', 'coat', 'skirt', 'shorts']}}},
            "one group, 'wear', holds all 4 classes",
        ),
        (
            {'trees': TREES, 'main_tree': 'seasons'},
            "main_tree is 'seasons', but the trees are 'kind'",
        ),
        (
            {'trees': TREES, 'main_tree': 3},
            "main_tree is 3, but the trees are 'kind', 'season'; take",
        ),
        (
            {'groups': KIND, 'main_tree': 'kind'},
            "main_tree is 'kind', but there is one tree; leave it",
        ),
    ],
)
def test_refusals(document, message):
    assert refusal(document).startswith(message)


def test_refusals_in_python(two_trees):
    with pytest.raises(TaxonomyError, match='^2 classes but 1 paths; give one for each'):
        Taxonomy('x', 'ab', {'one': [('g',), ()], 'two': [('h',)]})
    with pytest.raises(TaxonomyError, match='^levels is 4, but the groups make 3 .*; leave it out'):
        Taxonomy('x', 'ab', {'one': [('g',), ()], 'two': [('h',), ()]}, num_levels=4)
    with pytest.raises(TaxonomyError, match="^tree 'seasn' is not in .*; did you mean 'season'"):
        two_trees.tree('seasn')
    with pytest.raises(TaxonomyError, match="^taxonomy 'two trees' has 2 trees, and controls are"):
        controls(two_trees)


def test_one_group_in_a_tree_of_a_control():
    document = {'trees': {'kind': KIND, 'all': {'wear': sum(KIND.values(), [])}}}
    taxonomy = Taxonomy.from_mapping(document, allow_one_group=True)
    assert taxonomy.has_one_group and Taxonomy.load(taxonomy.to_dict()) == taxonomy
    assert not taxonomy.tree('kind').has_one_group


def test_labels_of_the_groups_of_all_trees(two_trees):
    table = two_trees.labels
    assert table.names[5:] == (
        *('background', 'body', 'upper', 'lower', 'summer', 'winter', 'object'),
    )
    assert table.levels[5:] == (None, 0, 1, 1, 2, 2, None)
    assert table.sets[two_trees.find('Winter', coarse=True), :-1].tolist() == [0, 1, 1, 0, 0]


def test_a_level_of_one_tree_may_equal_one_of_another():
    same = {'upper': ['vest', 'coat'], 'lower': ['skirt', 'shorts']}
    taxonomy = Taxonomy.load({'trees': {'kind': KIND, 'again': KIND, 'place': same}})
    assert len({taxonomy.group_index(level) for level in range(3)}) == 1
    # One label for the same classes, by any of their names.
    assert taxonomy.labels.names[5:] == ('top', 'bottom', 'object')
    assert taxonomy.find('upper', coarse=True) == taxonomy.find('top', coarse=True) == 5


def test_two_groups_of_one_name_have_no_label():
    other = {'top': ['vest', 'shorts'], 'low': ['coat', 'skirt']}
    taxonomy = Taxonomy.load({'trees': {'kind': KIND, 'place': other}})
    with pytest.raises(TaxonomyError, match="'top' is the name of 2 groups with different classes"):
        taxonomy.find('top', coarse=True)


@pytest.mark.parametrize(
    ('level', 'name', 'classes'),
    [
        ('Season', 'level 2', ('summer', 'winter', 'hat')),
        ('2', 'level 2', ('summer', 'winter', 'hat')),
        ('kind', 'coarse', ('body', 'head')),
        ('coarse', 'coarse', ('body', 'head')),
    ],
)
def test_a_tree_names_its_coarsest_level(two_trees, level, name, classes):
    found = at_level(two_trees.with_main_tree('season'), level)
    assert (found.name, found.taxonomy.classes) == (name, classes)
    sets = two_trees.labels.sets[list(found.labels), :-1]
    assert sets.argmax(axis=0).tolist() == [*found.index] and (sets.sum(axis=0) == 1).all()


def test_other_levels_name_the_trees(two_trees):
    with pytest.raises(
        TaxonomyError, match=r'3 \(the classes\) or object, or a tree: kind, season$'
    ):
        at_level(two_trees, 'sleeves')
