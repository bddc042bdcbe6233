"""The nested mapping: what each key means, and one line for every fault in it."""

import collections
import json

import pytest

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.taxonomy.schema import parse

DEEP = {
    'name': 'deep',
    'groups': {
        'top': ['shirt', 'coat'],
        'accessories': [
            'scarf',
            {'headwear': ['hat', {'helmets': ['bike helmet', 'ski helmet']}]},
            {'belt-like': ['suspenders']},
        ],
        'bottom': {'long': ['jeans'], 'short': ['shorts', 'miniskirt']},
    },
    'ungrouped': ['watch'],
}


def refusal(mapping):
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.from_mapping(mapping, source='cloth')
    message = str(caught.value)
    assert message.startswith('cloth: ')
    assert len(message.splitlines()) == 1
    return message.removeprefix('cloth: ')


def test_any_depth_and_leaves_at_unequal_depth():
    taxonomy = Taxonomy.load(DEEP)
    assert taxonomy.num_levels == 4
    assert taxonomy.classes == (
        'shirt',
        'coat',
        'scarf',
        'hat',
        'bike helmet',
        'ski helmet',
        'suspenders',
        'jeans',
        'shorts',
        'miniskirt',
        'watch',
    )
    assert taxonomy.group_names(0) == ('top', 'accessories', 'bottom', 'watch')
    assert taxonomy.group_index(0) == (0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3)
    # A leaf without a group at a finer level stands there alone.
    assert taxonomy.group_names(1) == (
        'shirt',
        'coat',
        'scarf',
        'headwear',
        'belt-like',
        'long',
        'short',
        'watch',
    )
    assert taxonomy.group_index(1) == (0, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7)
    assert taxonomy.group_names(2) == (
        'shirt',
        'coat',
        'scarf',
        'hat',
        'helmets',
        'suspenders',
        'jeans',
        'shorts',
        'miniskirt',
        'watch',
    )
    assert taxonomy.group_index(2) == (0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9)
    assert taxonomy.group_names(3) == taxonomy.classes
    assert taxonomy.group_index(3) == tuple(range(11))


def test_written_as_it_was_given():
    taxonomy = Taxonomy.load(DEEP)
    assert taxonomy.to_dict() == {**DEEP, 'classes': list(taxonomy.classes)}


def test_labels_survive_sorted_keys():
    # mmengine writes configs with sorted keys; labels once followed the groups into that order.
    taxonomy = Taxonomy.load({'top': ['shirt', 'coat'], 'bottom': ['jeans']})
    written = json.dumps(taxonomy.to_dict(), sort_keys=True)
    assert Taxonomy.load(json.loads(written)) == taxonomy
    assert Taxonomy.load(json.loads(written)).classes == ('shirt', 'coat', 'jeans')


def test_subgroups_in_a_list_may_share_a_mapping():
    parted = Taxonomy.load({'a': ['x', {'b': ['y']}, {'c': ['z']}], 'd': ['w']})
    assert Taxonomy.load({'a': ['x', {'b': ['y'], 'c': ['z']}], 'd': ['w']}) == parted


def test_classes_give_the_label_order():
    taxonomy = Taxonomy.load(
        {
            'groups': {'top': ['shirt', 'coat'], 'bottom': ['jeans']},
            'classes': ['jeans', 'coat', 'shirt'],
        }
    )
    assert taxonomy.classes == ('jeans', 'coat', 'shirt')
    assert taxonomy.group_names(0) == ('bottom', 'top')
    assert taxonomy.group_index(0) == (0, 1, 1)
    assert Taxonomy.load(taxonomy.to_dict()) == taxonomy


def test_a_mapping_without_our_keys_is_the_groups():
    taxonomy = Taxonomy.load({'top': ['shirt', 'coat'], 'bottom': ('jeans',)})
    assert taxonomy == Taxonomy.load(
        {'name': 'custom', 'groups': {'top': ['shirt', 'coat'], 'bottom': ['jeans']}}
    )


@pytest.mark.parametrize(
    'mapping',
    [
        {'classes': ['a', 'b']},
        {'ungrouped': ['a', 'b']},
        {'ungrouped': ['a', 'b'], 'groups': {}},
        {'ungrouped': ['a', 'b'], 'groups': None, 'aliases': None, 'levels': None},
    ],
)
def test_flat(mapping):
    taxonomy = Taxonomy.load(mapping)
    assert (taxonomy.classes, taxonomy.num_levels) == (('a', 'b'), 1)
    assert Taxonomy.load(taxonomy.to_dict()) == taxonomy


def test_levels():
    taxonomy = Taxonomy.load({'groups': {'top': ['a', 'b'], 'bottom': ['c']}, 'levels': 3})
    assert taxonomy.group_index(0) == (0, 0, 1)
    assert taxonomy.group_index(1) == taxonomy.group_index(2) == (0, 1, 2)
    assert taxonomy.to_dict()['levels'] == 3


def test_any_mapping_type():
    groups = collections.UserDict(
        top=collections.OrderedDict(warm=['coat'], cold=['shirt']), bottom=['jeans']
    )
    assert Taxonomy.load(collections.ChainMap({'groups': groups})).classes == (
        'coat',
        'shirt',
        'jeans',
    )


def test_mmengine_config_dict():
    config = pytest.importorskip('mmengine.config')
    taxonomy = Taxonomy.load(DEEP)
    assert Taxonomy.load(config.ConfigDict(taxonomy.to_dict())) == taxonomy
    assert Taxonomy.load(config.Config(dict(x=taxonomy.to_dict())).x) == taxonomy


def test_description_is_kept_but_not_compared():
    taxonomy = Taxonomy.load({'description': 'two\nlines', 'ungrouped': ['a']})
    assert taxonomy.to_dict()['description'] == 'two\nlines'
    assert taxonomy == Taxonomy.load({'ungrouped': ['a']})


@pytest.mark.parametrize(
    ('mapping', 'said'),
    [
        # keys
        ({'groups': {}, 'alias': {}}, "unknown key 'alias'; did you mean 'aliases'?"),
        (
            {'groups': {}, 'zebra': {}},
            "unknown key 'zebra'; the keys are name, description, groups",
        ),
        ({'groups': {}, 7: {}}, 'unknown key 7; the keys are'),
        (
            {'gruops': {'top': ['a'], 'bottom': ['b']}},
            "unknown key 'gruops'; did you mean 'groups'?",
        ),
        (['a'], 'a taxonomy is a mapping such as "groups: {top: [shirt, coat]}", not [\'a\']'),
        ({}, 'there is no class'),
        ({'groups': {}}, 'there is no class'),
        ({'name': 3, 'ungrouped': ['a']}, 'the name of the taxonomy is 3, not text; quote it'),
        ({'name': ' ', 'ungrouped': ['a']}, 'the name of the taxonomy is empty'),
        ({'description': 3, 'ungrouped': ['a']}, 'description is 3; quote it'),
        ({'levels': '2', 'ungrouped': ['a']}, "levels is '2'; write a whole number"),
        ({'levels': True, 'ungrouped': ['a']}, 'levels is True; write a whole number'),
        ({'levels': 1, 'groups': {'t': ['a'], 'b': ['c']}}, 'levels is 1, but the groups make 2'),
        (
            {'levels': 99, 'ungrouped': ['a']},
            'levels is 99, but the groups make 1 with the classes; give 1 to 21',
        ),
        # groups
        ({'groups': ['a']}, "groups is ['a']; write a mapping of each group to its classes"),
        ({'top': 'shirt', 'b': ['c']}, "group 'top' is 'shirt'; write a list of its classes"),
        ({'top': 7, 'b': ['c']}, "group 'top' is 7; write a list of its classes"),
        ({'top': [], 'b': ['c']}, "group 'top' is empty; list its classes or remove it"),
        ({'top': None, 'b': ['c']}, "group 'top' is empty"),
        ({'top': {}, 'b': ['c']}, "group 'top' is empty"),
        ({'top': {'warm': []}, 'b': ['c']}, "group 'warm' is empty"),
        ({'': ['a'], 'b': ['c']}, 'a group in groups is empty; name it'),
        ({False: ['a'], 'b': ['c']}, 'a group in groups is False, not text; quote it'),
        ({'top': {3: ['a']}, 'b': ['c']}, "a group in group 'top' is 3, not text; quote it"),
        (
            {'top': [{'x': ['a']}, {'x': ['b']}], 'b': ['c']},
            "group 'x' is listed twice in group 'top'; merge the two",
        ),
        ({'top': ['a', 'b']}, "one group, 'top', holds all 2 classes: one group teaches nothing"),
        ({'all': {'top': ['a', 'b'], 'bottom': ['c']}}, "one group, 'all', holds all 3 classes"),
        (
            {'t': {'x': ['a']}, 'b': {'x': ['c']}},
            "at level 1, the group 'x' under 't' and the group 'x' under 'b' have one name; rename one",
        ),
        (
            {'Head-wear': ['a'], 'head wear': ['c']},
            "at level 0, the group 'Head-wear' and the group 'head wear' have one name",
        ),
        (
            {'groups': {'bag': ['purse'], 'top': ['a']}, 'ungrouped': ['Bag']},
            "at level 0, the group 'bag' and the class 'Bag', which has no group there, have one name; "
            'rename one, or put the class into that group',
        ),
        # classes
        ({'top': ['a', ''], 'b': ['c']}, "a class in group 'top' is empty; name it or remove it"),
        ({'top': ['a', None], 'b': ['c']}, "a class in group 'top' is empty"),
        ({'top': ['a', False], 'b': ['c']}, "a class in group 'top' is False, not text; quote it"),
        ({'top': ['a', ['b']], 'b': ['c']}, "a class in group 'top' is ['b'], not text"),
        ({'top': ['a', 'a'], 'b': ['c']}, "class 'a' is listed twice in group 'top'; remove one"),
        (
            {'top': ['a'], 'b': {'x': ['a']}},
            "class 'a' is in two groups, 'top' and 'b / x'; remove it from one",
        ),
        (
            {'groups': {'top': ['a'], 'b': ['c']}, 'ungrouped': ['a']},
            "class 'a' is in two groups, 'top' and 'ungrouped'",
        ),
        ({'ungrouped': ['a', 'a']}, "class 'a' is listed twice in ungrouped"),
        ({'ungrouped': 'a'}, "ungrouped is 'a'; write a list of names"),
        ({'ungrouped': {'a': 1}}, "ungrouped is {'a': 1}; write a list of names"),
        (
            {'top': ['T-shirt'], 'b': ['t shirt']},
            "classes 'T-shirt' and 't shirt' differ only in case, blanks, '_' or '-'",
        ),
        # label order
        ({'ungrouped': ['shirt'], 'classes': ['shirt', 'shirt']}, "classes lists 'shirt' twice"),
        (
            {'ungrouped': ['shirt'], 'classes': ['shrit']},
            "classes lists 'shrit', which is neither in a group nor in ungrouped; did you mean 'shirt'?",
        ),
        (
            {'ungrouped': ['shirt'], 'classes': ['shirt', 'zebra']},
            "classes lists 'zebra', which is neither in a group nor in ungrouped; add it there or remove",
        ),
        (
            {'ungrouped': ['a', 'b'], 'classes': ['a']},
            "classes lacks 'b', which is in a group or in",
        ),
        ({'classes': 'ab'}, "classes is 'ab'; write a list of names"),
        ({'classes': ['a', 1]}, 'an entry of classes is 1, not text'),
        # aliases
        ({'ungrouped': ['a'], 'aliases': ['b']}, "aliases is ['b']; write a mapping of each class"),
        (
            {'ungrouped': ['a'], 'aliases': {'a': 'b'}},
            "aliases of 'a' is 'b'; write a list of names",
        ),
        ({'ungrouped': ['a'], 'aliases': {'a': [False]}}, "an entry of aliases of 'a' is False"),
        (
            {'ungrouped': ['shirt'], 'aliases': {'shrit': ['b']}},
            "aliases are given for 'shrit', which is not a class; did you mean 'shirt'?",
        ),
        (
            {'ungrouped': ['a'], 'aliases': {0: ['b']}},
            'aliases are given for 0, which is not a class',
        ),
        (
            {'ungrouped': ['a', 'b'], 'aliases': {'a': ['B']}},
            "alias 'B' of class 'a' also means class 'b'; remove it from one of them",
        ),
        (
            {'ungrouped': ['a', 'b'], 'aliases': {'a': ['x'], 'b': ['X']}},
            "alias 'X' of class 'b' also means class 'a'",
        ),
    ],
)
def test_refused(mapping, said):
    assert refusal(mapping).startswith(said)


def test_nesting_is_bounded():
    def nested(depth):
        children = ['x']
        for level in range(depth):
            children = {f'g{level}': children}
        return {'groups': {**children, 'other': ['y']}}

    assert Taxonomy.load(nested(20)).num_levels == 21
    assert 'nests more than 20 groups' in refusal(nested(21))
    endless = {'other': ['y']}
    endless['again'] = endless
    assert 'is in two groups' in refusal(endless)


def test_parse_gives_the_arguments_of_taxonomy():
    arguments = parse({'ungrouped': ['a'], 'aliases': {'a': ['b']}}, default_name='x')
    assert Taxonomy(**arguments) == Taxonomy('x', ['a'], aliases={'a': ['b']})


def test_one_group_where_the_file_allows_it():
    content = {'groups': {'all': ['a', 'b']}}
    with pytest.raises(TaxonomyError, match="one group, 'all', holds all 2 classes"):
        Taxonomy.load(content)
    allowed = Taxonomy.load({**content, 'allow_one_group': True})
    assert allowed.has_one_group and allowed.to_dict()['allow_one_group'] is True
    two = Taxonomy.load({'groups': {'x': ['a'], 'y': ['b']}, 'allow_one_group': True})
    assert 'allow_one_group' not in two.to_dict() and not two.has_one_group
    with pytest.raises(TaxonomyError, match='allow_one_group is 1; write true, or leave it out'):
        Taxonomy.load({**content, 'allow_one_group': 1})
