"""Differences between two detectors in numbers, and the pictures that they are compared on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdet_multigrain.export.compare import (
    Difference,
    Found,
    difference,
    made_pictures,
    nearest_difference,
    read_pictures,
)
from mmdet_multigrain.utils.errors import ExportError


def found(boxes, scores, labels):
    return Found(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels)
    )


BOXES = [[0, 0, 10, 10], [50, 50, 70, 90]]


def test_the_largest_difference_of_all_pictures():
    left = [found(BOXES, [0.75, 0.5], [1, 0]), found([], [], []), found(BOXES[:1], [0.25], [2])]
    right = [found(BOXES, [0.75, 0.5], [1, 0]), found([], [], []), found(BOXES[:1], [0.25], [2])]
    same = difference(left, right)
    assert same == Difference(3, 3, 0.0, 0.0)
    assert str(same) == '3 detections in 3 pictures: bit-equal'
    right[0].boxes[1, 3] -= 0.25  # below
    right[0].scores[0] += 0.125  # above
    right[2].boxes[0, 0] += 0.125
    seen = difference(left, right)
    assert (seen.box, seen.score, seen.alone) == (0.25, 0.125, 0)
    assert str(seen) == '3 detections in 3 pictures: boxes within 2.5e-01 px, scores within 1.2e-01'
    assert difference(right, left) == seen


@pytest.mark.parametrize('labels', [[1], [0, 1], [1, 1]])
def test_other_labels_are_an_error_that_names_the_picture(labels):
    left = found(BOXES, [0.75, 0.5], [1, 0])
    right = found(BOXES[: len(labels)], [0.75, 0.5][: len(labels)], labels)
    with pytest.raises(ExportError) as caught:
        difference([left, left], [left, right])
    assert str(caught.value) == (
        'the exported detector sees other objects in picture 1: '
        f'{len(labels)} detections, not the 2 of the original'
    )
    with pytest.raises(ValueError):
        difference([left], [left, left])


def test_the_nearest_of_several_is_the_counterpart():
    """Boxes and scores count together, and a pair may cost a little for the best of all pairs."""
    left = found([[0, 0, 10, 10], [0, 0, 10, 10.25]], [0.5, 0.5], [0, 0])
    right = found([[0, 0, 10, 10.125], [0, 0, 10, 10.25]], [0.5, 0.5], [0, 0])
    seen = nearest_difference([left], [right], slack=0, at_most=9)
    assert (seen.pictures, seen.detections, seen.alone) == (1, 2, 0)
    assert (seen.box, seen.score) == (0.125, 0.0)
    right.scores[:] = 0.375
    assert nearest_difference([left], [right], slack=0, at_most=9).score == 0.125


@pytest.mark.parametrize(
    ('shift', 'score', 'pairs'), [(0.375, 0.5, 1), (0.5, 0.5, 0), (0.25, 0.25, 0), (0.25, 0.375, 1)]
)
def test_what_is_far_is_not_a_counterpart(shift, score, pairs):
    left = found([[0, 0, 10, 10]], [0.5], [0])
    right = found([[0, 0, 10, 10 + shift]], [score], [0])
    seen = nearest_difference([left], [right], slack=0, at_most=9)
    assert (seen.detections, seen.alone) == (pairs, 2 * (1 - pairs))


@pytest.mark.parametrize(
    ('slack', 'at_most', 'alone'),
    [(0.1, 3, 1), (0.1, 4, 2), (0.0, 3, 2), (0.5, 3, 0), (0.1, 2, 1)],
)
def test_the_end_of_a_full_list_is_not_sure(slack, at_most, alone):
    """The last detections have scores of 0.3, 0.25 and 0.2; nothing in the other list."""
    boxes = [[0, 0, 9, 9], [20, 20, 30, 30], [40, 40, 50, 50]]
    left = found(boxes, [0.5, 0.25, 0.2], [0, 0, 0])
    right = found(boxes[2:], [0.2], [0])
    seen = nearest_difference([left], [right], slack=slack, at_most=at_most)
    assert (seen.detections, seen.alone) == (1, alone)


def test_counts_of_several_pictures_are_added():
    left = found(BOXES, [0.75, 0.5], [1, 0])
    other = found(BOXES, [0.75, 0.5], [1, 3])
    seen = nearest_difference([left, left, left], [left, other, other], slack=0, at_most=9)
    assert (seen.pictures, seen.detections, seen.alone) == (3, 4, 4)
    assert str(seen) == ('4 detections in 3 pictures (4 more have no counterpart): bit-equal')


def test_made_pictures_are_always_the_same():
    pictures = made_pictures()
    assert [picture.shape for picture in pictures] == [(360, 480, 3), (540, 420, 3)]
    assert all(picture.dtype == np.uint8 for picture in pictures)
    assert all(picture.min() == 0 and picture.max() == 255 for picture in pictures)
    again = made_pictures()
    assert all(map(np.array_equal, pictures, again))
    for picture in pictures:
        flat = picture.astype(float)
        noise = np.abs(np.diff(flat, axis=0)).mean()
        assert 8 < noise < 30  # noisy, but not noise alone: patches are some hundred apart
        assert cv2.blur(flat, (15, 15)).std() > 40


def test_pictures_of_a_folder(tmp_path):
    for number in range(18):
        cv2.imwrite(str(tmp_path / f'{number:02}.png'), np.full((2, 3, 3), number, np.uint8))
    (tmp_path / 'notes.txt').write_text('')
    assert [picture.max() for picture in read_pictures(tmp_path)] == list(range(16))
    assert [picture.max() for picture in read_pictures(tmp_path, at_most=3)] == [0, 1, 2]
    (picture,) = read_pictures(tmp_path / '17.png')
    assert picture.shape == (2, 3, 3) and picture.max() == 17
    (tmp_path / '00.png').write_bytes(b'')
    with pytest.raises(ExportError, match=r'00\.png: not a readable picture'):
        read_pictures(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ExportError, match='empty: no picture in this folder'):
        read_pictures(tmp_path / 'empty')
