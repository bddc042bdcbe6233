"""The box around masks in each form that COCO has, and their area."""

import math

import numpy as np
import pytest

from mmdet_multigrain.coco.masks import mask_area, outline

TRIANGLE = [10, 20, 40, 25, 15, 60]


@pytest.mark.parametrize(
    'segmentation, expected, area',
    [
        ([TRIANGLE], (10, 20, 40, 60), 587.5),
        (TRIANGLE, (10, 20, 40, 60), 587.5),
        ([list(map(str, TRIANGLE))], (10, 20, 40, 60), 587.5),
        ([TRIANGLE, [0, 30, 5, 30, 5, 70.5]], (0, 20, 40, 70.5), 587.5 + 101.25),
        # Columns of 4 pixels: 1 of the third column, all of the fourth, 2 of the fifth.
        ({'size': [4, 6], 'counts': [11, 7, 6]}, (2, 0, 5, 4), 7),
        ({'size': [4, 6], 'counts': '9130f'}, None, 6),
    ],
)
def test_usable_masks(segmentation, expected, area):
    if expected is None:
        from pycocotools import mask

        pixels = np.zeros((4, 6), np.uint8, order='F')
        pixels[1:3, 2:5] = 1
        segmentation, expected = mask.encode(pixels), (2, 1, 5, 3)
        segmentation['counts'] = segmentation['counts'].decode()
    assert outline(segmentation) == expected and mask_area(segmentation) == area


@pytest.mark.parametrize(
    'segmentation',
    [
        None,
        [],
        [[]],
        {},
        'text',
        7,
        [[1, 2, 3, 4]],  # two points
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, 2, 5, 2]],  # a line
        [[1, 2, math.nan, 4, 5, 6]],
        [[1, 2, 10**400, 4, 5, 6]],
        [[1, 2, 1e10, 4, 5, 6]],
        [TRIANGLE, None],
        [TRIANGLE, ['a'] * 6],
        {'size': [4, 6]},
        {'size': [4, 6], 'counts': [24]},  # no pixel
        {'size': [4, 6], 'counts': [11, 7]},  # not the whole image
        {'size': [4, 'x'], 'counts': [11, 7, 6]},
        {'size': 4, 'counts': [4]},
        {'size': [4, 6], 'counts': ['a', 7]},
        {'size': [4, 6], 'counts': [-1, 19, 6]},
        {'size': [0, 0], 'counts': [0, 0]},
        {'size': [0, 6], 'counts': '9130f'},
        {'size': [10**9, 6], 'counts': '9130f'},
        {'size': [-4, -6], 'counts': [11, 7, 6]},
    ],
)
def test_unusable_masks(segmentation):
    assert len(outline(segmentation)) == 4 and np.isnan(outline(segmentation)).all()
    assert np.isnan(mask_area(segmentation))
