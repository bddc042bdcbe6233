"""Open Images' hierarchy: the classes below a node, several parents, and files that are no such."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.converters import openimages_hierarchy as openimages
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError

GENUINE = Path(__file__).resolve().parents[2].parent / 'shared' / 'formats'


def node(name, *subcategories, parts=()):
    result = {'LabelName': name}
    if subcategories:
        result['Subcategory'] = [node(s) if isinstance(s, str) else s for s in subcategories]
    if parts:
        result['Part'] = [node(p) if isinstance(p, str) else p for p in parts]
    return result


# bag stands below fashion (3 leaves) and luggage (2), hat below clothing and below fashion.
CLOTHING = node(
    '/m/clothing',
    node('/m/fashion', '/m/bag', node('/m/hat', '/m/fedora'), '/m/tie'),
    node('/m/luggage', '/m/bag', '/m/case'),
    node('/m/hat', '/m/fedora'),
    '/m/dress',
)
ENTITY = node(
    '/m/entity',
    node('/m/person', parts=['/m/arm']),
    CLOTHING,
    node('/m/car', parts=[node('/m/wheel', '/m/tire')]),
    '/m/coin',
)


def write(folder, content=ENTITY, descriptions=None):
    path = folder / 'hierarchy.json'
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    if descriptions is None:
        return path, None
    (folder / 'classes.csv').write_text(descriptions, encoding='utf-8')
    return path, folder / 'classes.csv'


NAMES = ''.join(
    f'/m/{name},{name.capitalize()}\n'
    for name in ('bag', 'hat', 'fedora', 'tie', 'luggage', 'case', 'dress', 'fashion', 'clothing')
)


@pytest.mark.parametrize('name', ['Clothing', 'clothing', '/m/clothing'])
def test_classes_below_a_node(tmp_path, name):
    taxonomy = Taxonomy.from_openimages(*write(tmp_path, descriptions=NAMES), name)
    assert taxonomy.name == 'Clothing'
    assert dict(zip(taxonomy.classes, taxonomy.paths, strict=True)) == {
        'Bag': ('Luggage',),
        'Case': ('Luggage',),
        'Dress': (),
        'Fedora': ('Hat',),
        'Tie': ('Fashion',),
    }
    assert taxonomy.aliases['Fedora'] == ('/m/fedora',)
    assert Taxonomy.from_mapping(taxonomy.to_dict()) == taxonomy


def test_choices_tell_the_parents_the_chosen_first(tmp_path):
    hierarchy = openimages.read(*write(tmp_path, descriptions=NAMES))
    assert hierarchy.choices('Clothing') == {
        'Bag': ('Luggage', 'Fashion'),
        'Hat': ('Clothing', 'Fashion'),
    }
    assert hierarchy.choices('Luggage') == {}


def test_the_file_decides_between_equal_parents(tmp_path):
    content = node('r', node('b', 'x', 'y'), node('a', 'x', 'z'))
    assert openimages.read(*write(tmp_path, content)).choices() == {'x': ('b', 'a')}


def test_parts_are_no_subcategories(tmp_path):
    hierarchy = openimages.read(*write(tmp_path))
    assert set(hierarchy.below()['classes']) == {
        '/m/person',
        '/m/bag',
        '/m/fedora',
        '/m/tie',
        '/m/case',
        '/m/dress',
        '/m/car',
        '/m/coin',
    }
    assert hierarchy.below('/m/wheel')['classes'] == ['/m/tire']


def test_without_descriptions_label_names_are_the_names(tmp_path):
    taxonomy = Taxonomy.from_openimages(*write(tmp_path), '/m/luggage')
    assert (taxonomy.name, taxonomy.classes) == ('/m/luggage', ('/m/bag', '/m/case'))
    assert not taxonomy.aliases


def test_subcategories_of_all_places_count(tmp_path):
    content = node('r', node('a', 'x'), node('b', node('a', 'y')))
    assert openimages.read(*write(tmp_path, content)).children['a'] == ('x', 'y')


def test_a_group_of_everything_is_taken_off(tmp_path):
    taxonomy = Taxonomy.from_openimages(*write(tmp_path, node('r', node('a', node('b', 'x', 'y')))))
    assert (taxonomy.classes, taxonomy.paths) == (('x', 'y'), ((), ()))


def test_descriptions_with_header_bom_quotes_and_windows_line_ends(tmp_path):
    (tmp_path / 'c.csv').write_bytes(
        '\ufeffLabelName,DisplayName\r\n/m/a,"Hat, sun"\r\n\r\n/m/b, Kleid für außen\r\n'.encode()
    )
    assert openimages.read_descriptions(tmp_path / 'c.csv') == {
        '/m/a': 'Hat, sun',
        '/m/b': 'Kleid für außen',
    }


BAD_HIERARCHIES = {
    'not valid JSON': b'{"LabelName": "/m/a", "Subcategory": [',
    'not valid JSON (': b'',
    'nested too deeply': b'[' * 100_000,
    'the top level is [], not an object with a LabelName': b'[]',
    'the top level is {}': b'{}',
    "an entry of Subcategory of 'r' is {'LabelName': 3}": node('r', {'LabelName': 3}),
    "an entry of Part of 'r' is 'x'": {'LabelName': 'r', 'Part': ['x']},
    "Subcategory of 'r' is {}, not a list": {'LabelName': 'r', 'Subcategory': {}},
    "in a circle: 'r' -> 'r'": node('r', 'r'),
    "in a circle: 'a' -> 'b' -> 'a'": node('r', node('a', 'b'), node('b', 'a')),
    "'r' is a leaf": node('r', parts=['x']),
}


@pytest.mark.parametrize('message', BAD_HIERARCHIES)
def test_what_is_no_hierarchy_is_refused_in_one_line(tmp_path, message):
    path, _ = write(tmp_path, BAD_HIERARCHIES[message])
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.from_openimages(path)
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)
    assert message in str(caught.value)


def test_deep_nesting_is_one_line_whatever_the_parser_allows(tmp_path):
    deep = 'n9999'
    children = {f'n{n}': (f'n{n + 1}',) for n in range(9999)} | {deep: ()}
    openimages._refuse_circles(children)
    hierarchy = openimages.Hierarchy('n0', children | {'n9998': (deep, 'x'), 'x': ()}, {})
    assert hierarchy.below()['paths'] == [(), ()]  # all 9,998 groups hold everything
    uneven = openimages.Hierarchy('n0', children | {'n0': ('n1', 'x'), 'x': ()}, {})
    with pytest.raises(TaxonomyError, match='nest more than'):
        Taxonomy(**uneven.below())
    with pytest.raises(TaxonomyError, match='circle: .* [.][.][.]; break it'):
        openimages._refuse_circles(children | {deep: ('n0',)})


@pytest.mark.parametrize(
    ('descriptions', 'message'),
    [
        ('', 'the file is empty'),
        ('/m/bag\n', "line 1 is '/m/bag', not a label name and a display name"),
        ('/m/bag,Bag\n/m/case,Case,x\n', 'line 2 is'),
        ('/m/bag,\n', 'line 1 is'),
        ('/m/bag,Bag\n/m/bag,Case\n', "line 2 names '/m/bag' 'Case', but an earlier one 'Bag'"),
        ('/m/luggage,Luggage\n/m/bag,Bag\n', "'/m/case' is not among the class descriptions"),
        ('/m/luggage,L\n/m/bag,Bag\n/m/case,Bag\n', "'/m/bag' and '/m/case' are both named 'Bag'"),
    ],
)
def test_bad_descriptions_are_one_line(tmp_path, descriptions, message):
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.from_openimages(*write(tmp_path, descriptions=descriptions), '/m/luggage')
    assert message in str(caught.value) and '\n' not in str(caught.value)


def test_descriptions_that_are_no_text(tmp_path):
    (tmp_path / 'c.csv').write_bytes(b'/m/a,\xff\n')
    with pytest.raises(TaxonomyError, match='not UTF-8'):
        openimages.read_descriptions(tmp_path / 'c.csv')


def test_unknown_nodes_and_missing_files(tmp_path):
    paths = write(tmp_path, descriptions=NAMES)
    with pytest.raises(TaxonomyError, match="no node 'Cloting'; did you mean 'Clothing'?"):
        Taxonomy.from_openimages(*paths, 'Cloting')
    with pytest.raises(TaxonomyError, match='without class descriptions'):
        Taxonomy.from_openimages(paths[0], None, 'Trousers')
    with pytest.raises(TaxonomyError, match='no such file'):
        Taxonomy.from_openimages(tmp_path / 'x.json')


@pytest.fixture
def genuine():
    paths = GENUINE / 'bbox_labels_600_hierarchy.json', GENUINE / 'class-descriptions-boxable.csv'
    if not all(path.is_file() for path in paths):
        pytest.skip('the genuine files (../shared/formats) are not there')
    return paths


def test_clothing_of_the_genuine_files_is_the_built_in_taxonomy(genuine):
    built_in = Taxonomy.load('openimages_v4_clothing')
    taxonomy = Taxonomy.from_openimages(*genuine, 'Clothing')
    assert taxonomy.classes == built_in.classes
    for name, (label_name,) in taxonomy.aliases.items():
        assert built_in.aliases[name][0] == label_name
    groups = dict(zip(taxonomy.classes, taxonomy.paths, strict=True))
    assert groups['Handbag'] == ('Luggage and bags',)  # as the paper has it
    assert groups['Baseball glove'] == ('Fashion accessory', 'Glove')
    assert openimages.read(*genuine).choices('Clothing').keys() == {
        'Tiara',
        'Hat',
        'Scarf',
        'Handbag',
    }


def test_every_node_of_the_genuine_files_gives_a_taxonomy(genuine):
    hierarchy = openimages.read(*genuine)
    inner = [name for name in hierarchy.children if not hierarchy.is_leaf(name)]
    assert len(inner) > 70
    for name in inner:
        taxonomy = Taxonomy(**hierarchy.below(name))
        assert {taxonomy.aliases[leaf][0] for leaf in taxonomy.classes} == hierarchy.leaves(name)


def test_names_of_damaged_files_stand_escaped_in_messages(tmp_path):
    hierarchy = openimages.read(*write(tmp_path, node('/m/a', '/m/b', 'c\x1b[2J'), NAMES))
    with pytest.raises(TaxonomyError) as caught:
        hierarchy.name('c\x1b[2J')
    assert str(caught.value).isprintable() and repr('c\x1b[2J') in str(caught.value)


@pytest.mark.parametrize('name', ['hierarchy.json', 'classes.csv'])
def test_files_too_large_to_be_such(tmp_path, name):
    paths = write(tmp_path, descriptions=NAMES)
    with open(tmp_path / name, 'ab') as file:
        file.truncate(1 << 40)
    with pytest.raises(TaxonomyError, match=rf'{name}: cannot be read \(over 4 MiB, more'):
        openimages.read(*paths)


@st.composite
def graphs(draw):
    """Nodes n0... of which each later one has one parent or several before it."""
    size = draw(st.integers(2, 12))
    children = {f'n{n}': () for n in range(size)}
    for n in range(1, size):
        for parent in sorted(draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=3))):
            children[f'n{parent}'] += (f'n{n}',)
    return children


def _all_paths(children, node):
    """All ways down to each node: a naive reference."""
    yield (node,)
    for child in children[node]:
        for path in _all_paths(children, child):
            yield (node, *path)


@given(graphs())
def test_each_leaf_has_a_path_that_is_shortest(children):
    openimages._refuse_circles(children)
    below = openimages.Hierarchy('n0', children, {}).below()
    paths = list(_all_paths(children, 'n0'))
    assert set(below['classes']) == {path[-1] for path in paths if not children[path[-1]]}
    shortest = {
        leaf: min(len(path) for path in paths if path[-1] == leaf) for leaf in below['classes']
    }
    for leaf, path in zip(below['classes'], below['paths'], strict=True):
        stripped = shortest[leaf] - 2 - len(path)
        assert any(way[1 + stripped : -1] == path for way in paths if way[-1] == leaf)
    assert (
        len(
            {
                shortest[leaf] - len(path)
                for leaf, path in zip(below['classes'], below['paths'], strict=True)
            }
        )
        == 1
    )
