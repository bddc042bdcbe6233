"""Which detections show an annotated object, whatever their classes, and which nodes are wrong then.

Calibration and metrics of answers share this definition.
"""

from __future__ import annotations

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes

from .boxes import Detections, GroundTruth, check_labels
from .matching import attainable_iou, find_pairs, match_greedily, unjudged


def match_objects(
    ground_truth: GroundTruth, detections: Detections, taxonomy: Taxonomy, *, iou_thr: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Match detections and boxes one-to-one, whatever their classes.

    By falling score, each detection takes the box of highest IoU, from `iou_thr` on, that none has
    taken. Crowd boxes are no objects. A match to a box that has no class, only a superclass, is
    left out, and so are detections of unannotated classes that overlap no box of theirs.

    Returns:
        (M,) index of each matched detection, ascending, and (M,) of its box.

    Raises:
        EvaluationError: A label is out of range.
    """
    check_labels(ground_truth, detections, taxonomy.num_classes)
    counted = ~unjudged(ground_truth, detections, iou_thr=iou_thr)
    objects = detections.relabel(np.zeros(taxonomy.num_classes))
    pairs = find_pairs(ground_truth, objects, counted=counted, min_iou=attainable_iou(iou_thr))
    pairs = pairs[~ground_truth.crowd[pairs.truths]]
    boxes = match_greedily(pairs, objects, num_truths=len(ground_truth.labels))
    matched = np.flatnonzero(boxes >= 0)
    matched = matched[ground_truth.labels[boxes[matched]] < taxonomy.num_classes]
    return matched, boxes[matched]


def wrong_nodes(labels: np.ndarray, truths: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """(M, L) bool: whether class and groups of a detection are not those of its object.

    Labels and truths are (M,) classes; of the L levels, the class comes first, the coarsest last.
    """
    groups = Nodes.of(taxonomy).index[:-1]
    return (groups[:, labels] != groups[:, truths]).T
