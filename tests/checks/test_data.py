"""What a file and its photos tell together: sizes, scales, turns, and boxes that leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmdet_multigrain.checks.data import CocoData, load
from mmdet_multigrain.checks.photos import Photo

BOX = [10, 10, 30, 30]


def data(*images, boxes=(), split='', photos=True):
    """Images as (stated size, photo's size or None, EXIF orientation); boxes as (image, bbox)."""
    return CocoData(
        {
            'images': [
                {'id': n, 'file_name': f'{n}.jpg', 'width': stated[0], 'height': stated[1]}
                for n, (stated, *_) in enumerate(images, start=1)
            ],
            'annotations': [
                {'id': n, 'image_id': image, 'category_id': 1, 'bbox': bbox}
                for n, (image, bbox) in enumerate(boxes, start=1)
            ],
            'categories': [{'id': 1, 'name': 'coat'}],
        },
        path=Path('x.json'),
        split=split,
        photos={
            f'{n}.jpg': Photo(f'{n}.jpg', size, orientation=turn[0] if turn else 1)
            for n, (_, size, *turn) in enumerate(images, start=1)
        }
        if photos
        else None,
    )


@pytest.mark.parametrize(
    ('bbox', 'leaves'),
    [
        ([0, 0, 100, 80], False),
        ([-0.05, 0, 10, 10], False),
        ([-0.06, 0, 10, 10], True),
        ([0, -0.06, 10, 10], True),
        ([50, 0, 50.05, 10], False),
        ([50, 0, 50.06, 10], True),
        ([0, 50, 10, 30.06], True),
    ],
)
def test_boxes_that_leave_their_image(bbox, leaves):
    one = data(((100, 80), None), boxes=[(1, bbox)])
    assert one.leaving(one.stated).tolist() == [leaves]
    assert not one.leaving(one.seen).any()  # nothing is known of the photo


def test_no_box_leaves_an_unknown_image():
    one = data(((None, None), None), boxes=[(1, [-50, 0, 500, 5]), (9, [-50, 0, 500, 5])])
    assert not one.leaving(one.stated).any()


def test_images_too_small_to_train_on_are_evaluated_on():
    small = dict(boxes=[(1, [0, 0, 20, 20]), (2, [0, 0, 20, 20])])
    images = ((31, 100), None), ((32, 100), None)
    assert data(*images, **small, split='train').is_counted.tolist() == [False, True]
    assert data(*images, **small).is_counted.tolist() == [False, True]
    assert data(*images, **small, split='val').is_counted.tolist() == [True, True]
    assert (data(split='val').min_size, data(split='train').min_size) == (0, 32)


def test_what_is_known_of_photos():
    some = data(((100, 80), (100, 80)), ((100, 80), None), ((100, 80), (50, 40), 6))
    assert [row for row, _ in some.known_photos()] == [0, 1, 2]
    np.testing.assert_array_equal(some.seen, [[100, 80], [np.nan, np.nan], [50, 40]])
    assert some.differs.tolist() == [False, False, True]
    assert some.orientations.tolist() == [1, 1, 6]
    unread = data(((100, 80), (50, 40)), photos=False)
    assert unread.photo(0) is None and not list(unread.known_photos())
    assert not unread.differs.any() and unread.orientations.tolist() == [1]
    assert unread.sizes.tolist() == [[100, 80]]


@pytest.mark.parametrize(
    ('stated', 'seen', 'bbox', 'rescaled'),
    [
        ((100, 80), (50, 40), BOX, True),  # half as large
        ((100, 80), (200, 160), BOX, True),
        ((100, 80), (101, 81), BOX, False),  # hardly another scale
        ((100, 80), (98, 78), BOX, True),  # by 2.5%
        ((100, 80), (50, 60), BOX, False),  # another shape, and the box is within both
        ((100, 80), (50, 60), [10, 10, 80, 30], True),  # but this one is within the stated alone
        ((100, 80), (50, 60), [10, 10, 95, 30], False),  # or in neither
        ((100, 80), None, BOX, False),
        ((None, None), (50, 40), BOX, False),
    ],
)
def test_photos_of_another_scale(stated, seen, bbox, rescaled):
    one = data((stated, seen), boxes=[(1, bbox)])
    assert one.is_rescaled.tolist() == [rescaled]
    if None not in (seen, stated[0]):
        assert one.sizes.tolist() == [[*(stated if rescaled else seen)]]


STORED, UPRIGHT = ((100, 80), (80, 100), 6), ((80, 100), (80, 100), 6)
SQUARE, UPSIDE_DOWN = ((90, 90), (90, 90), 6), ((100, 80), (100, 80), 3)


@pytest.mark.parametrize(
    ('images', 'turned', 'may_be'),
    [
        ([STORED], [True], [False]),
        ([UPRIGHT], [False], [False]),
        ([SQUARE], [False], [True]),  # its size cannot tell
        ([UPSIDE_DOWN], [False], [True]),
        ([SQUARE, STORED], [True, True], [False, False]),  # as another photo of the file
        ([UPSIDE_DOWN, UPRIGHT], [False, False], [False, False]),
        ([SQUARE, STORED, UPRIGHT], [False, True, False], [True, False, False]),
        ([((100, 80), (100, 80), 1)], [False], [False]),
        ([((100, 80), (80, 100), 1)], [False], [False]),  # a wrong size, no turn
        ([((100, 80), (80, 100), 4)], [False], [False]),
    ],
)
def test_turns_by_exif(images, turned, may_be):
    boxes = [(n, BOX) for n in range(1, len(images) + 1)]
    some = data(*images, boxes=boxes)
    assert some.is_turned.tolist() == turned
    assert some.may_be_turned.tolist() == may_be
    empty = data(*images)
    assert not empty.may_be_turned.any()  # nothing is drawn at a wrong place
    for row, is_turned in enumerate(turned):
        assert some.sizes[row].tolist() == [*images[row][0 if is_turned else 1]]


def test_another_content_keeps_what_is_known():
    some = data(((100, 80), (50, 40)), split='val', boxes=[(1, BOX)])
    some.max_examples = 7
    other = some.replaced({'images': [{'id': 3, 'file_name': '1.jpg'}]})
    assert (other.path, other.split, other.max_examples) == (Path('x.json'), 'val', 7)
    assert other.photos is some.photos and other.seen.tolist() == [[50, 40]]
    assert other.not_strict == '' and other.recovered == {}


def test_loading_keeps_what_a_strict_reader_refuses(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"images": [{"id": "1", "width": NaN}]}')
    loaded = load(path, split='train', max_examples=1)
    assert loaded.path == path and loaded.split == 'train' and loaded.max_examples == 1
    assert 'line 1 column 34' in loaded.not_strict
