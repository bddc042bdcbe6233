"""COCO files as they come: scrambled, renamed, incomplete, broken."""

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.datasets import TaxonomyCOCO
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import AnnotationError

GARMENTS = Taxonomy.load(
    {
        'groups': {'top': ['shirt', 'vest'], 'bottom': ['skirt', 'shorts']},
        'ungrouped': ['hat'],
        'classes': ['shirt', 'skirt', 'vest', 'hat', 'shorts'],
        'aliases': {'shirt': ['tee', 'T-shirt'], 'shorts': ['short trousers']},
    }
)


@pytest.fixture
def read(write):
    """Write a content and read it with the taxonomy of garments."""

    def read_content(content, **kwargs) -> TaxonomyCOCO:
        return TaxonomyCOCO(write(content), taxonomy=GARMENTS, **kwargs)

    return read_content


def labeled(coco):
    """(image id, label, box) of every annotation that has a label, in no order."""
    label_of = {category: label for label, category in enumerate(coco.category_ids)}
    return sorted(
        (item['image_id'], label_of[item['category_id']], *item['bbox'])
        for item in coco.dataset['annotations']
        if item['category_id'] in label_of
    )


def one_line(caught) -> str:
    message = str(caught.value)
    assert '\n' not in message and len(message) < 400
    return message


def test_labels_by_hand(content, read):
    coco = read(content)
    assert coco.category_ids == [1, 2, 3, 4, 5]
    assert labeled(coco) == [
        (11, 0, 0, 0, 10, 20),
        (11, 2, 5, 5, 8, 8),
        (12, 1, 1, 2, 30, 4),
        (12, 4, 1, 1, 3, 3),
        (12, 4, 9, 9, 4, 4),
        (13, 3, 2, 2, 20, 20),
    ]


@pytest.mark.parametrize('seed', range(4))
def test_order_numbers_and_aliases_do_not_matter(content, read, seed):
    expected = labeled(read(content))
    rng = random.Random(seed)
    number = dict(zip(range(1, 6), rng.sample(range(50), 5), strict=True))
    rename = {'shirt': rng.choice(['tee', 't_shirt', 'Shirt']), 'shorts': 'SHORT-TROUSERS'}
    for category in content['categories']:
        category['id'] = number[category['id']]
        category['name'] = rename.get(category['name'], category['name'])
    for item in content['annotations']:
        item['category_id'] = number[item['category_id']]
    for entries in content.values():
        rng.shuffle(entries)
    coco = read(content)
    assert labeled(coco) == expected
    assert coco.get_cat_ids(cat_names=GARMENTS.classes) == coco.category_ids
    assert coco.get_cat_ids(cat_names=['vest', 'tee']) == [number[3], number[1]]
    assert sorted(coco.get_cat_ids()) == sorted(number.values())


def test_missing_class(content, read):
    content['categories'] = [row for row in content['categories'] if row['name'] != 'skirt']
    content['annotations'] = [row for row in content['annotations'] if row['category_id'] != 2]
    with pytest.raises(TaxonomyError, match="train.json: 1 of 5 classes .*'skirt'") as caught:
        read(content)
    one_line(caught)
    coco = read(content, allow_missing=True)
    # No label moves up into the gap, and nothing has the stand-in for the missing category.
    assert coco.category_ids[:1] + coco.category_ids[2:] == [1, 3, 4, 5]
    assert coco.category_ids[1] not in coco.cats and coco.category_ids[1] < 0
    assert [row[1] for row in labeled(coco)] == [0, 2, 4, 4, 3]


def test_stand_in_for_a_missing_class_is_no_category_of_the_file(content, read):
    content['categories'] = [row for row in content['categories'] if row['name'] != 'shirt']
    content['annotations'] = content['annotations'][1:]
    content['categories'].append({'id': -1, 'name': 'Roboflow root'})
    content['categories'][2]['id'] = content['annotations'][-1]['category_id'] = -2
    coco = read(content, allow_missing=True)
    assert coco.category_ids[1:] == [2, 3, -2, 5]
    assert coco.category_ids[0] not in coco.cats


def test_unknown_class(content, read, log):
    content['categories'][4]['name'] = 'shotrs'
    content['categories'].append({'id': 5 + 4, 'name': 'shorts'})
    with pytest.raises(TaxonomyError, match="'shotrs'") as caught:
        read(content)
    one_line(caught)
    coco = read(content, allow_unknown=True)
    assert [row[1] for row in labeled(coco)] == [0, 2, 1, 3]
    assert [line for line in log if 'left out' in line] == [
        f"{coco.path}: left out 2 boxes of classes that taxonomy 'custom' lacks: 'shotrs'"
    ]


def test_misspelt_class_gets_a_suggestion(content, read):
    content['categories'][4]['name'] = 'shotrs'
    with pytest.raises(TaxonomyError, match="did you mean 'shorts'"):
        read(content)


def test_unknown_category_without_boxes_does_not_matter(content, read, log):
    expected = labeled(read(content))
    content['categories'].insert(0, {'id': 0, 'name': 'clothes', 'supercategory': 'none'})
    assert labeled(read(content)) == expected
    assert not any('left out' in line for line in log)


def test_two_categories_of_one_class(content, read, log):
    content['categories'].insert(0, {'id': 0, 'name': 'tee'})
    assert read(content).category_ids == read({**content, 'annotations': []}).category_ids
    assert read(content).category_ids[0] == 1
    assert "left out category 'tee' (id 0)" in log[0]
    content['annotations'][1]['category_id'] = 0
    with pytest.raises(TaxonomyError, match="'tee' and 'shirt' are both class 'shirt'"):
        read(content)


def test_left_out_fields_are_filled_in_and_logged_once(content, read, log):
    for item in content['annotations']:
        del item['id'], item['iscrowd']
    del content['annotations'][0]['area']
    content['annotations'][1]['area'] = float('nan')
    content['annotations'][2]['area'] = 0
    content['annotations'][3]['area'] = 7.5
    coco = read(content)
    assert [item['id'] for item in coco.dataset['annotations']] == [1, 2, 3, 4, 5, 6]
    assert [item['area'] for item in coco.dataset['annotations']] == [200, 64, 120, 7.5, 16, 400]
    assert all(item['iscrowd'] == 0 for item in coco.dataset['annotations'])
    assert log == [
        f"{coco.path}: filled in 'area' of 3 annotations",
        f"{coco.path}: filled in 'iscrowd' of 6 annotations",
        f'{coco.path}: numbered annotations from 1 (some ids missing, 0 or not whole)',
    ]


@pytest.mark.parametrize('bad', [0, None, 'a1', -3, 2.0])
def test_ids_that_evaluation_cannot_match_are_replaced(content, read, bad):
    content['annotations'][3]['id'] = bad
    coco = read(content)
    assert sorted(coco.anns) == [1, 2, 3, 4, 5, 6]
    assert coco.anns[4]['bbox'] == [1, 1, 3, 3]


def test_nothing_is_logged_about_a_whole_file(content, read, log, capsys):
    read(content)
    assert log == []
    assert capsys.readouterr().out == ''


def test_text_ids_of_images(content, read):
    for image in content['images']:
        image['id'] = f'img-{image["id"]}'
    for item in content['annotations']:
        item['image_id'] = f'img-{item["image_id"]}'
    assert labeled(read(content))[0][:2] == ('img-11', 0)


NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        ('annotations.2.id', 1, 'annotation id 1 is used twice'),
        ('annotations.2.image_id', 99, 'annotations[2]: no image has id 99'),
        ('annotations.2.image_id', '11', "annotations[2]: no image has id '11'"),
        ('annotations.2.image_id', [11], 'annotations[2]: no image has id [11]'),
        ('annotations.2.category_id', 99, 'annotations[2]: no category has id 99'),
        ('annotations.2.category_id', {}, 'annotations[2]: no category has id {}'),
        ('annotations.2.category_id', None, "annotations[2] has no 'category_id'"),
        ('annotations.2.bbox', None, "annotations[2] has no 'bbox'"),
        ('annotations.2', 'x', "annotations[2] has no 'image_id'"),
        ('annotations.2.bbox.1', NAN, 'annotations[2]: bbox [1, nan, 30, 4] is not [x, y'),
        ('annotations.2.bbox.1', INF, 'annotations[2]: bbox [1, inf, 30, 4] is not [x, y'),
        ('annotations.2.bbox.1', True, 'annotations[2]: bbox [1, True, 30, 4] is not [x, y'),
        ('annotations.2.bbox.1', '2', "annotations[2]: bbox [1, '2', 30, 4] is not [x, y"),
        ('annotations.2.bbox.1', None, 'annotations[2]: bbox [1, None, 30, 4] is not [x, y'),
        ('annotations.2.bbox.1', 10**400, 'annotations[2]: bbox '),
        ('annotations.2.bbox', [1, 2, 3], 'annotations[2]: bbox [1, 2, 3] is not [x, y'),
        ('annotations.2.bbox', 'none', "annotations[2]: bbox 'none' is not [x, y"),
        ('annotations.2.bbox', {'x': 1}, "annotations[2]: bbox {'x': 1} is not [x, y"),
        ('annotations.2.iscrowd', '0', "annotations[2]: iscrowd '0' is not 0 or 1"),
        ('images.1.height', None, "images[1] has no 'height'"),
        ('images.1.width', 0, 'images[1]: width 0 is not a size in pixels'),
        ('images.1.width', '40', "images[1]: width '40' is not a size in pixels"),
        ('images.1.width', NAN, 'images[1]: width nan is not a size in pixels'),
        ('images.1.file_name', 7, 'images[1]: file_name 7 is not text'),
        ('images.1.file_name', '../12.png', "images[1]: file_name '../12.png' leaves the image f"),
        ('images.1.file_name', '/etc/12.png', "images[1]: file_name '/etc/12.png' leaves the im"),
        ('images.1.file_name', 'a/../../b', "images[1]: file_name 'a/../../b' leaves the image"),
        ('images.1.id', 11, 'images[1]: id 11 is used twice'),
        ('images.1.id', [1], 'images[1]: id [1] is not an integer'),
        ('images.1', None, "images[1] has no 'id'"),
        ('images', None, "no list 'images'; is it a COCO file?"),
        ('annotations', {}, "no list 'annotations'; is it a COCO file?"),
        ('categories', None, "no list 'categories'; is it a COCO file?"),
        ('categories.1', 3, "categories[1] has no 'id'"),
        ('categories.1.id', 1, 'categories[1]: id 1 is used twice'),
        ('categories.1.id', 'a', "categories[1]: id 'a' is not an integer"),
        ('categories.1.name', [5], 'categories[1]: name [5] is not text'),
    ],
)
def test_a_wrong_entry_is_named(content, tmp_path, place, value, message):
    *parents, last = [int(key) if key.isdigit() else key for key in place.split('.')]
    target = content
    for key in parents:
        target = target[key]
    target[last] = value
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError) as caught:
        TaxonomyCOCO(path, taxonomy=GARMENTS)
    assert one_line(caught).startswith(f'{path}')
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ('raw', 'message'),
    [
        (b'', 'not valid JSON'),
        (b'{"images": [', 'not valid JSON'),
        (b'\xff\xfe\x00', 'not valid JSON'),
        (b'[' * 100_000, 'not valid JSON (nested too deeply)'),
        (b'[]', 'not a COCO file: its top level is a '),
        (b'NaN', 'not a COCO file: its top level is a '),
        (None, 'this is a folder; name a file in it'),
    ],
)
def test_a_file_that_is_none(tmp_path, raw, message):
    path = tmp_path / 'train.json'
    path.mkdir() if raw is None else path.write_bytes(raw)
    with pytest.raises(AnnotationError) as caught:
        TaxonomyCOCO(path, taxonomy=GARMENTS)
    assert one_line(caught).startswith(f'{path}: {message}')


def test_no_file(tmp_path):
    with pytest.raises(AnnotationError, match='nowhere.json: no such annotation file'):
        TaxonomyCOCO(tmp_path / 'nowhere.json', taxonomy=GARMENTS)


def test_byte_order_mark(content, write):
    path = write(content)
    with open(path, 'rb+') as file:
        raw = file.read()
        file.seek(0)
        file.write(b'\xef\xbb\xbf' + raw)
    assert len(TaxonomyCOCO(path, taxonomy=GARMENTS).anns) == 6


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    'id',
                    'name',
                    'bbox',
                    'image_id',
                    'category_id',
                    'images',
                    'annotations',
                    'categories',
                    'file_name',
                    'width',
                    'height',
                    'area',
                    'iscrowd',
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(json_values, st.sampled_from(['', 'images', 'annotations', 'categories']), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused_in_one_line(tmp_path_factory, value, where, number):
    content = {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 9, 'height': 9}],
        'categories': [{'id': n, 'name': name} for n, name in enumerate(GARMENTS.classes)],
        'annotations': [{'image_id': 1, 'category_id': 2, 'bbox': [0, 0, 2, 2]}] * 2,
    }
    if where:
        entries = content[where]
        entry = entries[number % len(entries)]
        entries[number % len(entries)] = {**entry, **value} if isinstance(value, dict) else value
    path = tmp_path_factory.getbasetemp() / 'any.json'
    path.write_text(json.dumps(content if where else value))
    try:
        coco = TaxonomyCOCO(path, taxonomy=GARMENTS, allow_missing=True)
    except (AnnotationError, TaxonomyError) as error:
        assert '\n' not in str(error) and str(path) in str(error)
    else:
        assert len(coco.category_ids) == 5


def test_a_large_file_takes_seconds(tmp_path):
    count = 200_000
    rng = random.Random(0)
    path = tmp_path / 'large.json'
    path.write_text(
        json.dumps(
            {
                'images': [
                    {'id': n, 'file_name': f'{n}.jpg', 'width': 800, 'height': 600}
                    for n in range(count // 2)
                ],
                'categories': [{'id': n, 'name': name} for n, name in enumerate(GARMENTS.classes)],
                'annotations': [
                    {
                        'id': n + 1,
                        'image_id': rng.randrange(count // 2),
                        'category_id': n % 5,
                        'bbox': [1.5, 2.5, 100.0, 200.0],
                    }
                    for n in range(count)
                ],
            }
        )
    )
    start = time.process_time()
    coco = TaxonomyCOCO(path, taxonomy=GARMENTS)
    seconds = time.process_time() - start
    assert len(coco.anns) == count
    assert seconds < 10


@pytest.mark.parametrize('annotations', [None, 'left out'])
def test_a_test_set_has_no_annotations(content, read, annotations, monkeypatch):
    notes = []
    monkeypatch.setattr(
        'mmdet_multigrain.datasets.taxonomy_coco.print_log', lambda note, *_: notes.append(note)
    )
    content['annotations'] = annotations
    if annotations:
        del content['annotations']
    coco = read(content)
    assert coco.dataset['annotations'] == [] and coco.category_ids == [1, 2, 3, 4, 5]
    assert [note.endswith('a test set, only to predict on') for note in notes] == [True]
