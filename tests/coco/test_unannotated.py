"""Which classes an image does not annotate, by LVIS's fields."""

from __future__ import annotations

import json

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.coco.unannotated import unannotated_classes
from mmdet_multigrain.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load({'groups': {'footwear': ['boot', 'sandal']}, 'ungrouped': ['hat', 'bag']})
IDS = {'boot': 1, 'sandal': 2, 'hat': 3, 'bag': 4, 'footwear': 7}


def found(tmp_path, fields, boxes=()):
    """The classes of one image with these fields, and boxes of these categories."""
    content = dict(
        images=[dict(id=5, file_name='a.jpg', width=90, height=90, **fields)],
        categories=[dict(id=id, name=name) for name, id in IDS.items()],
        annotations=[
            dict(id=n, image_id=5, category_id=IDS[name], bbox=[1, 1, 9, 9], area=81, iscrowd=0)
            for n, name in enumerate(boxes, 1)
        ],
    )
    path = tmp_path / 'file.json'
    path.write_text(json.dumps(content))
    file = AnnotationFile(path, taxonomy=TAXONOMY, coarse=True)
    classes = unannotated_classes(file).get(5, ())
    return {TAXONOMY.classes[label] for label in classes}


def test_neither_found_nor_searched_for(tmp_path):
    assert found(tmp_path, {}, ['boot']) == set()
    assert found(tmp_path, dict(neg_category_ids=[3]), ['boot']) == {'sandal', 'bag'}
    assert found(tmp_path, dict(neg_category_ids=[]), ['boot', 'bag']) == {'sandal', 'hat'}
    assert found(tmp_path, dict(neg_category_ids=[99, 4])) == {'boot', 'sandal', 'hat'}


def test_not_all_of_them_have_a_box(tmp_path):
    assert found(tmp_path, dict(not_exhaustive_category_ids=[1]), ['boot']) == {'boot'}
    fields = dict(neg_category_ids=[2, 3, 4], not_exhaustive_category_ids=[1])
    assert found(tmp_path, fields, ['boot']) == {'boot'}


def test_a_category_of_a_group_stands_for_its_classes_but_a_box_of_it_for_none(tmp_path):
    assert found(tmp_path, dict(neg_category_ids=[7]), ['footwear', 'hat']) == {'bag'}
    fields = dict(neg_category_ids=[3, 4])
    assert found(tmp_path, fields, ['footwear']) == {'boot', 'sandal'}
