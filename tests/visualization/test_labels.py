"""Where labels go: inside the picture, off each other, off small boxes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.visualization.labels import place_labels

PICTURE = (480, 360)


def shared(one, other):
    """Area that two rectangles (x1, y1, x2, y2) share."""
    sides = [min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)]
    return max(sides[0], 0) * max(sides[1], 0)


def rectangles(sizes, places):
    return [
        (x, y, x + width, y + height) for (x, y), (width, height) in zip(places, sizes, strict=True)
    ]


def test_a_label_stands_on_its_box():
    assert place_labels([(60, 16)], [(100, 100, 300, 200)], picture=PICTURE) == [(100, 84)]


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ((0, 0, 300, 200), (0, 200)),  # no room above: below
        ((440, 100, 470, 200), (420, 84)),  # not beyond the right side
        ((0, 0, 480, 360), (0, 0)),  # no room outside: inside
        ((10, 4, 20, 14), (10, 14)),  # inside it would hide the box: below
    ],
)
def test_a_label_at_the_border(box, expected):
    assert place_labels([(60, 16)], [box], picture=PICTURE) == [expected]


def test_a_label_leaves_a_small_box_free():
    sizes, boxes = [(60, 16), (60, 16)], [(100, 100, 300, 300), (100, 80, 120, 98)]
    large, small = rectangles(sizes, place_labels(sizes, boxes, picture=PICTURE))
    assert shared(large, boxes[1]) == shared(small, boxes[1]) == shared(large, small) == 0


def test_labels_of_one_box_do_not_overlap():
    sizes, boxes = [(70, 16)] * 12, [(200, 100, 280, 160)] * 12
    placed = rectangles(sizes, place_labels(sizes, boxes, picture=PICTURE))
    assert sum(shared(one, other) for n, one in enumerate(placed) for other in placed[:n]) == 0
    assert not any(shared(one, boxes[0]) for one in placed)


def test_nothing_to_place():
    assert place_labels([], [], picture=PICTURE) == []


coordinate = st.integers(-50, 600)
box = st.tuples(coordinate, coordinate, st.integers(0, 500), st.integers(0, 500)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
label = st.tuples(st.integers(1, 480), st.integers(8, 40))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(label, box), max_size=6))
def test_labels_never_leave_the_picture(labeled):
    sizes, boxes = [size for size, _ in labeled], [box for _, box in labeled]
    places = place_labels(sizes, boxes, picture=PICTURE)
    for x1, y1, x2, y2 in rectangles(sizes, places):
        assert 0 <= x1 and 0 <= y1 and x2 <= PICTURE[0] and y2 <= PICTURE[1]
    assert places == place_labels(sizes, boxes, picture=PICTURE)
