"""The hierarchy in a COCO file's supercategories."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.coco import hierarchy
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError

CCP = Path(__file__).resolve().parents[2] / '..' / 'shared' / 'data' / 'ccp'


def coco(*rows, annotated=(), **more):
    """A COCO file of (name, supercategory) rows with ids from 1; annotations by name."""
    ids = {row[0]: position for position, row in enumerate(rows, start=1)}
    return {
        'images': [],
        'annotations': [
            {'id': i, 'category_id': ids[name]} for i, name in enumerate(annotated, start=1)
        ],
        'categories': [
            {'id': ids[name], 'name': name, 'supercategory': parent} for name, parent in rows
        ],
        **more,
    }


def groups(taxonomy, level=0):
    return {name: taxonomy.superclass_of(name, level) for name in taxonomy.classes}


def refusal(data):
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.from_coco(data, source='train.json')
    message = str(caught.value)
    assert message.startswith('train.json: ')
    assert len(message.splitlines()) == 1
    return message.removeprefix('train.json: ')


def parents_of(data):
    """Ids of the categories that only name a group."""
    return hierarchy._parents(hierarchy._categories(data), data)


def test_supercategories_are_groups():
    taxonomy = Taxonomy.from_coco(
        coco(
            ('shirt', 'top'),
            ('jeans', 'bottom'),
            ('coat', 'top'),
            ('belt', 'none'),
            ('ring', ''),
            ('watch', None),
            ('hat', 'NONE'),
        )
    )
    assert taxonomy.classes == ('shirt', 'jeans', 'coat', 'belt', 'ring', 'watch', 'hat')
    assert taxonomy.num_levels == 2
    assert taxonomy.group_names(0) == ('top', 'bottom', 'belt', 'ring', 'watch', 'hat')
    assert taxonomy.group_index(0) == (0, 1, 0, 2, 3, 4, 5)
    assert taxonomy.name == 'coco'


def test_no_supercategory_at_all_is_flat():
    data = coco(('shirt', None), ('jeans', 'none'))
    del data['categories'][0]['supercategory']
    taxonomy = Taxonomy.from_coco(data)
    assert (taxonomy.num_levels, taxonomy.classes) == (1, ('shirt', 'jeans'))


def test_order_in_the_file_does_not_matter():
    data = coco(('shirt', 'top'), ('jeans', 'bottom'), ('coat', 'top'), ('belt', None))
    expected = Taxonomy.from_coco(data)
    for seed in range(5):
        random.Random(seed).shuffle(data['categories'])
        assert Taxonomy.from_coco(data) == expected


def test_a_class_that_names_itself():
    taxonomy = Taxonomy.from_coco(
        coco(('top', 'top'), ('shirt', 'top'), ('jeans', 'bottom'), ('hat', 'hat'))
    )
    assert groups(taxonomy) == {'top': 'top', 'shirt': 'top', 'jeans': 'bottom', 'hat': 'hat'}
    assert taxonomy.paths[3] == ()  # nothing else is called a hat: no group
    assert parents_of(coco(('top', 'top'), ('shirt', 'top'))) == set()


def test_a_parent_without_annotations_is_no_class():
    data = coco(
        ('top', 'none'),
        ('shirt', 'top'),
        ('coat', 'top'),
        ('jeans', 'none'),
        annotated=['shirt', 'coat', 'jeans'],
    )
    taxonomy = Taxonomy.from_coco(data)
    assert taxonomy.classes == ('shirt', 'coat', 'jeans')
    assert groups(taxonomy) == {'shirt': 'top', 'coat': 'top', 'jeans': 'jeans'}
    assert parents_of(data) == {1}


def test_a_parent_with_annotations_stays_a_class_in_its_own_group():
    data = coco(
        ('bag', 'accessory'),
        ('purse', 'bag'),
        ('belt', 'accessory'),
        ('jeans', ''),
        annotated=['bag', 'purse'],
    )
    taxonomy = Taxonomy.from_coco(data)
    assert parents_of(data) == set()
    assert taxonomy.classes == ('bag', 'purse', 'belt', 'jeans')
    assert groups(taxonomy, 0) == {
        'bag': 'accessory',
        'purse': 'accessory',
        'belt': 'accessory',
        'jeans': 'jeans',
    }
    assert groups(taxonomy, 1) == {'bag': 'bag', 'purse': 'bag', 'belt': 'belt', 'jeans': 'jeans'}


def test_parents_of_parents_are_higher_levels():
    data = coco(
        ('clothing', 'none'),
        ('headwear', 'accessories'),
        ('accessories', 'none'),
        ('helmets', 'headwear'),
        ('ski helmet', 'helmets'),
        ('hat', 'headwear'),
        ('top', 'none'),
        ('shirt', 'top'),
        ('tie', 'accessories'),
        annotated=['ski helmet', 'hat', 'shirt', 'tie', 'clothing'],
    )
    taxonomy = Taxonomy.from_coco(data)
    assert parents_of(data) == {2, 3, 4, 7}
    assert taxonomy.num_levels == 4
    assert dict(zip(taxonomy.classes, taxonomy.paths, strict=True)) == {
        'clothing': (),
        'ski helmet': ('accessories', 'headwear', 'helmets'),
        'hat': ('accessories', 'headwear'),
        'shirt': ('top',),
        'tie': ('accessories',),
    }


def test_a_root_over_groups_is_taken_off():
    rows = [
        ('cloth', 'none'),
        ('top', 'cloth'),
        ('bottom', 'cloth'),
        ('shirt', 'top'),
        ('jeans', 'bottom'),
        ('coat', 'top'),
        ('belt', 'cloth'),
    ]
    taxonomy = Taxonomy.from_coco(coco(*rows))
    assert taxonomy.num_levels == 2
    assert groups(taxonomy) == {'shirt': 'top', 'jeans': 'bottom', 'coat': 'top', 'belt': 'belt'}
    above = [('everything', 'none'), ('cloth', 'everything'), *rows[1:]]
    assert Taxonomy.from_coco(coco(*above)) == taxonomy


@pytest.mark.parametrize(
    'rows',
    [
        [('cloth', 'none'), ('shirt', 'cloth'), ('jeans', 'cloth')],  # as Roboflow exports
        [('shirt', 'cloth'), ('jeans', 'cloth')],
        [('all', ''), ('cloth', 'all'), ('shirt', 'cloth'), ('jeans', 'cloth')],
    ],
)
def test_one_group_of_all_classes_is_none(rows):
    taxonomy = Taxonomy.from_coco(coco(*rows))
    assert (taxonomy.num_levels, taxonomy.classes) == (1, ('shirt', 'jeans'))


def test_a_group_that_repeats_the_name_of_its_one_class_is_none():
    data = coco(('Shirt', 'shirt'), ('rain coat', 'Rain_Coat'), ('jeans', 'bottom'), ('hat', ''))
    assert Taxonomy.from_coco(data).paths == ((), (), ('bottom',), ())
    data = coco(('Shirt', 'shirt'), ('vest', 'shirt'), ('jeans', 'bottom'))
    assert Taxonomy.from_coco(data).paths == (('shirt',), ('shirt',), ('bottom',))
    data = coco(('Shirt', 'shirt'), ('t', 'short'), ('short', 'shirt'), ('jeans', 'bottom'))
    assert Taxonomy.from_coco(data).paths == (('shirt',), ('shirt', 'short'), ('bottom',))


def test_a_single_class_may_have_a_group():
    taxonomy = Taxonomy.from_coco(coco(('cloth', 'none'), ('shirt', 'cloth')))
    assert groups(taxonomy) == {'shirt': 'cloth'}


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        ({}, "not a COCO file: it has no list of 'categories'"),
        ({'categories': {'a': 1}}, 'not a COCO file'),
        ({'categories': []}, "'categories' is empty"),
        ({'categories': ['shirt']}, "categories[0] is 'shirt'; give it an id and a name"),
        ({'categories': [{'id': 1}]}, "categories[0] is {'id': 1}; give it an id and a name"),
        ({'categories': [{'name': 'a'}]}, 'categories[0] is'),
        (
            {'categories': [{'id': '1', 'name': 'a'}]},
            "categories[0] has the id '1'; give it a whole",
        ),
        ({'categories': [{'id': True, 'name': 'a'}]}, 'categories[0] has the id True'),
        ({'categories': [{'id': 1, 'name': 5}]}, 'the category with id 1 is 5, not text'),
        ({'categories': [{'id': 1, 'name': ''}]}, 'the category with id 1 is empty'),
        (
            {'categories': [{'id': 1, 'name': 'a', 'supercategory': 5}]},
            "the supercategory of 'a' is 5",
        ),
        (
            {'categories': [{'id': 1, 'name': 'a'}, {'id': 1, 'name': 'b'}]},
            "categories 'a' and 'b' both have id 1; number them apart",
        ),
        (
            {'categories': [{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'a'}]},
            "categories 1 and 2 are both named 'a'; merge or rename one",
        ),
        ({'categories': [{'id': 1, 'name': 'a'}], 'annotations': 5}, "'annotations' is 5"),
        (coco(('T-shirt', ''), ('t shirt', '')), "classes 'T-shirt' and 't shirt' differ only in"),
        (
            coco(('shirt', 'Top'), ('coat', 'top')),
            "at level 0, the group 'Top' and the group 'top' have one name",
        ),
        (
            coco(('a', 'b'), ('b', 'a'), ('c', '')),
            "supercategories run in a circle: 'a' -> 'b' -> 'a'; break it",
        ),
        (coco(('a', 'b'), ('b', 'a'), annotated=['a', 'b']), 'supercategories run in a circle'),
        (
            coco(('x', 'a'), ('a', 'b'), ('b', 'c'), ('c', 'b'), annotated=['x']),
            "supercategories run in a circle: 'b' -> 'c' -> 'b'",
        ),
        (coco(('y', ''), *((f'c{i}', f'c{i + 1}') for i in range(30))), 'groups nest more than 20'),
    ],
)
def test_refused(data, said):
    assert refusal(data).startswith(said)


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'{"categories": [\n  {"id": 1 2}]}', 'not valid JSON (Expecting'),
        (b'', 'not valid JSON'),
        (b'\x89PNG\xff', 'not valid JSON'),
        (b'[' * 200000, 'not valid JSON (nested too deeply)'),
        (b'{"categories": [{"id": ' + b'1' * 5000 + b', "name": "a"}]}', 'not valid JSON'),
        (b'[1, 2]', 'not a COCO file: its top level is a list'),
    ],
)
def test_broken_files(tmp_path, content, said):
    path = tmp_path / 'train.json'
    path.write_bytes(content)
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.load(path)
    assert str(caught.value).startswith(f'{path}: {said}')
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_equals_its_content(tmp_path):
    data = coco(('shirt', 'top'), ('jeans', 'bottom'))
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(data), encoding='utf-8-sig')
    taxonomy = Taxonomy.load(str(path))
    assert taxonomy.name == 'train.json'
    assert taxonomy == Taxonomy(
        'train.json', *zip(*[('shirt', ('top',)), ('jeans', ('bottom',))], strict=True)
    )
    assert Taxonomy.from_coco(data).classes == taxonomy.classes


NAMES = st.sampled_from('abcdef')


@settings(deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.one_of(NAMES, st.none())), unique_by=lambda row: row[0]),
    st.sets(NAMES),
    st.randoms(use_true_random=False),
)
def test_any_categories(rows, annotated, shuffler):
    data = coco(*rows, annotated=[name for name, _ in rows if name in annotated])
    try:
        taxonomy = Taxonomy.from_coco(data)
    except TaxonomyError as error:
        assert len(str(error).splitlines()) == 1
        return
    parents = parents_of(data)
    kept = [category for category in data['categories'] if category['id'] not in parents]
    assert taxonomy.classes == tuple(category['name'] for category in kept)
    named = {parent for name, parent in rows if parent != name}
    for category in kept:  # classes of one direct parent, or named by it, share their finest group
        path = taxonomy.paths[taxonomy.label_of(category['name'])]
        own, above = category['name'], category['supercategory']
        expected = own if own in named else above if above != own else None
        assert (path[-1] if path else None) in (expected, None)
    shuffler.shuffle(data['categories'])
    assert Taxonomy.from_coco(data) == taxonomy


@pytest.mark.parametrize('split', ['train', 'val'])
def test_real_photos(split):
    if not CCP.exists():
        pytest.skip('needs ../shared/data/ccp, which is not on this machine')
    path = CCP / f'{split}.json'
    data = json.loads(path.read_text())
    taxonomy = Taxonomy.load(path)
    assert taxonomy.num_classes == 44
    assert taxonomy.num_levels == 2
    assert taxonomy.num_groups(0) == 11
    assert parents_of(data) == set()
    for category in data['categories']:
        assert taxonomy.superclass_of(category['name']) == category['supercategory']
    assert Taxonomy.load(taxonomy.to_dict()) == taxonomy
    trained = Taxonomy.load(CCP / 'train.json')
    names = [category['name'] for category in data['categories']]
    assert trained.match_categories(names, path) == list(range(44))


def roboflow(*categories, annotated):
    return {
        'categories': [
            {'id': id, 'name': name, 'supercategory': above} for id, name, above in categories
        ],
        'annotations': [{'category_id': id} for id in annotated],
    }


def test_a_root_with_the_name_of_a_class_is_left_out():
    classes = (1, 'shirt', 'shirt'), (2, 'coat', 'shirt')
    for root in ((0, 'shirt', 'none'), (3, 'shirt', 'none')):
        parsed = hierarchy.parse(roboflow(root, *classes, annotated=[1, 2]))
        assert parsed['classes'] == ['shirt', 'coat']
        assert not any(parsed['paths'])


def test_groups_below_such_a_root_stay():
    data = roboflow(
        (0, 'shirt', 'none'),
        (1, 'top', 'shirt'),
        (2, 'bottom', 'shirt'),
        (3, 'shirt', 'top'),
        (4, 'skirt', 'bottom'),
        annotated=[3, 4],
    )
    parsed = hierarchy.parse(data)
    assert parsed['classes'] == ['shirt', 'skirt']
    assert parsed['paths'] == [('top',), ('bottom',)]


def test_two_annotated_namesakes_are_still_refused():
    data = roboflow((0, 'shirt', 'none'), (1, 'shirt', 'none'), annotated=[0, 1])
    with pytest.raises(TaxonomyError, match="categories 0 and 1 are both named 'shirt'"):
        hierarchy.parse(data)


def test_the_last_namesake_stays_if_none_has_boxes():
    assert hierarchy.namesakes_without_boxes({0: 'a', 4: 'a', 5: 'b', 6: None, 7: None}, ()) == {
        0: 4
    }


@pytest.mark.parametrize('word', ['N/A', 'null', 'NaN', ' None ', '-', '<NA>', '', float('nan')])
def test_words_for_no_group(word):
    data = coco(('shirt', 'top'), ('vest', 'top'), ('hat', word))
    assert hierarchy.parse(data)['paths'] == [('top',), ('top',), ()]


@pytest.mark.parametrize('word', ['other', 'nano', 'not available'])
def test_words_that_are_groups(word):
    data = coco(('shirt', 'top'), ('vest', 'top'), ('hat', word))
    assert hierarchy.parse(data)['paths'][-1] == (word,)
