"""Answers to the objects in an image, as specific as they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdet_multigrain.evaluation.functional.answer_merging import merge_answers
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
    """The answers of a prediction, by falling score; each detection is a member of one.

    Args:
        prediction: Of a detector with a rule for answers.
        taxonomy: The detector's.
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


def describe_answers(prediction: Prediction, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """`levels`, `answer`, `answer_level` and `answer_score` of each detection, for JSON.

    The scores are probabilities given that there is an object; "object" has 1.
    """
    nodes, rows = Nodes.of(taxonomy), []
    columns = prediction.labels, prediction.calibrated, prediction.answer_levels
    for label, scores, level, score in zip(
        *(column.tolist() for column in (*columns, prediction.answer_scores)), strict=True
    ):
        rows.append(
            {
                'levels': [
                    {'name': nodes.name(label, number), 'score': round(value, 4)}
                    for number, value in enumerate(scores)
                ],
                'answer': nodes.name(label, level),
                'answer_level': level,
                'answer_score': round(score, 4),
            }
        )
    return rows
