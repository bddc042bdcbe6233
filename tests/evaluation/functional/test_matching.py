"""Overlaps, ranks, limits and greedy matching, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional import matching
from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.matching import (
    Pairs,
    attainable_iou,
    find_pairs,
    group_limit,
    group_limits,
    match_greedily,
    rank_by_class,
    suppress,
    within_limit,
)


def truth_of(*rows, images=3):
    """Rows: image, label, x, y, width, height, perhaps crowd."""
    rows = np.array([(*row, *[0] * (7 - len(row))) for row in rows], float).reshape(-1, 7)
    return GroundTruth(
        tuple(range(images)), rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:6],
        rows[:, 4] * rows[:, 5], rows[:, 6] > 0,
    )  # fmt: skip


def found_of(*rows):
    """Rows: image, label, x, y, width, height, score."""
    rows = np.array(rows, float).reshape(-1, 7)
    return Detections(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:6], rows[:, 6])


def pairs_of(truth, found, *, counted=None, min_iou=0.1):
    counted = np.ones(len(found.scores), bool) if counted is None else np.array(counted)
    pairs = find_pairs(truth, found, counted=counted, min_iou=min_iou)
    return list(
        zip(pairs.detections.tolist(), pairs.truths.tolist(), pairs.ious.tolist(), strict=True)
    )


TRUTH = truth_of(
    (2, 1, 0, 0, 10, 10),
    (0, 1, 0, 0, 10, 10),
    (0, 0, 5, 0, 10, 10),
    (0, 0, 0, 0, 40, 40, 1),
)
FOUND = found_of(
    (0, 0, 0, 0, 10, 10, 0.5),
    (1, 0, 0, 0, 10, 10, 0.5),
    (2, 0, 0, 5, 10, 10, 0.5),
    (0, 1, 30, 30, 20, 20, 0.5),
    (0, 1, 60, 60, 20, 20, 0.5),
)


def test_pairs_of_each_image():
    # By detection, then by class of the box, then in the order given. A crowd box holds 100 of 100,
    # and 100 of 400 pixels.
    assert pairs_of(TRUTH, FOUND) == [
        (0, 2, 50 / 150), (0, 3, 1), (0, 1, 1), (2, 0, 50 / 150), (3, 3, 0.25),
    ]  # fmt: skip
    assert pairs_of(TRUTH, FOUND, min_iou=50 / 150) == pairs_of(TRUTH, FOUND)[:4]
    assert pairs_of(TRUTH, FOUND, min_iou=0.34) == [(0, 3, 1), (0, 1, 1)]
    assert pairs_of(TRUTH, FOUND, counted=[0, 1, 1, 0, 1]) == [(2, 0, 50 / 150)]
    assert pairs_of(truth_of(), FOUND) == pairs_of(TRUTH, found_of()) == []


@pytest.mark.parametrize('chunk', [1, 2, 3, 4, 7])
def test_pieces_change_nothing(monkeypatch, chunk):
    rng = np.random.default_rng(chunk)
    boxes = rng.uniform(1, 9, (60, 4))
    truth = truth_of(*np.column_stack([rng.integers(0, 3, (60, 2)), boxes]))
    found = found_of(*np.column_stack([rng.integers(0, 3, (60, 2)), boxes, np.ones(60)]))
    whole = pairs_of(truth, found)
    monkeypatch.setattr(matching, 'CHUNK', chunk)
    assert pairs_of(truth, found) == whole and len(whole) > 100


def test_the_best_pair_of_each_detection():
    pairs = Pairs(
        np.array([0, 0, 0, 2, 2]), np.array([5, 6, 7, 5, 8]), np.array([0.2, 0.7, 0.7, 0.4, 0.3])
    )
    best = pairs.best()
    assert (best.detections.tolist(), best.truths.tolist()) == ([0, 2], [6, 5])
    none = Pairs(*[np.zeros(0, int)] * 2, np.zeros(0))
    assert none.best() is none


def test_each_takes_the_best_that_is_free():
    found = found_of((0, 0, 0, 0, 1, 1, 0.5), (0, 0, 0, 0, 1, 1, 0.9), (0, 0, 0, 0, 1, 1, 0.7))
    pairs = Pairs(
        np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 0, 1, 2, 2]),
        np.array([0.6, 0.9, 0.8, 0.8, 0.7, 0.9]),
    )  # fmt: skip
    # The second comes first and takes the last of the equal ones; the third takes 2, the first 0.
    assert match_greedily(pairs, found, num_truths=3).tolist() == [0, 1, 2]
    assert match_greedily(pairs[np.array([0, 2])], found, num_truths=3).tolist() == [-1, 0, -1]
    none = pairs[np.zeros(6, bool)]
    assert match_greedily(none, found, num_truths=0).tolist() == [-1, -1, -1]


def test_limits():
    scores = [0.1, 0.9, 0.5, 0.5, 0.3]
    found = found_of(*((0, n == 4, 0, 0, 1, 1, score) for n, score in enumerate(scores)))
    assert within_limit(found, 2).tolist() == [False, True, True, False, True]
    assert within_limit(found, 3).tolist() == [False, True, True, True, True]
    assert within_limit(found, 5).all() and within_limit(found_of(), 1).shape == (0,)
    assert within_limit(found, np.array([1, 0])).tolist() == [False, True, False, False, False]
    assert within_limit(found, np.array([9, 1])).all()
    other = found_of(*((n, 0, 0, 0, 1, 1, score) for n, score in enumerate(scores)))
    assert within_limit(other, 1).all()
    assert group_limits((0, 0, 2), 100).tolist() == [200, 0, 100]
    assert group_limit((0, 0, 2), 100) == 200


def test_ranks_by_class():
    found = found_of(
        (1, 1, 0, 0, 1, 1, 0.5), (0, 1, 0, 0, 1, 1, 0.5), (0, 0, 0, 0, 1, 1, 0.1),
        (0, 1, 0, 0, 1, 1, 0.9), (0, 1, 0, 0, 1, 1, 0.5),
    )  # fmt: skip
    assert rank_by_class(found, np.ones(5, bool)).tolist() == [2, 3, 1, 4, 0]
    assert rank_by_class(found, np.array([1, 0, 1, 1, 1], bool)).tolist() == [2, 3, 4, 0]


def test_thresholds_that_rounding_may_miss():
    assert attainable_iou(0.5) == 0.5 and attainable_iou(1.0) == 1 - 1e-10


def test_one_answer_for_each_group_and_object():
    found = found_of(
        (0, 0, 0, 0, 10, 10, 0.5),
        (0, 1, 0, 0, 10, 10, 0.9),  # the same object by another class of the group
        (0, 2, 0, 0, 10, 10, 0.8),  # another group
        (1, 0, 0, 0, 10, 10, 0.3),  # another image
        (0, 1, 0, 0, 10, 5, 0.4),  # IoU exactly 0.5: stays
        (0, 1, 0, 0, 10, 5.1, 0.2),  # above it
    )
    kept = suppress(found, (0, 0, 1))
    assert list(zip(kept.images, kept.labels, kept.scores, strict=True)) == [
        (0, 0, 0.9), (0, 1, 0.8), (1, 0, 0.3), (0, 0, 0.4),
    ]  # fmt: skip
    assert len(suppress(found, (0, 0, 1), iou_thr=0.49).scores) == 3
    assert len(suppress(found_of(), (0, 0, 1)).scores) == 0


def test_what_is_left_out_suppresses_nothing():
    """The second falls to the first, so it does not hide the third, which the first hardly meets."""
    boxes = ((0, 10), (4, 10), (8, 10))
    found = found_of(*((0, 0, x, 0, width, 10, 0.9 - n / 10) for n, (x, width) in enumerate(boxes)))
    assert suppress(found, (0,), iou_thr=0.4).boxes[:, 0].tolist() == [0, 8]
    assert suppress(found, (0,), iou_thr=0.5).boxes[:, 0].tolist() == [0, 4, 8]
