"""A COCO file written piece by piece: numbers, order, and the first line."""

import json
import os

import pytest

from mmdet_multigrain.converters.coco_file import coco_categories, open_coco
from mmdet_multigrain.files import dump_json, load_json
from mmdet_multigrain.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load({'groups': {'top': ['vest', 'coat']}, 'ungrouped': ['hat']})


def write(path, *images):
    with open_coco(path, {'description': 'x'}, TAXONOMY) as coco:
        for name, *boxes in images:
            coco.add(dump_json({'file_name': name}), [dump_json({'bbox': box}) for box in boxes])
    return coco


def test_numbers_images_and_annotations_from_1(tmp_path):
    coco = write(tmp_path / 'a.json', ('1.jpg', [0]), ('2.jpg', ), ('3.jpg', [1], [2]))
    assert (coco.num_images, coco.num_annotations) == (3, 3)
    assert load_json(tmp_path / 'a.json') == {
        'info': {'description': 'x'}, 'licenses': [],
        'categories': [{'id': 1, 'name': 'vest', 'supercategory': 'top'},
                       {'id': 2, 'name': 'coat', 'supercategory': 'top'},
                       {'id': 3, 'name': 'hat', 'supercategory': 'hat'}],
        'annotations': [{'id': 1, 'image_id': 1, 'bbox': [0]},
                        {'id': 2, 'image_id': 3, 'bbox': [1]},
                        {'id': 3, 'image_id': 3, 'bbox': [2]}],
        'images': [{'id': 1, 'file_name': '1.jpg'}, {'id': 2, 'file_name': '2.jpg'},
                   {'id': 3, 'file_name': '3.jpg'}]}
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
            coco.add(b'{"file_name":"a"}', [b'{"bbox":[]}'])
            raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
