"""One answer for each object: detections that overlap and whose answers are the same node."""

from __future__ import annotations

import numpy as np


def merge_answers(
    boxes: np.ndarray, scores: np.ndarray, nodes: np.ndarray, *, iou_thr: float
) -> list[np.ndarray]:
    """Non-maximum suppression inside each node, which keeps account of what it merges.

    Args:
        boxes: (N, 4) as x1, y1, x2, y2.
        scores: (N,) of the answers; of equal ones the first counts as the best.
        nodes: (N,) node of each answer.
        iou_thr: A detection belongs to the best one at its node that it overlaps by more.

    Returns:
        Of each answer, by falling score, its detections: the one that gives box and score, then
        the others by falling score. Each detection belongs to one answer.
    """
    order = np.argsort(-scores, kind='stable')
    boxes = boxes.astype(float)
    starts = np.maximum(boxes[:, None, :2], boxes[:, :2])
    ends = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (ends - starts).clip(min=0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    near = shared > iou_thr * (areas[:, None] + areas - shared)
    near &= nodes[:, None] == nodes
    free, answers = np.ones(len(boxes), bool), []
    for best in order:
        if free[best]:
            others = order[(free & near[best])[order] & (order != best)]
            answers.append(np.array([best, *others]))
            free[answers[-1]] = False
    return answers
