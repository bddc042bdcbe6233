"""Which detection matches which ground truth: overlaps, ranks and COCO's greedy matching in NumPy.

The `engines` do not report which boxes they match. No Python loop runs over images or boxes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .boxes import Detections, GroundTruth
from .common import Columns

CHUNK = 1_000_000  # pairs of boxes at a time; about 150 bytes each


@dataclass(frozen=True, eq=False)
class Pairs(Columns):
    """Pairs of a detection and a ground truth of one image.

    Sorted by detection, then by class of the ground truth, then in the order given.
    """

    detections: np.ndarray  # (P,) index into the detections, ascending
    truths: np.ndarray  # (P,) index into the ground truth
    ious: np.ndarray  # (P,) intersection over union; over the area of the detection for a crowd box

    def best(self) -> Pairs:
        """The pair with the highest IoU of each detection; the first of equal ones."""
        if not len(self.ious):
            return self
        starts = np.flatnonzero(np.diff(self.detections, prepend=-1))
        sizes = np.diff(starts, append=len(self.ious))
        highest = np.repeat(np.maximum.reduceat(self.ious, starts), sizes)
        pairs = self[self.ious == highest]
        return pairs[np.diff(pairs.detections, prepend=-1) > 0]


def find_pairs(
    ground_truth: GroundTruth, detections: Detections, *, counted: np.ndarray, min_iou: float
) -> Pairs:
    """All pairs of a box, crowds included, and a counted ((N,) bool) detection of any classes.

    They overlap by at least `min_iou`, above 0.
    """
    order = np.lexsort((ground_truth.labels, ground_truth.images))
    boxes, crowd = ground_truth.boxes[order], ground_truth.crowd[order]
    per_image = np.bincount(ground_truth.images, minlength=len(ground_truth.image_ids))
    first = np.cumsum(per_image) - per_image
    sizes = np.where(counted, per_image[detections.images], 0)
    ends = np.cumsum(sizes)
    cuts = np.searchsorted(ends, np.arange(CHUNK, ends[-1] if len(ends) else 0, CHUNK))
    bounds = [0, *np.unique(cuts).tolist(), len(sizes)]
    parts = []
    for start, stop in itertools.pairwise(bounds):
        size = sizes[start:stop]
        begins = first[detections.images[start:stop]] - (np.cumsum(size) - size)
        index = np.repeat(np.arange(start, stop), size)
        position = np.arange(len(index)) + np.repeat(begins, size)
        ious = pair_ious(detections.boxes[index], boxes[position], crowd[position])
        kept = ious >= min_iou
        parts.append((index[kept], order[position[kept]], ious[kept]))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def attainable_iou(iou_thr: float) -> float:
    """The threshold with pycocotools' allowance: the IoU of equal boxes may round below 1."""
    return min(iou_thr, 1 - 1e-10)


def within_limit(detections: Detections, max_dets: int | np.ndarray) -> np.ndarray:
    """(N,) bool: whether a detection is one of the best of its image and class.

    `max_dets` says how many count: one limit, or that of each label.
    """
    max_dets = np.asarray(max_dets)
    if len(detections.scores) and np.bincount(detections.images).max() > max_dets.min():
        limits = max_dets[detections.labels] if max_dets.ndim else max_dets
        return _ranks(detections, np.arange(len(detections.scores))) < limits
    return np.ones(len(detections.scores), dtype=bool)


def group_limits(index: Sequence[int], max_dets: int) -> np.ndarray:
    """Limit of each group of a level: `max_dets` for each of its fine classes.

    A detector may give that many detections of every class; relabeled by group, all of them count.
    `index` is the group of each fine label.
    """
    return max_dets * np.bincount(index)


def group_limit(index: Sequence[int], max_dets: int) -> int:
    """The limit of all groups where groups are what is detected: that of the largest one."""
    return int(group_limits(index, max_dets).max())


def suppress(detections: Detections, index: Sequence[int], *, iou_thr: float = 0.5) -> Detections:
    """One answer for each group and object, with the maximum of the scores of its classes.

    `index` is the group of each class; for `iou_thr` see `unsuppressed`.
    """
    found = detections.relabel(index)
    return found[unsuppressed(found, iou_thr=iou_thr)]


def image_groups(found: Mapping[str, np.ndarray], index: Sequence[int]) -> dict[str, np.ndarray]:
    """Like `suppress`, for `labels`, `bboxes` (x1, y1, x2, y2) and `scores` of one image."""
    columns = {key: found[key] for key in ('labels', 'bboxes', 'scores')}
    columns['labels'] = np.asarray(index)[columns['labels']]
    kept = unsuppressed(Detections.from_images((0,), [(0, *columns.values())]))
    return {key: column[kept] for key, column in columns.items()}


def unsuppressed(found: Detections, *, iou_thr: float = 0.5) -> np.ndarray:
    """(N,) bool: non-maximum suppression over the detections of each image and label.

    A detection that overlaps a better one by more than `iou_thr` is left out.
    """
    keys = np.stack([found.images, found.labels], axis=1)
    sets = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    kept = np.ones(len(sets), dtype=bool)
    others = GroundTruth(
        image_ids=tuple(range(sets.max(initial=-1) + 1)),
        images=sets,
        labels=np.zeros_like(sets),
        boxes=found.boxes,
        areas=found.boxes[:, 2:].prod(axis=1),
        crowd=~kept,
    )
    pairs = find_pairs(others, replace(found, images=sets), counted=kept, min_iou=iou_thr)
    ranks = _ranks(found, np.arange(len(sets)))
    better = ranks[pairs.truths] < ranks[pairs.detections]
    pairs = pairs[better & (pairs.ious > iou_thr)]
    pairs = pairs[np.argsort(ranks[pairs.detections], kind='stable')]
    # Detections of one rank have different images or labels: they are judged independently.
    for start, stop in runs(ranks[pairs.detections]):
        part = pairs[start:stop]
        kept[part.detections[kept[part.truths]]] = False
    return kept


def match_greedily(pairs: Pairs, detections: Detections, *, num_truths: int) -> np.ndarray:
    """(N,) ground truth that each detection matches, -1 for none.

    By falling score, each detection takes the best ground truth among its pairs that is still free;
    of equal ones the last, as pycocotools does. The pairs may match: they are of one class, their
    IoU is high enough, and none is of a crowd.
    """
    matched = np.full(len(detections.scores), -1, dtype=np.int64)
    taken = np.zeros(num_truths, dtype=bool)
    starts = np.flatnonzero(np.diff(pairs.detections, prepend=-1))
    ranks = _ranks(detections, pairs.detections[starts])
    rounds = np.repeat(ranks, np.diff(starts, append=len(pairs.ious)))
    # Stable, so that of equal IoUs the last ground truth stays last.
    order = np.lexsort((pairs.ious, pairs.detections, rounds))
    pairs, rounds = pairs[order], rounds[order]
    # Detections of one rank have different images or classes: they match independently.
    for start, stop in runs(rounds):
        free = start + np.flatnonzero(~taken[pairs.truths[start:stop]])
        best = free[np.diff(pairs.detections[free], append=-1) != 0]
        matched[pairs.detections[best]] = pairs.truths[best]
        taken[pairs.truths[best]] = True
    return matched


def unjudged(ground_truth: GroundTruth, detections: Detections, *, iou_thr: float) -> np.ndarray:
    """(N,) bool: detections of classes unannotated in their image that overlap no box of theirs.

    Boxes have labels of any granularity; they overlap from `iou_thr` on.
    """
    if ground_truth.unannotated is None:
        return np.zeros(len(detections.scores), dtype=bool)
    left_out = ground_truth.unannotated[detections.images, detections.labels]
    pairs = find_pairs(ground_truth, detections, counted=left_out, min_iou=iou_thr)
    truths, labels = ground_truth.labels[pairs.truths], detections.labels[pairs.detections]
    sets = ground_truth.sets
    own = truths == labels if sets is None else sets[truths, labels]
    left_out[pairs.detections[own]] = False
    return left_out


def runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of each run of equal values, which are whole numbers from 0 on."""
    bounds = [*np.flatnonzero(np.diff(values, prepend=-1)).tolist(), len(values)]
    return [*itertools.pairwise(bounds)]


def rank_by_class(detections: Detections, counted: np.ndarray) -> np.ndarray:
    """Indices of the counted detections, sorted by class, then by falling score.

    Of equal scores, the first image comes first, then the first detection, as in COCO's engines.
    """
    order = np.lexsort((detections.images, -detections.scores, detections.labels))
    return order[counted[order]]


def _ranks(detections: Detections, index: np.ndarray) -> np.ndarray:
    """Rank from 0 of each selected detection among those of its image and class.

    By falling score; of equal scores, the first in `index` comes first.
    """
    images, labels = detections.images[index], detections.labels[index]
    order = np.lexsort((-detections.scores[index], images, labels))
    changes = np.diff(images[order], prepend=-1) | np.diff(labels[order], prepend=-1)
    starts = np.flatnonzero(changes)
    ranks = np.empty(len(index), dtype=np.int64)
    ranks[order] = np.arange(len(index)) - np.repeat(starts, np.diff(starts, append=len(index)))
    return ranks


def pair_ious(
    boxes: np.ndarray, others: np.ndarray, crowd: np.ndarray | bool = False
) -> np.ndarray:
    """(P,) IoU of each box with the other of its row; over its own area for a crowd."""
    # In pycocotools' order of operations, so that an IoU of exactly 0.5 is 0.5 here too.
    ends = np.minimum(boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:])
    shared = np.maximum(ends - np.maximum(boxes[:, :2], others[:, :2]), 0).prod(axis=1)
    areas = boxes[:, 2:].prod(axis=1)
    union = np.where(crowd, areas, areas + others[:, 2:].prod(axis=1) - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
