"""The share of boxes without a positive anchor, counted by hand."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from mmengine.config import Config

from mmdet_multigrain.checks import anchors
from mmdet_multigrain.checks.anchors import AnchorCoverage, anchor_coverage
from mmdet_multigrain.launch import anchors_with, load_config
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.seeding import Stream

from ..tools.conftest import call

BOXES = {
    'fits': [32, 32, 32, 32],  # centered on a cell of the level whose anchors have 32 px
    'small': [40, 40, 6, 6],  # IoU 36 / 1024 at best
    'wide': [0, 60, 120, 10],  # at most 45 px of its 120 are in an anchor of 45 x 23
    'crowd': [10, 10, 6, 6],  # ignored in training
}


@pytest.fixture
def file(tmp_path):
    """Two images of 128 x 128, the second resized to it, with the same boxes."""
    names = list(BOXES)
    images = [
        {'id': n, 'file_name': f'{n}.jpg', 'width': 128 * n, 'height': 128 * n} for n in (1, 2)
    ]
    annotations = [
        {
            'id': 4 * image['id'] + number,
            'image_id': image['id'],
            'category_id': 1 + number,
            'bbox': [side * image['id'] for side in BOXES[name]],
            'iscrowd': int(name == 'crowd'),
        }
        for image in images
        for number, name in enumerate(names)
    ]
    for item in annotations:
        item['area'] = item['bbox'][2] * item['bbox'][3]
    categories = [
        {'id': 1 + n, 'name': name, 'supercategory': 'ab'[n % 2]} for n, name in enumerate(names)
    ]
    path = tmp_path / 'train.json'
    path.write_text(
        json.dumps({'images': images, 'annotations': annotations, 'categories': categories})
    )
    return path


@pytest.fixture
def config(repository, tmp_path):
    def write(*, scale, min_pos_iou, resize=(128, 128)):
        path = tmp_path / 'config.py'
        base = repository / 'configs' / 'multigrain' / 'wgroup_lite0_fpn_custom.py'
        path.write_text(
            f'_base_ = {str(base)!r}\n'
            'train_pipeline = _base_.train_pipeline\n'
            f"train_pipeline[2] = dict(type='Resize', scale={resize}, keep_ratio=True)\n"
            f'model = dict(rpn_head=dict(anchor_generator=dict(scales=[{scale}])), '
            f'train_cfg=dict(rpn=dict(assigner=dict(min_pos_iou={min_pos_iou}))))\n'
        )
        return path

    return write


def test_both_tools_tell_it(config, file, tmp_path):
    config = config(scale=8, min_pos_iou=0.3)
    line = 'anchors: 4 of 6 boxes (66.7%) get no positive anchor'
    shown = call('check_dataset', file, '--config', config, '--json', tmp_path / 'report.json')
    assert line in shown.out, shown.err
    counts = json.loads((tmp_path / 'report.json').read_text())['anchors']['classes']
    assert counts[1] == {'class': 'small', 'boxes': 2, 'without_anchor': 2}
    shown = call(
        'analysis_tools/dataset_stats', file, '--config', config, '--out', tmp_path / 'out'
    )
    assert line in shown.out, shown.err
    assert (tmp_path / 'out' / 'anchors.csv').read_text().splitlines()[1] == 'small,2,2,1.0'


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        (dict(scale=8, min_pos_iou=0.3), [0, 2, 2, 0]),
        (dict(scale=8, min_pos_iou=1e-3), [0, 0, 0, 0]),
        (dict(scale=1, min_pos_iou=0.3), [2, 0, 2, 0]),  # 4 px at stride 4, 32 px at stride 32
        (dict(scale=8, min_pos_iou=0.3, resize=(640, 640)), [0, 0, 2, 0]),  # small is 30 px
    ],
)
def test_boxes_without_an_anchor(config, file, settings, expected):
    coverage = anchors_with(config(**settings), file)
    assert coverage.classes == tuple(BOXES)
    assert coverage.boxes.tolist() == [2, 2, 2, 0]
    assert coverage.without.tolist() == expected
    assert coverage.share == pytest.approx(sum(expected) / 6)
    assert [row[0] for row in coverage.table().rows] == [
        name for name, count in zip(BOXES, expected, strict=True) if count
    ]


def test_boxes_of_a_superclass_have_anchors_too(config, file, tmp_path):
    content = json.loads(file.read_text())
    content['categories'].append({'id': 9, 'name': 'b'})
    for item in content['annotations']:
        item['category_id'] = {2: 9}.get(item['category_id'], item['category_id'])
    file.write_text(json.dumps(content))
    (tmp_path / 'ab.yaml').write_text('{a: [fits, wide], b: [small, crowd]}')
    coverage = anchors_with(config(scale=8, min_pos_iou=0.3), file, tmp_path / 'ab.yaml')
    assert coverage.classes == ('fits', 'wide', 'small', 'crowd', 'b')
    assert coverage.boxes.tolist() == [2, 2, 0, 0, 2]
    assert coverage.without.tolist() == [0, 2, 0, 0, 2]


def test_it_says_how_much_was_looked_at(config, file):
    options = {'train_ann': str(file), 'images': str(file.parent)}
    cfg = load_config(config(scale=8, min_pos_iou=0.3), options)
    before = cfg.to_dict()
    text = anchor_coverage(cfg, max_images=1).text()
    assert text.splitlines()[0] == (
        'anchors: 2 of 3 boxes in 1 of 2 images (66.7%) get no positive anchor'
    )
    assert cfg.to_dict() == before


def test_a_detector_without_rpn_is_refused():
    with pytest.raises(ConfigError, match='model has no rpn_head'):
        anchor_coverage(Config(dict(model=dict(type='RetinaNet'))))


def test_draws_depend_on_the_seed_alone(config, file, monkeypatch):
    drawn = []

    def permutation(size, entropy):
        drawn.append((size, *entropy))
        return np.arange(size)

    @contextlib.contextmanager
    def drawing_from(entropy):
        drawn.append(entropy)
        yield

    monkeypatch.setattr(anchors, 'permutation', permutation)
    monkeypatch.setattr(anchors, 'drawing_from', drawing_from)
    options = {'train_ann': str(file), 'images': str(file.parent)}
    cfg = load_config(config(scale=8, min_pos_iou=0.3), options)
    assert anchor_coverage(cfg).images == (2, 2)
    anchor_coverage(cfg, seed=3)
    order, sample = Stream.ORDER, Stream.SAMPLE
    assert drawn == [(2, 0, order), (0, sample), (2, 3, order), (3, sample)]


def test_the_table_of_classes():
    coverage = AnchorCoverage(
        ('a', 'b', 'c', 'd'), np.array([4, 2000, 0, 8]), np.array([1, 1500, 0, 2]), (5, 5)
    )
    assert coverage.share == 1503 / 2012
    assert coverage.table().rows == [['b', 2000, 1500, 0.75], ['a', 4, 1, 0.25], ['d', 8, 2, 0.25]]
    assert coverage.text().splitlines() == [
        'anchors: 1,503 of 2,012 boxes (74.7%) get no positive anchor',
        'class  boxes  without anchor  share',
        'b      2,000           1,500    75%',
        'a          4               1    25%',
        'd          8               2    25%',
    ]
    none = AnchorCoverage(('a',), np.array([0]), np.array([0]), (1000, 1001))
    assert none.share == 0
    assert none.text() == (
        'anchors: 0 of 0 boxes in 1,000 of 1,001 images (0.0%) get no positive anchor'
    )
    assert none.to_dict() == {
        'images': 1000,
        'classes': [{'class': 'a', 'boxes': 0, 'without_anchor': 0}],
    }
