"""A COCO file written piece by piece: numbers, order, and the first line."""

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.coco.writer import ConversionSummary, coco_categories, open_coco, read_info
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.files import dump_json, load_json

TAXONOMY = Taxonomy.load({'groups': {'top': ['vest', 'coat']}, 'ungrouped': ['hat']})


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('coco')


def add(coco, image, boxes):
    """Add one image."""
    coco.add_all([image], [dump_json({'bbox': box}) for box in boxes], [len(boxes)])


def write(path, *images):
    with open_coco(path, {'description': 'x'}, TAXONOMY) as coco:
        for name, *boxes in images:
            add(coco, dump_json({'file_name': name}), boxes)
    return coco


def test_numbers_images_and_annotations_from_1(tmp_path):
    coco = write(tmp_path / 'a.json', ('1.jpg', [0]), ('2.jpg',), ('3.jpg', [1], [2]))
    assert coco.num_images == 3
    assert load_json(tmp_path / 'a.json') == {
        'info': {'description': 'x'},
        'licenses': [],
        'categories': [
            {'id': 1, 'name': 'vest', 'supercategory': 'top'},
            {'id': 2, 'name': 'coat', 'supercategory': 'top'},
            {'id': 3, 'name': 'hat', 'supercategory': 'hat'},
        ],
        'annotations': [
            {'id': 1, 'image_id': 1, 'bbox': [0]},
            {'id': 2, 'image_id': 3, 'bbox': [1]},
            {'id': 3, 'image_id': 3, 'bbox': [2]},
        ],
        'images': [
            {'id': 1, 'file_name': '1.jpg'},
            {'id': 2, 'file_name': '2.jpg'},
            {'id': 3, 'file_name': '3.jpg'},
        ],
    }
    with open(tmp_path / 'a.json') as file:
        assert json.loads(file.readline().rstrip(',\n') + '}') == {'info': {'description': 'x'}}


def test_empty_file_is_json(tmp_path):
    write(tmp_path / 'a.json')
    content = load_json(tmp_path / 'a.json')
    assert content['images'] == content['annotations'] == []
    assert content['categories'] == coco_categories(TAXONOMY)


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with open_coco(tmp_path / 'b' / 'a.json', {}, TAXONOMY) as coco:
            add(coco, b'{"file_name":"a"}', [[]])
            raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


images = st.lists(st.lists(st.integers(0, 99), max_size=3), max_size=6)


@settings(deadline=None)  # writes files
@given(parts=st.lists(images, max_size=4))
def test_adding_many_is_like_adding_one_by_one(folder, parts):
    with open_coco(folder / 'one.json', {}, TAXONOMY) as coco:
        for boxes in itertools.chain.from_iterable(parts):
            add(coco, b'{"width":1}', boxes)
    with open_coco(folder / 'many.json', {}, TAXONOMY) as coco:
        for part in parts:
            coco.add_all(
                [b'{"width":1}'] * len(part),
                [dump_json({'bbox': box}) for boxes in part for box in boxes],
                map(len, part),
            )
    assert (folder / 'many.json').read_bytes() == (folder / 'one.json').read_bytes()
    content = load_json(folder / 'many.json')
    assert [image['id'] for image in content['images']] == list(range(1, coco.num_images + 1))
    assert [(a['image_id'], a['bbox']) for a in content['annotations']] == [
        (number, box)
        for number, boxes in enumerate(itertools.chain.from_iterable(parts), 1)
        for box in boxes
    ]


def test_info_is_read_from_the_first_line(tmp_path):
    info = {'description': 'Kleider, groß', 'rows': 3}
    with open_coco(tmp_path / 'a.json', info, TAXONOMY):
        pass
    assert read_info(tmp_path / 'a.json') == info
    content = (tmp_path / 'a.json').read_bytes()
    (tmp_path / 'a.json').write_bytes(content[: content.index(b'\n') + 1] + b'not looked at')
    assert read_info(tmp_path / 'a.json') == info


@pytest.mark.parametrize(
    'content',
    [
        None,
        b'',
        b'\0' * 100_000,
        b'{"info":',
        b'{"images":[],\n',
        b'[1,\n',
        b'{"info":1\n',
        b'{"info":{"a":1},"images":[]}',
        b'[' * 100_000,
        b'{"info":"\xff"},\n',
    ],
)
def test_files_without_such_a_line(tmp_path, content):
    if content is not None:
        (tmp_path / 'a.json').write_bytes(content)
    assert read_info(tmp_path / 'a.json') is None


def test_summary_of_what_is_up_to_date_is_one_line():
    summary = ConversionSummary('train', Path('a.json'), TAXONOMY, up_to_date=True)
    assert str(summary) == 'train: a.json is up to date (--force converts it again)'
