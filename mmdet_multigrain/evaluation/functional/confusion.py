"""Which class is taken for which, ordered by superclass.

Here belong the confusion matrix with its blocks, and what is read off it. What errors cost belongs
in `error_analysis`. Needs hotcoco.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy

from .boxes import Detections, GroundTruth, check_labels
from .engines import choose_engine, hotcoco_evaluator
from .error_analysis import shared_levels
from .matching import find_pairs, runs, unjudged


@dataclass(frozen=True)
class Block:
    """The rows of a confusion matrix that belong to one group: `start` to `stop` - 1."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class ConfusedPair:
    """Ground truth of one class that is taken for another."""

    truth: str  # name of the class of the ground truth
    predicted: str  # name of the class of the detection
    count: int  # boxes
    share: float  # of all boxes of the class `truth`
    # on how many coarse levels both are of one group; 0: not even of one superclass
    shared_levels: int


@dataclass(frozen=True, eq=False)
class Confusion:
    """Boxes by class of the ground truth (rows) and of the detection (columns).

    Rows and columns are ordered by superclass, then by the finer groups, then by label; the last
    row and column are the background: detections on nothing, and ground truth without detection.
    """

    counts: np.ndarray  # (K + 1, K + 1)
    labels: np.ndarray  # (K,) fine label of each row
    names: tuple[str, ...]  # (K,) name of each row
    # for each coarse level, coarsest first, its groups as runs of rows
    blocks: tuple[tuple[Block, ...], ...]
    # (K, K) on how many coarse levels the classes of row and column are of one group; 0: not even
    # of one superclass
    shared_levels: np.ndarray
    iou_thr: float  # IoU from which a detection meets a ground truth, whatever their classes
    min_score: float  # detections below are left out

    @property
    def shares(self) -> np.ndarray:
        """(K + 1, K + 1) each row divided by its sum; NaN in a row without boxes."""
        with np.errstate(invalid='ignore'):
            return self.counts / self.counts.sum(axis=1, keepdims=True)

    @property
    def mistaken(self) -> np.ndarray:
        """(K, K) ground truth that is taken for another class: `counts` without the hits."""
        classes = self.counts[:-1, :-1]
        return classes - np.diag(np.diag(classes))

    @property
    def mistaken_by_level(self) -> np.ndarray:
        """(L,) of these, how many are taken for a class that shares 0, 1, ... coarse levels."""
        return np.bincount(
            self.shared_levels.ravel(),
            weights=self.mistaken.ravel(),
            minlength=len(self.blocks) + 1,
        ).astype(np.int64)

    @property
    def share_within(self) -> float:
        """Share of these that is taken for a class of the same superclass; NaN without any."""
        by_level = self.mistaken_by_level
        return float(by_level[1:].sum() / by_level.sum()) if by_level.any() else float('nan')

    @property
    def chance_within(self) -> float:
        """What `share_within` would be if each wrong class were equally likely; NaN without any.

        For the same mistakes by class of the ground truth; below the share where classes of one
        superclass look more similar than others.
        """
        mistaken = self.mistaken.sum(axis=1)
        if not mistaken.any():
            return float('nan')
        others = ~np.eye(len(mistaken), dtype=bool)
        siblings = ((self.shared_levels > 0) & others).sum(axis=1)
        return float(mistaken @ (siblings / others.sum(axis=1)) / mistaken.sum())

    def most_confused(self, limit: int = 10) -> tuple[ConfusedPair, ...]:
        """The most frequent confusions, most first; of equal counts, in order of the rows."""
        mistaken, shares = self.mistaken, self.shares
        order = np.argsort(-mistaken, axis=None, kind='stable')[:limit]
        return tuple(
            ConfusedPair(
                self.names[row],
                self.names[column],
                int(mistaken[row, column]),
                float(shares[row, column]),
                int(self.shared_levels[row, column]),
            )
            for row, column in zip(*np.unravel_index(order, mistaken.shape), strict=True)
            if mistaken[row, column]
        )


def measure_confusion(
    ground_truth: GroundTruth,
    detections: Detections,
    taxonomy: Taxonomy,
    *,
    iou_thr: float = 0.5,
    min_score: float | None = None,
) -> Confusion:
    """Which class is taken for which.

    By falling score, each detection takes the ground truth of highest IoU that none has taken,
    whatever their classes (hotcoco's definition). There is no limit on detections: the minimum
    score replaces it. Crowd boxes are left out, and so are detections on one of their class that
    are on no other box, as in AP: a box of which only the superclass is known is a crowd of each of
    its classes. So are detections of unannotated classes that match no box of theirs.

    Args:
        ground_truth: Boxes with fine labels.
        detections: Boxes with fine labels.
        taxonomy: Of these labels; of several trees, the first counts.
        iou_thr: IoU from which a detection may take a ground truth.
        min_score: Detections below are left out; with all of them, the background row holds
            little but the many boxes that a detector does not believe in. Default:
            `balanced_score`.

    Raises:
        EvaluationError: A label is out of range, or hotcoco is missing.
    """
    choose_engine('hotcoco')
    taxonomy = taxonomy.tree()
    check_labels(ground_truth, detections, taxonomy.num_classes)
    detections = detections[~_left_out(ground_truth, detections, iou_thr=iou_thr)]
    if min_score is None:
        min_score = balanced_score(ground_truth, detections)
    no_limit = max(1, len(detections.scores))
    evaluator = hotcoco_evaluator(
        ground_truth,
        detections,
        num_classes=taxonomy.num_classes,
        iou_thrs=[iou_thr],
        max_dets=[no_limit],
    )
    found = evaluator.confusion_matrix(iou_thr=iou_thr, max_det=no_limit, min_score=min_score)
    labels, blocks = order_by_superclass(taxonomy)
    rows = np.append(labels, taxonomy.num_classes)
    return Confusion(
        counts=found['matrix'].astype(np.int64)[np.ix_(rows, rows)],
        labels=labels,
        names=tuple(taxonomy.classes[label] for label in labels),
        blocks=blocks,
        shared_levels=shared_levels(taxonomy)[np.ix_(labels, labels)],
        iou_thr=iou_thr,
        min_score=min_score,
    )


def balanced_score(ground_truth: GroundTruth, detections: Detections) -> float:
    """The score that keeps as many detections as there are boxes, or all if there are fewer.

    A fixed score would keep none of a detector whose scores are low. Rounded down to three
    digits, so that what is shown is what is meant; 0 without detections. Crowds are not counted,
    nor are detections that `measure_confusion` leaves out at IoU 0.5.
    """
    detections = detections[~_left_out(ground_truth, detections, iou_thr=0.5)]
    boxes = max(1, int(np.count_nonzero(~ground_truth.crowd)))
    kept = np.sort(detections.scores)[::-1][:boxes]
    if not len(kept) or not kept[-1]:
        return 0.0
    score = float(kept[-1])
    scale = 10.0 ** (2 - math.floor(math.log10(abs(score))))
    return min(score, math.floor(score * scale + 1e-9) / scale)


def _left_out(ground_truth: GroundTruth, detections: Detections, *, iou_thr: float) -> np.ndarray:
    """(N,) bool: detections that are neither right nor wrong; see `measure_confusion`."""
    left_out = unjudged(ground_truth, detections, iou_thr=iou_thr)
    if not ground_truth.crowd.any():
        return left_out
    pairs = find_pairs(ground_truth, detections, counted=~left_out, min_iou=iou_thr)
    crowd = ground_truth.crowd[pairs.truths]
    own = ground_truth.labels[pairs.truths] == detections.labels[pairs.detections]
    on_crowd = np.zeros_like(left_out)
    on_crowd[pairs.detections[crowd & own]] = True
    on_crowd[pairs.detections[~crowd]] = False
    return left_out | on_crowd


def order_by_superclass(taxonomy: Taxonomy) -> tuple[np.ndarray, tuple[tuple[Block, ...], ...]]:
    """(K,) fine labels so that each group is one run, and for each coarse level these runs."""
    levels = range(taxonomy.num_levels - 1)
    index = [np.array(taxonomy.group_index(level)) for level in levels]
    keys = [np.arange(taxonomy.num_classes), *index[::-1]]
    labels = np.lexsort(keys)
    blocks = []
    for level in levels:
        groups, names = index[level][labels], taxonomy.group_names(level)
        blocks.append(
            tuple(Block(names[groups[start]], start, stop) for start, stop in runs(groups))
        )
    return labels, tuple(blocks)
