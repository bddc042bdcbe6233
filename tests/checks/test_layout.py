"""How boxes are meant: by mask, by area, by size, for each image."""

from pathlib import Path

import numpy as np
import pytest

from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.layout import CORNERS, DOUBTFUL, FRACTIONS, XYWH
from mmdet_multigrain.checks.photos import Photo


def layouts(*boxes, sizes=((100, 80), (100, 80)), photos=None):
    """Layouts of (image number, bbox, area or polygon or nothing)."""
    annotations = []
    for number, (image_id, bbox, *witness) in enumerate(boxes, start=1):
        item = {'id': number, 'image_id': image_id, 'category_id': 1, 'bbox': bbox}
        for value in witness:
            item |= {'segmentation': value} if isinstance(value, list) else {'area': value}
        annotations.append(item)
    content = {
        'images': [
            {'id': number, 'file_name': f'{number}.jpg', 'width': size[0], 'height': size[1]}
            for number, size in enumerate(sizes, start=1)
        ],
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'coat'}],
    }
    return CocoData(content, path=Path('x.json'), photos=photos).layouts.tolist()


def polygon(x1, y1, x2, y2):
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def test_the_area_tells_for_each_image():
    assert layouts((1, [10, 10, 30, 40], 600), (2, [10, 10, 30, 40], 1200)) == [CORNERS, XYWH]
    # Rounded, and a box at the origin, where both are the same.
    assert layouts((1, [10.2, 10, 30.1, 40], 597), (1, [0, 0, 30, 40], 1200)) == [CORNERS, XYWH]
    assert layouts((1, [10, 10, 30, 40], 640)) == [XYWH]  # tells nothing
    assert layouts((1, [10, 10, 11, 11], 1)) == [CORNERS]  # of a pixel
    assert layouts((1, [10, 10, 30, 40], 600), sizes=[(None, None)]) == [CORNERS]


def test_areas_of_masks_tell_nothing():
    by_chance = (1, [10, 10, 30, 40], 600)
    assert layouts(by_chance, *[(2, [10, 10, 30, 40], 700)] * 3) == [XYWH] * 4


def test_the_mask_tells():
    box = [10, 10, 30, 40]
    assert layouts((1, box, polygon(10, 10, 30, 40)), (2, box, polygon(10, 10, 40, 50))) == [
        CORNERS,
        XYWH,
    ]
    # It leaves the image, but the mask does, too.
    assert layouts((1, [10, 10, 95, 60], polygon(10, 10, 105, 70))) == [XYWH]
    assert layouts((1, [10, 10, 95, 60], polygon(12, 9, 95, 60))) == [CORNERS]


def test_a_box_is_as_the_others_of_its_image():
    assert layouts((1, [10, 10, 30, 40], 600), (1, [5, 5, 50, 60])) == [CORNERS] * 2
    assert layouts((1, [10, 10, 30, 40], 600), (2, [5, 5, 50, 60])) == [CORNERS, XYWH]
    # It cannot be corners, and the image is not of one kind.
    assert layouts((1, [10, 10, 30, 40], 600), (1, [50, 5, 20, 60])) == [CORNERS, DOUBTFUL]
    assert layouts((1, [10, 10, 30, 40], 600), (1, [9, 9, 30, 40], 1200), (1, [8, 8, 30, 40])) == [
        CORNERS,
        XYWH,
        DOUBTFUL,
    ]


@pytest.mark.parametrize('area', [(), (95 * 60,)])
def test_boxes_that_leave_their_image_and_fit_as_corners_are_doubtful(area):
    leaving = (1, [10, 10, 95, 60], *area)
    assert layouts(leaving) == [DOUBTFUL]
    assert layouts(leaving, (1, [5, 5, 20, 20]), (2, [5, 5, 20, 20])) == [DOUBTFUL] * 2 + [XYWH]
    assert layouts(leaving, (1, [50, 5, 20, 20])) == [XYWH] * 2  # this one does not fit
    assert layouts((1, [10, 10, 91, 60], *area)) == [XYWH]  # hardly outside
    assert layouts((1, [-1, 10, 110, 60], *area)) == [XYWH]


def test_areas_that_told_about_other_boxes_tell_about_careless_ones():
    assert layouts((1, [10, 10, 95, 60], 95 * 60), (2, [10, 10, 30, 40], 600)) == [XYWH, CORNERS]


def test_a_photo_counts_as_a_size():
    photos = {'1.jpg': Photo('1.jpg', (200, 80))}
    assert layouts((1, [10, 10, 95, 60]), photos=photos) == [XYWH]


def test_fractions_are_those_of_an_image():
    boxes = [0.1, 0.2, 0.5, 0.5], [0, 0, 1, 1], [0.1, 0.2, 0.5, 30]
    assert layouts((1, boxes[0]), (1, boxes[1]), (2, boxes[2])) == [FRACTIONS, FRACTIONS, XYWH]
    assert layouts((1, boxes[0]), (2, boxes[1])) == [FRACTIONS] * 2  # the whole file
    assert layouts((1, boxes[1])) == [XYWH]


def test_unusable_boxes_have_no_layout():
    assert layouts((1, [np.nan] * 4), (9, [10, 10, 95, 60]), (1, None)) == [XYWH] * 3


@pytest.mark.parametrize(
    ('box', 'layout'),
    [
        ([10, 10, 92, 60], XYWH),  # 2 pixels beyond the image
        ([10, 10, 93, 60], DOUBTFUL),
        ([50, 10, 101, 60], DOUBTFUL),  # as corners 1 pixel beyond it
        ([50, 10, 102, 60], XYWH),
        ([50, 0, 90, 60], DOUBTFUL),
        ([50, -1, 90, 60], XYWH),
        ([60, 10, 60, 60], XYWH),  # of no width as corners
        ([59, 10, 60, 60], DOUBTFUL),
    ],
)
def test_how_far_a_box_may_leave_its_image(box, layout):
    assert layouts((1, box)) == [layout]


@pytest.mark.parametrize(
    ('area', 'layout'), [(1001.5, CORNERS), (998.5, CORNERS), (1001.6, XYWH), (998.4, XYWH)]
)
def test_an_area_is_the_same_within_rounding(area, layout):
    """Of 1000 as corners: half a square pixel, and one more in a thousand."""
    assert layouts((1, [10, 10, 30, 60], area)) == [layout]


@pytest.mark.parametrize(('x1', 'layout'), [(12, CORNERS), (8, CORNERS), (12.5, XYWH), (7.5, XYWH)])
def test_a_mask_is_the_same_within_two_pixels(x1, layout):
    assert layouts((1, [10, 10, 30, 40], polygon(x1, 10, 30, 40))) == [layout]


@pytest.mark.parametrize(('others', 'layout'), [(1, CORNERS), (2, XYWH)])
def test_areas_tell_if_nine_of_ten_are_those_of_boxes(others, layout):
    rest = [(2, [10, 10, 30, 40], 700)] * others + [(2, [10, 10, 30, 40], 1200)] * (9 - others)
    assert layouts((1, [10, 10, 30, 40], 600), *rest) == [layout] + [XYWH] * 9


@pytest.mark.parametrize(
    ('leaving', 'inside', 'misfits', 'doubtful'),
    [
        (3, 2, 0, True),
        (3, 1, 0, False),  # too few boxes
        (3, 3, 0, False),  # half of them
        (11, 8, 1, True),  # 19 of 20 fit
        (11, 7, 1, False),
    ],
)
def test_boxes_of_a_whole_file(leaving, inside, misfits, doubtful):
    """Those that leave are in the first image, one that fits in no way in the third."""
    boxes = [(1, [10, 10, 95, 60])] * leaving + [(2, [5, 5, 20, 20])] * inside
    found = layouts(*boxes, *[(3, [50, 5, 102, 20])] * misfits, sizes=[(100, 80)] * 3)
    assert found == [DOUBTFUL] * leaving + [DOUBTFUL if doubtful else XYWH] * (inside + misfits)


@pytest.mark.parametrize(
    ('boxes', 'swapped'),
    [
        ([[10, 10, 20, 72]], False),  # 2 pixels beyond 80
        ([[10, 10, 20, 73]], True),
        ([[10, 10, 20, 92]], True),  # and 2 beyond 100
        ([[10, 10, 20, 93]], False),
        ([[-2, -2, 20, 85]], True),
        ([[-3, 10, 20, 73]], False),
        ([[10, -3, 20, 88]], False),
        ([[10, 10, 20, 73], [10, 10, 72, 20]], True),
        ([[10, 10, 20, 73], [10, 10, 73, 20]], False),
        ([[10, 10, 73, 20]], False),
    ],
)
def test_sizes_that_are_swapped(boxes, swapped):
    def is_swapped(size, photos=None):
        content = {
            'images': [
                {'id': 1, 'file_name': '1.jpg', 'width': size[0], 'height': size[1]},
                {'id': 2, 'file_name': '2.jpg', 'width': size[0], 'height': size[1]},
            ],
            'annotations': [{'image_id': 1, 'category_id': 1, 'bbox': box} for box in boxes],
            'categories': [{'id': 1, 'name': 'coat'}],
        }
        return CocoData(content, path=Path('x.json'), photos=photos).is_swapped.tolist()

    assert is_swapped((100, 80)) == [swapped, False]
    assert is_swapped((80, 80)) == [False, False]
    assert is_swapped((100, 80), {'1.jpg': Photo('1.jpg', (100, 80))}) == [False, False]
