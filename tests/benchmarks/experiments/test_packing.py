"""Packed detections: what is kept, how it is rounded, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiments.packing import pack, unpack
from mmdet_multigrain.evaluation import Detections
from mmdet_multigrain.utils.errors import EvaluationError

EXACT = dict(box_step=0.5, score_step=0.001)
ALL = [1000] * 12


def draw(count: int, images: int, seed: int = 0) -> Detections:
    random = np.random.default_rng(seed)
    return Detections(
        images=np.sort(random.integers(images, size=count)),
        labels=random.integers(12, size=count),
        boxes=random.integers(1, 600, size=(count, 4)) / 2 - [5, 5, 0, 0],
        scores=random.permutation(count) / 1000,
    )


def test_on_the_grid_only_the_order_within_images_changes():
    given = draw(500, images=7)
    found = unpack(pack(given, 9, ALL, **EXACT))
    order = np.lexsort((given.boxes[:, 0], given.images))
    np.testing.assert_array_equal(found.images, given.images[order])
    np.testing.assert_array_equal(found.labels, given.labels[order])
    np.testing.assert_array_equal(found.boxes, given.boxes[order])
    np.testing.assert_allclose(found.scores, given.scores[order], rtol=1e-12)


def test_the_best_of_each_class_are_kept_and_ties_keep_their_order():
    given = Detections(
        images=np.array([2, 0, 2, 1, 2]),
        labels=np.array([1, 0, 1, 1, 1]),
        boxes=np.tile([1.0, 2.0, 3.0, 4.0], (5, 1)),
        scores=np.array([0.2, 0.1, 0.9, 0.2, 0.1]),
    )
    packed = pack(given, 3, [1, 2], **EXACT)
    assert (packed['kept'], packed['dropped'], packed['images']) == (3, 2, 3)
    found = unpack(packed)
    assert found.labels.tolist() == [0, 1, 1] and found.images.tolist() == [0, 2, 2]
    assert found.scores.tolist() == pytest.approx([0.1, 0.2, 0.9])


def test_rounding_goes_to_the_nearest_step_and_keeps_boxes_thick():
    given = Detections(
        images=np.zeros(1, int),
        labels=np.zeros(1, int),
        boxes=np.array([[-0.7, 10.24, 0.1, 5.26]]),
        scores=np.array([0.12345]),
    )
    found = unpack(pack(given, 1, [1], **EXACT))
    assert found.boxes.tolist() == [[-0.5, 10.0, 0.5, 5.5]]
    assert found.scores == pytest.approx([0.123])


def test_nothing_detected():
    none = Detections(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))
    found = unpack(pack(none, 5, ALL, **EXACT))
    assert found.boxes.shape == (0, 4) and len(found.scores) == 0


def test_too_much_is_refused():
    with pytest.raises(EvaluationError, match='more than 200000; keep fewer'):
        pack(draw(40_000, images=500), 500, [9999] * 12, **EXACT)
