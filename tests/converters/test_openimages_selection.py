"""Which LabelName means which class, from a taxonomy, descriptions and a hierarchy."""

import json

import pytest

from mmdet_multigrain.converters.openimages_selection import load_selection, select
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import ConverterError

NAMES = {'/m/01': 'Shirt', '/m/02_': 'Coat', '/g/03': 'Sun hat', '/m/04': 'Dog', '/m/05': 'Top'}
TREE = {
    'LabelName': '/m/00',
    'Subcategory': [
        {'LabelName': '/m/05', 'Subcategory': [{'LabelName': '/m/01'}, {'LabelName': '/m/02_'}]},
        {'LabelName': '/m/06', 'Subcategory': [{'LabelName': '/m/01'}, {'LabelName': '/m/04'}]},
        {'LabelName': '/g/03'},
    ],
}


@pytest.fixture
def files(tmp_path):
    (tmp_path / 'tree.json').write_text(json.dumps(TREE))
    names = NAMES | {'/m/06': 'Things'}
    (tmp_path / 'names.csv').write_text(''.join(f'{k},{v}\n' for k, v in names.items()))
    return {'hierarchy': tmp_path / 'tree.json', 'descriptions': tmp_path / 'names.csv'}


def test_clothing_needs_no_files():
    selection = load_selection()
    assert selection.taxonomy == Taxonomy.load('openimages_v4_clothing')
    assert len(selection.labels) == 40 and not selection.inner
    assert selection.labels['/m/01n4qj'] == selection.taxonomy.label_of('Shirt')


def test_label_names_by_alias_and_by_description():
    taxonomy = Taxonomy.load(
        {
            'groups': {'top': ['shirt', 'jacket']},
            'ungrouped': ['SUN-HAT'],
            'aliases': {'jacket': ['/m/02_', 'coat'], 'shirt': ['/m/99']},
        }
    )
    assert select(taxonomy, names=NAMES).labels == {'/m/99': 0, '/m/01': 0, '/m/02_': 1, '/g/03': 2}


def test_names_are_looked_for_where_label_names_are_not_known():
    taxonomy = Taxonomy.load({'classes': ['shirt', 'coat'], 'aliases': {'coat': ['/m/02_']}})
    assert select(taxonomy).labels == {'shirt': 0, 'coat': 1, '/m/02_': 1}


def test_inner_nodes_hold_classes_of_the_taxonomy_only(files):
    taxonomy = Taxonomy.load({'classes': ['shirt', 'coat', 'sun hat']})
    assert load_selection(taxonomy, **files).inner == {'/m/05': 'Top'}
    assert load_selection(taxonomy.load({'classes': ['shirt', 'sun hat']}), **files).inner == {}
    taken = Taxonomy.load({'classes': ['shirt', 'coat', 'top']})  # a class of its own here
    assert load_selection(taken, **files).inner == {}


def test_classes_below_a_node(files):
    selection = load_selection(node='top', **files)
    assert selection.taxonomy.classes == ('Coat', 'Shirt')
    assert selection.labels == {'/m/02_': 0, '/m/01': 1} and selection.inner == {'/m/05': 'Top'}


def test_what_does_not_go_together_is_refused(files):
    with pytest.raises(ConverterError, match='leave out one'):
        load_selection('openimages_v4_clothing', node='Top', **files)
    with pytest.raises(ConverterError, match='--node Top: which classes are below it'):
        load_selection(node='Top')
    with pytest.raises(TaxonomyError, match="no node 'Topp'; did you mean 'Top'"):
        load_selection(node='Topp', **files)
    with pytest.raises(ConverterError) as caught:
        load_selection({'classes': ['shirt', 'cot']}, **files)
    assert str(caught.value) == (
        f"{files['descriptions']}: no class 'cot' of taxonomy 'custom'; did you mean 'Coat'?"
    )


def test_digests_tell_selections_apart(files):
    one = Taxonomy.load({'classes': ['shirt', 'coat']})
    selections = [
        select(one),
        select(one.load({'classes': ['coat', 'shirt']})),
        load_selection(one, **files),
        load_selection(one, **files | {'hierarchy': None}),
    ]
    assert len({selection.digest() for selection in selections}) == 4
    assert select(one).digest() == selections[0].digest()
