"""Which boxes count: one rule for checks, statistics, training and evaluation."""

import json

import pytest

from mmdet_multigrain.checks import classes, granularity
from mmdet_multigrain.checks.data import CocoData, load
from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.coco.boxes import box_columns
from mmdet_multigrain.coco.columns import MIN_IMAGE_SIDE, CocoColumns, is_marked
from mmdet_multigrain.datasets import SuperclassCocoDataset
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.report.runs.inputs import TestSet as Truth
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError

TAXONOMY = Taxonomy('few', ['shirt', 'vest', 'skirt'])
# What is special about a box, and whether it counts in training and in evaluation.
BOXES = [
    ({}, True, True),
    ({'iscrowd': 1}, False, False),
    ({'ignore': 1}, False, False),
    ({'ignore': True}, False, False),
    ({'ignore': 'yes'}, False, False),
    ({'ignore': '0'}, True, True),
    ({'ignore': 'False'}, True, True),
    ({'ignore': None}, True, True),
    ({'bbox': [5, 5, 0.9, 30]}, False, False),
    ({'bbox': [5, 5, 30, 0]}, False, False),
    ({'bbox': [5, 5, -8, 9]}, False, False),
    ({'bbox': [64, 5, 8, 9]}, False, False),
    ({'bbox': [-8, 5, 8, 9]}, False, False),
    ({'bbox': [-7, 5, 8, 9]}, True, True),
    ({'image_id': 2}, False, True),  # an image below 32 pixels
    ({'image_id': 3}, True, True),
    ({'bbox': [5, 5, 1, 1]}, True, True),
    ({'bbox': [5, 48, 8, 9]}, False, False),
    ({'bbox': [63.5, 47.5, 8, 9]}, True, True),
    ({'bbox': [5, -9, 8, 9]}, False, False),
]


def content(boxes):
    return {
        'images': [
            {'id': 1, 'file_name': 'a.png', 'width': 64, 'height': 48},
            {'id': 2, 'file_name': 'b.png', 'width': 64, 'height': 31},
            {'id': 3, 'file_name': 'c.png', 'width': 32, 'height': 32},
        ],
        'categories': [{'id': n, 'name': name} for n, name in enumerate(TAXONOMY.classes)],
        'annotations': [
            {'id': n, 'image_id': 1, 'category_id': 0, 'bbox': [1, 1, 9, 9], **box}
            for n, box in enumerate(boxes, start=1)
        ],
    }


def counts(path, *, train):
    """Boxes of each class as each part counts them."""
    checked = load(path, split='train' if train else 'val')
    by_name = classes.count_boxes(checked, TAXONOMY, checked.is_counted)
    min_size = MIN_IMAGE_SIDE if train else 0
    columns = box_columns(json.loads(path.read_bytes()), TAXONOMY, path, min_size=min_size)
    dataset = SuperclassCocoDataset(
        str(path),
        taxonomy=TAXONOMY,
        data_prefix=dict(img=str(path.parent)),
        filter_cfg=dict(min_size=32),
        test_mode=not train,
    )
    file = AnnotationFile(path, taxonomy=TAXONOMY)
    truth = Truth(path, TAXONOMY, lenient=False).ground_truth
    return {
        'check': [by_name[name] for name in TAXONOMY.classes],
        'statistics': [int(((columns.labels == n) & ~columns.crowd).sum()) for n in range(3)],
        'data set': dataset.box_counts,
        'evaluation': file.training_counts() if train else truth.box_counts(3).tolist(),
    }


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize('number', range(len(BOXES)))
def test_all_parts_count_the_same_boxes(number, train, tmp_path):
    box, *expected = BOXES[number]
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content([box, {'category_id': 1}, {'category_id': 2}])))
    expected = [int(expected[not train]), 1, 1]
    assert counts(path, train=train) == dict.fromkeys(
        ('check', 'statistics', 'data set', 'evaluation'), expected
    )


@pytest.mark.parametrize('train', [True, False])
def test_all_parts_count_the_same_boxes_of_a_superclass(train, tmp_path):
    taxonomy = Taxonomy.load({'top': ['shirt', 'vest'], 'low': ['skirt', 'jeans']})
    boxes = [{'category_id': 9} | box for box, *_ in BOXES]
    data = content([*boxes, {'category_id': 1}])
    data['categories'] += [{'id': 9, 'name': 'Top'}, {'id': 3, 'name': 'jeans'}]
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(data))
    expected = sum(counts[not train] for _, *counts in BOXES)
    checked = load(path, split='train' if train else 'val')
    (finding,) = granularity.check(checked, taxonomy, [checked])
    assert f', {expected} boxes: ' in finding.examples[0]
    columns = box_columns(data, taxonomy, path, min_size=MIN_IMAGE_SIDE if train else 0)
    assert ((columns.labels == 5) & ~columns.crowd).sum() == expected
    assert columns.listed.tolist() == [True] * 4 + [False, True, False, False]
    dataset = SuperclassCocoDataset(
        str(path),
        taxonomy=taxonomy,
        data_prefix=dict(img=str(tmp_path)),
        filter_cfg=dict(min_size=32),
        test_mode=not train,
    )
    assert (dataset.coarse_counts, dataset.box_counts) == ([expected, 0, 0], [0, 1, 0, 0])
    truth = Truth(path, taxonomy, lenient=False).ground_truth
    assert truth.box_counts(4).tolist() == [0, 1, 0, 0]  # the others are crowds


@pytest.mark.parametrize('fields', [box for box, trains, _ in BOXES if not trains])
def test_a_file_without_a_box_to_train_on_is_refused_by_all(fields, tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content([fields, fields])))
    assert not CocoData(content([fields, fields]), path=path).is_counted.any()
    with pytest.raises(AnnotationError, match='none of its 2 boxes can be trained on'):
        box_columns(content([fields, fields]), TAXONOMY, path, min_size=32)
    options = dict(taxonomy=TAXONOMY, data_prefix=dict(img=str(tmp_path)))
    with pytest.raises(AnnotationError, match='a.json: none of its 2 boxes can be trained on'):
        SuperclassCocoDataset(str(path), filter_cfg=dict(min_size=32), **options)
    SuperclassCocoDataset(str(path), test_mode=True, **options)  # may still be predicted on


def test_the_first_reason_counts():
    boxes = [{'ignore': 1, 'iscrowd': 1}, {'iscrowd': 1}, {'image_id': 2, 'iscrowd': 1}, {}]
    columns = CocoColumns(content(boxes))
    assert columns.why_not_counted(min_size=32) == (
        '1 x annotation marked "ignore", 1 x box in an image below 32 pixels, 1 x crowd (iscrowd 1)'
    )
    assert CocoColumns(content([{}])).why_not_counted() == ''


def test_marks():
    assert all(map(is_marked, [1, True, 2.0, '1', 'true', 'Yes', 'x']))
    assert not any(map(is_marked, [0, False, None, 0.0, float('nan'), '0', ' FALSE ', 'no', '']))


def test_configs_leave_out_the_images_that_checks_leave_out(repository):
    cfg = load_config(repository / 'configs/multigrain/wgroup_r18_fpn_synthetic.py')
    assert cfg.train_dataloader.dataset.filter_cfg.min_size == MIN_IMAGE_SIDE
