"""The built-in taxonomies against the releases' own lists."""

import csv
import json
from pathlib import Path

import pytest

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.files import builtin_names

SHARED = Path(__file__).resolve().parents[2] / '..' / 'shared'


def shared_file(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f'needs ../shared/{name}, which is not on this machine')
    return path


@pytest.fixture
def df2():
    return Taxonomy.load('deepfashion2')


@pytest.fixture
def oiv4c():
    return Taxonomy.load('openimages_v4_clothing')


def test_names():
    assert builtin_names() == ('deepfashion2', 'openimages_v4_clothing')
    assert [Taxonomy.load(name).name for name in builtin_names()] == list(builtin_names())


def test_deepfashion2_labels_are_the_release_ids_less_one(df2):
    assert df2.classes == (
        'short sleeve top',
        'long sleeve top',
        'short sleeve outwear',
        'long sleeve outwear',
        'vest',
        'sling',
        'shorts',
        'trousers',
        'skirt',
        'short sleeve dress',
        'long sleeve dress',
        'vest dress',
        'sling dress',
    )
    assert df2.num_levels == 2
    assert df2.group_names(0) == ('top', 'bottom', 'one-piece dress')
    assert df2.group_index(0) == (0,) * 6 + (1,) * 3 + (2,) * 4


# The category names that the release's deepfashion2_to_coco.py writes, ids 1 to 13.
CONVERTER_NAMES = (
    'short_sleeved_shirt',
    'long_sleeved_shirt',
    'short_sleeved_outwear',
    'long_sleeved_outwear',
    'vest',
    'sling',
    'shorts',
    'trousers',
    'skirt',
    'short_sleeved_dress',
    'long_sleeved_dress',
    'vest_dress',
    'sling_dress',
)


def test_deepfashion2_knows_the_official_converters_names(df2):
    assert df2.match_categories(CONVERTER_NAMES, 'train.json') == list(range(13))


def test_deepfashion2_knows_the_papers_names(df2):
    names = [name.replace('top', 'shirt') for name in df2.classes]
    assert df2.match_categories(names, 'table 3') == list(range(13))
    with open(shared_file('paper/table3_df2_per_class.csv'), newline='') as file:
        rows = list(csv.DictReader(file))
    assert sorted(df2.label_of(row['category']) for row in rows) == list(range(13))


def test_deepfashion2_knows_the_genuine_annotation(df2):
    items = json.loads(shared_file('formats/deepfashion2_train_000001.json').read_text())
    items = [item for key, item in items.items() if key.startswith('item')]
    assert items
    for item in items:
        assert df2.label_of(item['category_name']) == item['category_id'] - 1


def leaves_below(node, found=False):
    """Label names of the leaves below Clothing, by a walk of the official hierarchy."""
    found = found or node['LabelName'] == '/m/09j2d'
    children = node.get('Subcategory', []) + node.get('Part', [])
    if not children:
        return {node['LabelName']} if found else set()
    return set().union(*(leaves_below(child, found) for child in children))


def test_openimages_classes_are_the_official_leaves_below_clothing(oiv4c):
    hierarchy = json.loads(shared_file('formats/bbox_labels_600_hierarchy.json').read_text())
    with open(shared_file('formats/class-descriptions-boxable.csv'), newline='') as file:
        display = dict(csv.reader(file))
    leaves = leaves_below(hierarchy)
    assert {display[leaf] for leaf in leaves} == set(oiv4c.classes)
    for leaf in leaves:
        assert oiv4c.classes[oiv4c.label_of(leaf)] == display[leaf]
    # No other of the 600 classes may be taken for one of these, by name or by label name.
    others = {text for leaf in set(display) - leaves for text in (leaf, display[leaf])}
    assert not [text for text in others if oiv4c.find(text) is not None]


def test_openimages_groups(oiv4c):
    assert oiv4c.num_classes == 40
    assert oiv4c.classes == tuple(sorted(oiv4c.classes, key=str.casefold))
    members = {}
    for name in oiv4c.classes:
        members.setdefault(oiv4c.superclass_of(name), set()).add(name.casefold())
    assert {group: names for group, names in members.items() if len(names) > 1} == {
        'headwear': {
            'cowboy hat',
            'fedora',
            'sombrero',
            'sun hat',
            'bicycle helmet',
            'football helmet',
            'tiara',
            'crown',
            'swim cap',
        },
        'neckwear': {'necklace', 'tie', 'scarf'},
        'bottom': {'shorts', 'jeans', 'miniskirt'},
        'footwear': {'roller skates', 'boot', 'high heels', 'sandal', 'sock'},
        'luggage and bags': {'backpack', 'suitcase', 'briefcase', 'handbag'},
        'eyewear': {'sunglasses', 'goggles', 'glasses'},
        'top': {'shirt', 'coat', 'jacket'},
    }
    assert oiv4c.num_groups(0) == 7 + 10


def test_openimages_grouped_classes_are_those_of_table_4(oiv4c):
    with open(shared_file('paper/table4_oiv4c_per_class.csv'), newline='') as file:
        rows = list(csv.DictReader(file))
    labels = {oiv4c.label_of(row['category']) for row in rows}
    sizes = [oiv4c.group_index(0).count(group) for group in oiv4c.group_index(0)]
    assert labels == {label for label, size in enumerate(sizes) if size > 1}
    assert len(labels) == 30


@pytest.mark.parametrize(
    ('name', 'official'),
    [
        ('bike helmet', 'Bicycle helmet'),
        ('Swimcap', 'Swim cap'),
        ('Sunhat', 'Sun hat'),
        ('cowboy hat', 'Cowboy hat'),
        ('/m/025rp__', 'Cowboy hat'),
        ('/m/01gkx_', 'Swimwear'),
    ],
)
def test_openimages_other_names(oiv4c, name, official):
    assert oiv4c.classes[oiv4c.label_of(name)] == official


@pytest.mark.parametrize('name', builtin_names())
def test_written_and_read_again(name, tmp_path):
    taxonomy = Taxonomy.load(name)
    for variant in (taxonomy, taxonomy.ungrouped()):
        assert Taxonomy.load(variant.to_dict()) == variant
        path = tmp_path / 'other_name.yaml'
        path.write_text(variant.to_yaml(), encoding='utf-8')
        assert Taxonomy.load(path) == variant
