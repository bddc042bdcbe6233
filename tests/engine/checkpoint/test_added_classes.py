"""Taxonomies that grow: what is added where, and what is refused in one line."""

import pytest

from mmdet_multigrain.engine.checkpoint.added_classes import (
    first_classes,
    grown_head,
    in_old_order,
    siblings_of,
    with_classes,
)
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError


def test_classes_behind_the_old_ones(garments, three_levels):
    grown = with_classes(garments, {'kimono': 'Top', 'sock': None})
    assert grown.classes == (*garments.classes, 'kimono', 'sock')
    assert grown.paths[-2:] == (('top',), ())
    assert first_classes(grown, 5) == garments
    assert grown.group_index(0) == (*garments.group_index(0), 0, 3)
    deep = with_classes(three_levels, {'kimono': 'upper', 'cape': 'body'})
    assert deep.paths[-2:] == (('body', 'upper'), ('body',))
    assert deep.num_levels == 3 and deep.group_names(1)[-1] == 'cape'
    assert first_classes(deep, 5) == three_levels


def test_groups_by_alias():
    taxonomy = Taxonomy('t', 'abc', [('g',), ('g',), ('h',)], aliases={'g': ['Gee'], 'h': ['eh']})
    assert with_classes(taxonomy, {'d': 'gee'}).paths[-1] == ('g',)


@pytest.mark.parametrize(
    ('added', 'message'),
    [
        ({'Shirt': 'top'}, "class 'Shirt' exists already in taxonomy 'garments', as 'shirt'"),
        ({'top': None}, "class 'top' exists already in taxonomy 'garments', as 'top'"),
        ({'kimono': 'topp'}, "group 'topp' is not in taxonomy 'garments'; did you mean 'top'?"),
        (
            {'kimono': 'robes'},
            "group 'robes' is not in taxonomy 'garments'; the groups are 'bottom', 'top'; a new "
            'group needs --taxonomy FILE',
        ),
        ({'kimono': 'hat'}, "group 'hat' is not in taxonomy"),
        ({'ki-mono': 'top', 'Ki mono': 'top'}, "classes 'ki-mono' and 'Ki mono' differ only in"),
    ],
)
def test_what_cannot_be_added(garments, added, message):
    with pytest.raises(TaxonomyError) as caught:
        with_classes(garments, added)
    assert message in str(caught.value) and '\n' not in str(caught.value)


def test_no_groups_or_two_of_one_name():
    with pytest.raises(TaxonomyError, match='it has none, leave the group out'):
        with_classes(Taxonomy('flat', 'ab'), {'c': 'g'})
    twice = Taxonomy('t', 'abcd', [('x', 'z'), ('x', 'w'), ('g', 'x'), ('g', 'y')])
    with pytest.raises(TaxonomyError, match="'x' is the name of 2 groups"):
        with_classes(twice, {'e': 'x'})


def test_the_old_order_of_a_file(garments):
    file = Taxonomy(
        'new',
        ('boot', 'hat', 'shirt', 'kimono', 'vest', 'shorts', 'skirt'),
        [('feet',), (), ('top',), ('top',), ('top',), ('bottom',), ('bottom',)],
        aliases={'hat': ['cap']},
    )
    grown = in_old_order(garments, file)
    assert grown.classes == (*garments.classes, 'boot', 'kimono')
    assert grown.paths[5:] == (('feet',), ('top',)) and grown.find('cap') == 3


@pytest.mark.parametrize(
    ('classes', 'paths', 'message'),
    [
        ('shirt skirt vest hat', 'top bottom top -', "lacks 'shorts'; classes can be added, but"),
        (
            'shirt skirt vest hat shorts',
            'top bottom bottom - bottom',
            "changes old groups: 'vest' is in group 0 ('top') in the checkpoint but 1 ('bottom') in",
        ),
        (
            'shirt skirt vest hat shorts cap',
            'top bottom top top bottom -',
            "changes old groups: 'hat' is in group 2 ('hat') in the checkpoint but 0 ('top') in",
        ),
        ('shirt skirt vest hat shorts', '- - - - -', 'changes old groups: there are 2 levels in'),
    ],
)
def test_files_that_change_old_classes(garments, classes, paths, message):
    paths = [() if path == '-' else (path,) for path in paths.split()]
    with pytest.raises(TaxonomyError) as caught:
        in_old_order(garments, Taxonomy('new', classes.split(), paths))
    assert message in str(caught.value) and '\n' not in str(caught.value)


def test_siblings(garments, three_levels):
    grown = with_classes(three_levels, {'kimono': 'upper', 'cape': 'body', 'sock': None})
    assert [siblings_of(grown, label, 5) for label in (5, 6, 7)] == [
        [0, 1],
        [0, 1, 2, 3],
        [0, 1, 2, 3, 4],
    ]


def test_heads_with_other_groups_than_the_data(garments):
    grown = with_classes(garments, {'kimono': 'top', 'sock': None})
    assert grown_head(garments, grown) == grown
    alone = grown_head(garments.ungrouped(), grown)
    assert alone.is_ungrouped and alone.num_levels == 2 and alone.num_classes == 7
    one = Taxonomy('one', garments.classes, [('all',)] * 5, allow_one_group=True)
    assert grown_head(one, grown).paths == (('all',),) * 7


def test_several_trees_are_refused(garments, two_trees):
    message = (
        "'two trees' has the trees 'kind', 'season', and a class can be added to one tree only"
    )
    for grow in (
        lambda: with_classes(two_trees, {'sock': 'head'}),
        lambda: in_old_order(two_trees, garments),
        lambda: in_old_order(garments, two_trees),
    ):
        with pytest.raises(TaxonomyError, match=message):
            grow()
