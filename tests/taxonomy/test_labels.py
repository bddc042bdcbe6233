"""The table of all labels: numbers, sets, names, and what each level knows of them."""

import numpy as np
import pytest

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError

# Three levels, leaves of depth 1 to 3, a group of one class, and a group with a single subgroup.
UNEVEN = {
    'groups': {
        'fish': ['cod', {'flatfish': ['sole', 'plaice']}],
        'shells': {'bivalves': ['mussel', 'oyster']},
        'mammals': ['seal'],
    },
    'ungrouped': ['buoy'],
    'classes': ['sole', 'mussel', 'cod', 'buoy', 'seal', 'oyster', 'plaice'],
}


@pytest.fixture
def uneven():
    return Taxonomy.load(UNEVEN)


def allowed(taxonomy, label):
    """Names of the classes that a label allows."""
    names = (*taxonomy.classes, 'background')
    return {names[column] for column in np.flatnonzero(taxonomy.labels.sets[label])}


def test_numbers_names_and_sets(uneven):
    table = uneven.labels
    # K = 7 classes, background, 3 distinct groups of two or more, and the object.
    assert len(table) == 7 + 2 + 3
    assert table.names == (*uneven.classes, 'background', 'fish', 'shells', 'flatfish', 'object')
    assert table.sets.shape == (12, 8) and table.sets.dtype == bool
    for label, name in enumerate((*uneven.classes, 'background')):
        assert allowed(uneven, label) == {name}
    assert allowed(uneven, 8) == {'sole', 'cod', 'plaice'}
    assert allowed(uneven, 9) == {'mussel', 'oyster'}
    assert allowed(uneven, 10) == {'sole', 'plaice'}
    assert allowed(uneven, 11) == set(uneven.classes)
    assert table.levels == (*(2,) * 7, None, 0, 1, 1, None)


def test_names_are_found_and_a_class_comes_before_a_group(uneven):
    assert uneven.find('FISH') is None
    assert [uneven.find(name, coarse=True) for name in ('FISH', 'flat-fish', 'flatfish')] == [
        8,
        None,
        10,
    ]
    # A group with a single subgroup: one label under both names.
    assert uneven.find('shells', coarse=True) == uneven.find('bivalves', coarse=True) == 9
    # A group of one class says no more than the object does not: it has no label.
    assert uneven.find('mammals', coarse=True) is None
    assert uneven.find('object', coarse=True) == 11
    assert uneven.find(None, coarse=True) is None
    both = Taxonomy.load({'fish': ['fish', 'cod'], 'gear': ['net', 'trap']})
    assert both.find('fish', coarse=True) == both.find('fish') == 0
    assert both.labels.names[5:] == ('fish', 'gear', 'object')


@pytest.mark.parametrize('width', ['groups', 'classes'])
def test_outputs_of_each_level_by_brute_force(uneven, width):
    for level in range(uneven.num_levels):
        index = uneven.group_index(level)
        channels = 1 + (uneven.num_groups(level) if width == 'groups' else uneven.num_classes)
        outputs = uneven.labels.outputs(index, channels)
        for label in range(len(uneven.labels)):
            if label == uneven.num_classes:
                expected = {channels - 1}
            else:
                expected = {index[uneven.label_of(name)] for name in allowed(uneven, label)}
            assert set(np.flatnonzero(outputs[label])) == expected
    assert np.array_equal(outputs, uneven.labels.sets)  # the last level has the classes


def test_a_level_knows_a_label_down_to_its_own(uneven):
    for label, own in enumerate(uneven.labels.levels[8:], 8):
        for level in range(uneven.num_levels):
            outputs = uneven.labels.outputs(uneven.group_index(level), 8)
            assert (outputs[label].sum() == 1) == (own is not None and level <= own)


def test_no_groups_and_one_group():
    flat = Taxonomy('flat', ['a', 'b'])
    assert flat.labels.names == ('a', 'b', 'background', 'object')
    assert Taxonomy.load({'g': ['a'], 'h': ['b']}).labels.names == flat.labels.names
    one = Taxonomy.from_mapping({'all': ['a', 'b']}, allow_one_group=True)
    assert one.labels.names == ('a', 'b', 'background', 'all', 'object')
    assert np.array_equal(one.labels.sets[3], one.labels.sets[4])


def test_a_class_or_a_group_called_object_is_that():
    named = Taxonomy.load({'object': ['a', 'b'], 'other': ['c', 'd']})
    assert named.find('object', coarse=True) == 5
    assert Taxonomy('flat', ['object', 'b']).find('object', coarse=True) == 0


def test_a_name_of_two_groups_is_refused_where_it_is_used():
    twice = Taxonomy.load({'boots': ['a', 'b'], 'shoes': [{'boots': ['c', 'd']}, 'e']})
    assert twice.labels.names[6:] == ('boots', 'shoes', 'boots', 'object')
    assert twice.find('boots') is None
    with pytest.raises(TaxonomyError, match="'boots' is the name of 2 groups .* rename all but"):
        twice.find('boots', coarse=True)


def test_groups_have_aliases():
    groups = {'name': 'shoes', 'groups': UNEVEN['groups'], 'ungrouped': ['buoy']}
    aliases = {'shells': ['/m/0shell'], 'bivalves': ['clams'], 'cod': ['gadus']}
    taxonomy = Taxonomy.load({**groups, 'aliases': aliases})
    shells = taxonomy.find('shells', coarse=True)
    assert taxonomy.find('/m/0shell') is None
    assert taxonomy.find('/M/0SHELL', coarse=True) == taxonomy.find('clams', coarse=True) == shells
    assert taxonomy.find('gadus') == taxonomy.label_of('cod')
    assert Taxonomy.load(taxonomy.to_dict()) == taxonomy
    assert dict(taxonomy.ungrouped().aliases) == {'cod': ('gadus',)}
    # Whichever is written first.
    for clash in ({'shells': ['gadus'], 'cod': ['gadus']}, {'shells': ['Cod']}):
        with pytest.raises(TaxonomyError, match="of group 'shells' also means class 'cod'; remove"):
            Taxonomy.load({**groups, 'aliases': clash})


def test_the_table_cannot_be_changed(uneven):
    with pytest.raises(ValueError, match='read-only'):
        uneven.labels.sets[0, 0] = False
    assert uneven.labels is uneven.labels


def test_categories_may_be_groups(uneven):
    names = [*uneven.classes, 'Fish', 'object', 'whale']
    options = dict(allow_unknown=True)
    assert uneven.match_categories(names, 'x.json', **options)[7:] == [None] * 3
    assert uneven.match_categories(names, 'x.json', coarse=True, **options)[7:] == [8, 11, None]
    with pytest.raises(TaxonomyError, match="^x.json: categories 'shells' and 'bivalves' are both"):
        uneven.match_categories([*uneven.classes, 'shells', 'bivalves'], 'x.json', coarse=True)
    with pytest.raises(TaxonomyError, match="^x.json: 1 of 8 categories not in .*'whale'"):
        uneven.match_categories([*uneven.classes, 'whale'], 'x.json', coarse=True)
    # A group stands in for all of its classes, not for one that is missing.
    without = [name for name in uneven.classes if not uneven.labels.sets[8][uneven.label_of(name)]]
    assert len(uneven.match_categories([*without, 'fish'], 'x.json', coarse=True)) < 7
    assert uneven.match_categories(['object'], 'x.json', coarse=True) == [11]
    with pytest.raises(TaxonomyError, match="^x.json: 1 of 7 classes .*'plaice'"):
        uneven.match_categories([*uneven.classes[:-1], 'fish'], 'x.json', coarse=True)


def test_groups_of_one_class_have_no_label(three_levels):
    assert three_levels.labels.only_class == {'head': 'hat'}
    assert three_levels.find('Head', coarse=True) is None
    with pytest.raises(
        TaxonomyError, match="'Head'; 'Head' is a group of one class: name the class, "
    ):
        three_levels.match_categories([*three_levels.classes, 'Head'], 'x.json', coarse=True)
    assert three_levels.labels.instead_of([3, 'body', 'hat', 'whale']) is None
