"""Random ground truth and detections for the references of the evaluation."""

from __future__ import annotations

import numpy as np

from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth


def random_case(
    rng: np.random.Generator,
    *,
    num_images: int,
    num_classes: int,
    max_gt: int,
    max_dt: int,
    on_grid: bool,
    crowd_share: float,
    scores: str = 'free',
    side: float = 150,
    right_share: float = 0.8,
) -> tuple[GroundTruth, Detections]:
    """Draw ground truth, and detections of which two thirds are near a box.

    Args:
        on_grid: Many equal IoUs, empty and equal boxes.
        scores: `free`, `few` (ties everywhere) or `between` (ties between images only).
        side: Longest side of a box; corners are up to two thirds of it.
        right_share: Share of the detections near a box that have its class.
    """

    def draw(size):
        if on_grid:
            return rng.integers(0, 4, (size, 4)) * 16.0
        return np.hstack([rng.uniform(0, side * 2 / 3, (size, 2)), rng.uniform(0, side, (size, 2))])

    num_gt, num_dt = rng.integers(0, max_gt + 1), rng.integers(0, max_dt + 1)
    gt = GroundTruth(
        image_ids=tuple(range(num_images)),
        images=rng.integers(0, num_images, num_gt),
        labels=rng.integers(0, num_classes, num_gt),
        boxes=draw(num_gt),
        areas=rng.uniform(0, side**2, num_gt),
        crowd=rng.random(num_gt) < crowd_share,
    )
    images, labels = rng.integers(0, num_images, num_dt), rng.integers(0, num_classes, num_dt)
    boxes = draw(num_dt)
    if num_gt:
        source = rng.integers(0, num_gt, num_dt)
        near = rng.random(num_dt) < 2 / 3
        images[near], boxes[near] = gt.images[source[near]], gt.boxes[source[near]]
        if not on_grid:
            boxes[near] = np.abs(boxes[near] + rng.normal(0, 5, (near.sum(), 4)))
        right = near & (rng.random(num_dt) < right_share)
        labels[right] = gt.labels[source[right]]
    values = {
        'free': rng.random(num_dt),
        'few': rng.integers(0, 4, num_dt) / 4,
        # The place within its image: never twice there, often in other images.
        'between': np.array([(images[:n] == images[n]).sum() for n in range(num_dt)], float),
    }[scores]
    return gt, Detections(images, labels, boxes, values)
