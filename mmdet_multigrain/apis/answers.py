"""Answers to the objects in an image, as specific as they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes

if TYPE_CHECKING:
    from .detector import Prediction


@dataclass(frozen=True)
class Answer:
    """What a detector says of one object: detections that overlap, with the same answer.

    Attributes:
        name: Of a class, a group, or "object".
        level: 0 for the class, the number of levels for "object".
        label: Class of the best detection.
        score: How likely there is an object and it is this, from 0 to 1.
        box: x1, y1, x2, y2 of the best detection.
        members: Indices of the detections, the best first.
    """

    name: str
    level: int
    label: int
    score: float
    box: tuple[float, float, float, float]
    members: tuple[int, ...]


def answers_of(prediction: Prediction, taxonomy: Taxonomy) -> list[Answer]:
    """The answers of a prediction of a detector with a rule for answers, by falling score.

    Each detection is a member of one.
    """
    nodes = Nodes.of(taxonomy)
    labels, levels = prediction.labels, prediction.answer_levels
    # Scores that come from one region differ in their last bits.
    scores = np.round(prediction.objectness * prediction.answer_scores, 6)
    merged = merge_answers(
        prediction.boxes, scores, nodes.sets[levels, labels], iou_thr=prediction.iou_thr
    )
    return [
        Answer(
            nodes.name(int(labels[best]), int(levels[best])),
            int(levels[best]),
            int(labels[best]),
            float(scores[best]),
            tuple(prediction.boxes[best].tolist()),
            tuple(map(int, (best, *others))),
        )
        for best, *others in merged
    ]


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


def describe_answers(prediction: Prediction, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """`levels`, `answer`, `answer_level` and `answer_score` of each detection, for JSON.

    The scores are probabilities given that there is an object; "object" has 1.
    """
    nodes = Nodes.of(taxonomy)
    rows = prediction.rows('labels', 'calibrated', 'answer_levels', 'answer_scores')
    return [
        {
            'levels': [
                {'name': nodes.name(label, number), 'score': round(value, 4)}
                for number, value in enumerate(scores)
            ],
            'answer': nodes.name(label, level),
            'answer_level': level,
            'answer_score': round(score, 4),
        }
        for label, scores, level, score in rows
    ]
