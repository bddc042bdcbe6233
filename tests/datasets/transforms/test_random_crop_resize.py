"""RandomCropResize: parts of photos with their boxes; whole photos as stock."""

from __future__ import annotations

import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

SIZE = dict(scale=(60, 40), ratio_range=(0.5, 1.0), keep_ratio=True)
WIDTH, HEIGHT = 120, 80


def sample():
    """A photo whose pixels tell where they come from, with a large and a small box."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)
    boxes = np.array([[10, 10, 110, 70], [20, 30, 26, 36]], np.float32)
    return dict(
        img=image,
        img_shape=image.shape[:2],
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.array([3, 4]),
        gt_ignore_flags=np.array([False, True]),
    )


def drawn(seed, **config):
    np.random.seed(seed)
    return TRANSFORMS.build(config)(sample())


def test_whole_photos_are_stock():
    for seed in range(10):
        ours = drawn(seed, type='RandomCropResize', min_crop_size=1, **SIZE)
        stock = drawn(seed, type='RandomResize', **SIZE)
        assert np.array_equal(ours['img'], stock['img'])
        assert ours['gt_bboxes'].tensor.equal(stock['gt_bboxes'].tensor)
        assert ours['scale_factor'] == stock['scale_factor']


def test_parts_keep_boxes_on_their_objects():
    zooms, left_out = [], 0
    for seed in range(200):
        found = drawn(seed, type='RandomCropResize', **SIZE)
        height, width = found['img_shape']
        assert found['img'].shape == (height, width, 3) and max(height, width) <= 60
        boxes = found['gt_bboxes'].tensor.numpy()
        assert len(boxes) == len(found['gt_bboxes_labels']) == len(found['gt_ignore_flags']) > 0
        assert (found['gt_bboxes_labels'] == 4).tolist() == found['gt_ignore_flags'].tolist()
        left_out += len(boxes) < 2
        zoom = np.array(found['scale_factor'])
        zooms.append(zoom.mean())
        if 4 in found['gt_bboxes_labels']:
            small = boxes[found['gt_bboxes_labels'].tolist().index(4)]
            column, row = (small[:2] + small[2:]) / 2
            pixel = found['img'][int(row), int(column)]
            assert abs(int(pixel[0]) - 33) <= 3 and abs(int(pixel[1]) - 23) <= 3
    # Whole photos get a quarter to a half as large, parts up to as large as they are.
    assert min(zooms) < 0.3 and max(zooms) > 0.6 and 20 < left_out < 180


def test_photos_without_objects():
    empty = sample() | dict(
        gt_bboxes=HorizontalBoxes(np.zeros((0, 4), np.float32)),
        gt_bboxes_labels=np.zeros(0, int),
        gt_ignore_flags=np.zeros(0, bool),
    )
    np.random.seed(0)
    found = TRANSFORMS.build(dict(type='RandomCropResize', **SIZE))(empty)
    assert len(found['gt_bboxes']) == 0 and max(found['img_shape']) <= 60


@pytest.mark.parametrize('size', [0, -0.5, 1.5])
def test_sizes_that_no_part_has(size):
    with pytest.raises(ValueError, match='must be above 0 and at most 1'):
        TRANSFORMS.build(dict(type='RandomCropResize', min_crop_size=size, **SIZE))
