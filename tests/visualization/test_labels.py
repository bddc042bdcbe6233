"""Where labels go: inside the picture, off each other, off small boxes."""

from __future__ import annotations

import math
import time

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


def test_many_labels_of_a_large_picture_take_little_time():
    picture, start = (1920, 1080), time.process_time()
    boxes = [(x, y, x + 90, y + 60) for x in range(0, 1800, 150) for y in range(0, 1000, 100)]
    sizes = [(90, 20)] * len(boxes)
    placed = rectangles(sizes, place_labels(sizes, boxes, picture=picture))
    assert time.process_time() - start < 10  # 43 s when each place was compared with each box
    assert sum(shared(one, other) for n, one in enumerate(placed) for other in placed[:n]) == 0


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


def cost_by_hand(place, size, box, boxes, placed, usual):
    """What a place costs, in plain numbers."""
    rect = (*place, place[0] + size[0], place[1] + size[1])
    cost = 60 * sum(shared(rect, other) for other in placed) / (size[0] * size[1])
    for other in boxes:
        cost += 8 * shared(rect, other) / max((other[2] - other[0]) * (other[3] - other[1]), 1)
    sides = [max(rect[axis] - box[axis + 2], box[axis] - rect[axis + 2], 0) for axis in (0, 1)]
    return cost + 0.6 * math.hypot(*sides) / size[1] + 0.02 * min(usual, 20)


def places_by_hand(box, size, picture):
    """All places, the most usual first."""
    (x1, y1, x2, y2), (width, height) = box, size
    right, above, low = x2 - width, y1 - height, y2 - height
    places = [(x1, above), (x1, y1), (right, above), (x1, y2), (right, y2), (right, y1)]
    places += [(x1, low), (right, low), (x2, y1), (x1 - width, y1), (x2, low), (x1 - width, low)]
    step = max(height // 2, 4)
    for y in range(0, picture[1] - height + 1, step):
        places += [(x, y) for x in range(0, picture[0] - width + 1, step)]
    return [
        (min(max(x, 0), picture[0] - width), min(max(y, 0), picture[1] - height)) for x, y in places
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.tuples(st.integers(5, 60), st.integers(5, 24)),
            st.tuples(*[st.integers(-20, 110)] * 2, *[st.integers(0, 90)] * 2),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_each_label_takes_the_cheapest_place(labeled):
    picture = (100, 80)
    sizes = [size for size, _ in labeled]
    given_boxes = [(x, y, x + width, y + height) for _, (x, y, width, height) in labeled]
    boxes = [
        tuple(min(max(value, 0), picture[n % 2]) for n, value in enumerate(box))
        for box in given_boxes
    ]
    placed = []
    for found, size, box in zip(
        place_labels(sizes, given_boxes, picture=picture), sizes, boxes, strict=True
    ):
        costs = {}
        for usual, place in enumerate(places_by_hand(box, size, picture)):
            cost = cost_by_hand(place, size, box, boxes, placed, usual)
            costs[place] = min(cost, costs.get(place, cost))
        assert costs[found] == pytest.approx(min(costs.values()), abs=1e-9)
        placed.append((*found, found[0] + size[0], found[1] + size[1]))
