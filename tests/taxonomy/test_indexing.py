"""Numbers for names: labels, groups of a level, and the clashes."""

import pytest

from mmdet_multigrain.taxonomy import TaxonomyError
from mmdet_multigrain.taxonomy.indexing import build_level, index_names

CLASSES = ('cap', 'jeans', 'hat', 'belt')
PATHS = (('worn', 'headwear'), ('bottom',), ('worn', 'headwear'), ('worn',))


def test_names_and_aliases_get_labels():
    assert index_names(('T-Shirt', 'Hat'), {'Hat': ('/m/02dl1y', 'hat_s')}) == {
        't shirt': 0,
        'hat': 1,
        '/m/02dl1y': 1,
        'hat s': 1,
    }


def test_an_alias_may_repeat_its_own_class():
    assert index_names(('Hat',), {'Hat': ('hat', 'HAT')}) == {'hat': 0}


@pytest.mark.parametrize(
    ('level', 'names', 'index'),
    [
        (0, ('worn', 'bottom'), (0, 1, 0, 0)),
        (1, ('headwear', 'jeans', 'belt'), (0, 1, 0, 2)),
        (2, CLASSES, (0, 1, 2, 3)),
    ],
)
def test_groups_of_a_level(level, names, index):
    assert build_level(CLASSES, PATHS, level) == (names, index)


def test_one_name_on_two_levels_is_no_clash():
    paths = (('hat', 'hat'), ('hat',), ('bottom',))
    assert build_level(('cap', 'top hat', 'jeans'), paths, 0)[0] == ('hat', 'bottom')
    assert build_level(('cap', 'top hat', 'jeans'), paths, 1)[0] == ('hat', 'top hat', 'jeans')


@pytest.mark.parametrize(
    ('paths', 'said'),
    [
        (
            (('worn', 'x'), ('bottom', 'x')),
            "the group 'x' under 'worn' and the group 'x' under 'bott",
        ),
        (
            (('worn', 'jeans'), ('bottom',)),
            "the group 'jeans' under 'worn' and the class 'jeans', ",
        ),
        (
            (('worn',), ('bottom', 'CAP')),
            "the class 'cap', which has no group there, and the group",
        ),
    ],
)
def test_one_name_twice_on_a_level(paths, said):
    build_level(CLASSES[:2], paths, 0)
    with pytest.raises(TaxonomyError, match=f'^at level 1, {said}'):
        build_level(CLASSES[:2], paths, 1)
