"""Where labels of boxes go: in the picture, next to their box, off each other and small boxes.

Pure geometry on numbers; what a label says and looks like belongs in `pictures`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ON_LABEL = 60.0  # cost of lying wholly on another label, ...
_ON_BOX = 8.0  # ... of hiding a whole box, ...
_AWAY = 0.6  # ... of each label height between a label and its box, ...
_UNUSUAL = 0.02  # ... of each place that is less usual than above the box's left end
_AT_ONCE = 64  # places to compare


def place_labels(
    sizes: Sequence[tuple[int, int]],
    boxes: Sequence[tuple[float, float, float, float]],
    *,
    picture: tuple[int, int],
) -> list[tuple[int, int]]:
    """The upper left corner of each label.

    One after the other, each label goes where it costs least: labels that lie on labels placed
    before cost most, then those that hide much of a box (so small boxes stay free, and a large
    one may have its label inside), then those far from their own box.

    Args:
        sizes: Width and height of each label in pixels, none larger than the picture.
        boxes: x1, y1, x2, y2 of the box of each label in pixels of the picture.
        picture: Width and height.
    """
    corners = np.array(boxes, dtype=float).reshape(-1, 4)
    corners = np.clip(corners, 0, [*picture, *picture])
    areas = np.maximum((corners[:, 2:] - corners[:, :2]).prod(axis=1), 1)
    placed = np.zeros((0, 4))
    for number, (width, height) in enumerate(sizes):
        places = _places(corners[number], width, height, picture)
        rects = np.hstack([places, places + (width, height)])
        away = _AWAY * _gaps(rects, corners[number]) / height
        unusual = _UNUSUAL * np.minimum(np.arange(len(places)), 20)
        least = away + unusual  # of the cost: what a place may hide is slow to know
        best = np.inf, 0
        by_least = least.argsort(kind='stable')
        for some in np.split(by_least, range(_AT_ONCE, len(places), _AT_ONCE)):
            if least[some[0]] > best[0]:
                break
            cost = _ON_LABEL * (_overlaps(rects[some], placed) / (width * height)).sum(axis=1)
            cost += _ON_BOX * (_overlaps(rects[some], corners) / areas).sum(axis=1)
            cost += away[some]
            cost += unusual[some]
            best = min(best, *zip(cost.tolist(), some.tolist(), strict=True))
        placed = np.vstack([placed, rects[best[1]]])
    return [(int(x), int(y)) for x, y, *_ in placed]


def _places(box: np.ndarray, width: int, height: int, picture: tuple[int, int]) -> np.ndarray:
    """(P, 2) corners to choose from: at the box, most usual first, then everywhere."""
    x1, y1, x2, y2 = box
    left, right = x1, x2 - width
    at_box = [
        (left, y1 - height), (left, y1), (right, y1 - height), (left, y2), (right, y2),
        (right, y1), (left, y2 - height), (right, y2 - height),
        (x2, y1), (x1 - width, y1), (x2, y2 - height), (x1 - width, y2 - height),
    ]  # fmt: skip
    grid = np.meshgrid(
        np.arange(0, picture[0] - width + 1, max(height // 2, 4)),
        np.arange(0, picture[1] - height + 1, max(height // 2, 4)),
    )
    places = np.vstack([at_box, np.column_stack([axis.ravel() for axis in grid])])
    return np.clip(np.round(places), 0, (picture[0] - width, picture[1] - height))


def _overlaps(rects: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(P, N) areas that each of P rectangles shares with each of N others."""
    ends = np.minimum(rects[:, None, 2:], others[None, :, 2:])
    return np.maximum(ends - np.maximum(rects[:, None, :2], others[None, :, :2]), 0).prod(axis=2)


def _gaps(rects: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(P,) distance between each rectangle and a box, 0 where they touch."""
    gaps = np.maximum(np.maximum(rects[:, :2] - box[2:], box[:2] - rects[:, 2:]), 0)
    return np.hypot(gaps[:, 0], gaps[:, 1])
