"""COCO's AP with weights on the images: boxes are matched once, for any weights.

Here belongs what a bootstrap needs of each run, and AP under its weights. Needs SciPy, neither
torch nor mmdet.

With an image of weight w, AP is what COCO's evaluation gives where that image is there w times,
to rounding; nothing is binned or cut off. Where several detections of a class have the same
score, the copies of a detection count one after the other, then those of the next; images of
their own would give detections of one image in turn. All boxes count, of whatever area (COCO's
area range "all" ends at 1e10 px).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from .coco_eval import Detections, GroundTruth
from .matching import find_pairs, match_greedily, within_limit

IOU_THRS = np.linspace(0.5, 0.95, 10)
RECALL_THRS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class RankCurve:
    """What the precision-recall curves of one class need, for any weights of the images.

    By falling score, hits that follow one another without a false positive in between make one
    step: within a step precision only rises, so that its end decides. Detections below the last
    step change nothing.

    Attributes:
        truths: (1, I) boxes in each image.
        counts: (U, I) detections in each image since the step before; steps of all thresholds.
        hits: For each IoU threshold, (S, I) hits in each image since its own step before.
        rows: For each threshold, (S,) its steps among the U.
        ignored: For each threshold, (S, I) detections among the counts that are on crowd boxes;
            None if there are none.
    """

    truths: csr_array
    counts: csr_array
    hits: tuple[csr_array, ...]
    rows: tuple[np.ndarray, ...]
    ignored: tuple[csr_array | None, ...]

    @property
    def size(self) -> int:
        """The largest number of steps."""
        return self.counts.shape[0]

    def ap(self, weights: np.ndarray) -> np.ndarray:
        """(B, T) AP under weights (I, B) of the images, whole numbers; NaN without boxes."""
        num_resamples = weights.shape[1]
        num_gt = (self.truths @ weights)[0].astype(np.float64)
        ap = np.zeros((num_resamples, len(self.hits)))
        if self.size:
            needed = _hits_needed(num_gt)
            above = _running_sums(self.counts, weights)
            for number, (hits, rows, ignored) in enumerate(
                zip(self.hits, self.rows, self.ignored, strict=True)
            ):
                if len(rows):
                    counted = above[:, rows]
                    if ignored is not None:
                        counted -= _running_sums(ignored, weights)
                    ap[:, number] = _area(_running_sums(hits, weights), counted, needed)
        ap[num_gt == 0] = np.nan
        return ap


def rank_curves(
    ground_truth: GroundTruth,
    detections: Detections,
    group_indices: Sequence[Sequence[int]],
    *,
    iou_thrs: Sequence[float] = IOU_THRS,
    max_dets: int = 100,
) -> list[list[RankCurve]]:
    """The curves of a run, for each level and class; matching is done here, once."""
    # No detection counts for the superclass that does not count for its class.
    counted = within_limit(detections.relabel(group_indices[-1]), max_dets)
    pairs = find_pairs(ground_truth, detections, counted=counted, min_iou=min(iou_thrs))
    # Of equal overlaps, the last one given must come last on all levels.
    pairs = pairs[np.lexsort((pairs.truths, pairs.detections))]
    curves = []
    for index in group_indices:
        truth, found = ground_truth.relabel(index), detections.relabel(index)
        counted = within_limit(found, max_dets)
        own = pairs[
            counted[pairs.detections]
            & (truth.labels[pairs.truths] == found.labels[pairs.detections])
        ]
        crowd = truth.crowd[own.truths]
        regular, on_crowd = own[~crowd], own[crowd]
        hits, ignored = [], []
        for iou in iou_thrs:
            least = min(iou, 1 - 1e-10)  # as pycocotools: an IoU of 1 may come out lower
            claimed = (
                match_greedily(regular[regular.ious >= least], found, num_truths=len(truth.labels))
                >= 0
            )
            beside = np.zeros_like(claimed)
            beside[on_crowd.detections[on_crowd.ious >= least]] = True
            hits.append(np.flatnonzero(claimed))
            ignored.append(np.flatnonzero(beside & ~claimed))
        curves.append(
            list(_curves_of_level(truth, found, counted, hits, ignored, num_classes=max(index) + 1))
        )
    return curves


def _curves_of_level(
    truth: GroundTruth,
    found: Detections,
    counted: np.ndarray,
    hits: Sequence[np.ndarray],
    ignored: Sequence[np.ndarray],
    *,
    num_classes: int,
) -> Iterator[RankCurve]:
    num_images = len(truth.image_ids)
    # COCO's order: by score; of equal ones by image, then as given.
    order = np.lexsort((found.images, -found.scores, found.labels))
    order = order[counted[order]]
    bounds = np.searchsorted(found.labels[order], np.arange(num_classes + 1))
    places = np.empty(len(counted), dtype=np.int64)
    places[order] = np.arange(len(order))
    hits, ignored = ([np.sort(places[which]) for which in side] for side in (hits, ignored))
    for label, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        own = (truth.labels == label) & ~truth.crowd
        yield _curve(
            truth.images[own],
            found.images[order[start:stop]],
            *(
                [part[slice(*np.searchsorted(part, (start, stop)))] - start for part in side]
                for side in (hits, ignored)
            ),
            num_images=num_images,
        )


def _curve(
    truths: np.ndarray,
    images: np.ndarray,
    hits: Sequence[np.ndarray],
    ignored: Sequence[np.ndarray],
    *,
    num_images: int,
) -> RankCurve:
    """The curve of a class.

    Args:
        truths: (G,) image of each box.
        images: (N,) image of each detection, best first.
        hits: For each threshold, places of the hits among the detections, ascending.
        ignored: The same of the detections on crowd boxes.
        num_images: I.
    """
    ends = []
    for hit, beside in zip(hits, ignored, strict=True):
        counted = hit - np.searchsorted(beside, hit)  # places among those that count
        ends.append(hit[np.diff(counted, append=-1) != 1])
    steps = np.unique(np.concatenate(ends))
    return RankCurve(
        truths=_sums([len(truths) - 1] if len(truths) else [], truths, num_images, rows=1),
        counts=_sums(steps, images, num_images),
        hits=tuple(
            _sums(np.searchsorted(hit, end), images[hit], num_images)
            for hit, end in zip(hits, ends, strict=True)
        ),
        rows=tuple(np.searchsorted(steps, end) for end in ends),
        ignored=tuple(
            _sums(np.searchsorted(beside, end) - 1, images[beside], num_images)
            if len(beside)
            else None
            for beside, end in zip(ignored, ends, strict=True)
        ),
    )


def _sums(
    ends: Sequence[int], images: np.ndarray, num_images: int, rows: int | None = None
) -> csr_array:
    """(len(ends), I) how often each image occurs after one end, up to and with the next."""
    starts = np.zeros((len(ends) if rows is None else rows) + 1, dtype=np.int32)
    starts[1 : len(ends) + 1] = np.asarray(ends, dtype=np.int64) + 1
    images = images[: starts[-1]].astype(np.int32)
    # Built of its parts: an image may stand twice in a row, which the product adds up.
    return csr_array(
        (np.ones(len(images), dtype=np.float32), images, starts),
        shape=(len(starts) - 1, num_images),
    )


def _running_sums(table: csr_array, weights: np.ndarray) -> np.ndarray:
    """(B, S) weighted sums of the rows up to each, exact."""
    sums = table @ weights
    if sums.max(initial=0) >= 2**24:  # from there on float32 does not hold every whole number
        sums = table @ weights.astype(np.float64)
    return np.cumsum(np.ascontiguousarray(sums.T), axis=1, dtype=np.float64)


def _hits_needed(num_gt: np.ndarray) -> np.ndarray:
    """(B, 101) hits with which recall reaches each threshold, in COCO's arithmetic."""
    num_gt = np.maximum(num_gt, 1)[:, None]
    needed = np.ceil(RECALL_THRS * num_gt)
    needed -= (needed > 0) & ((needed - 1) / num_gt >= RECALL_THRS)
    needed += needed / num_gt < RECALL_THRS
    return needed


def _area(hits: np.ndarray, counted: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """(B,) AP of curves.

    Args:
        hits: (B, S) hits up to each step.
        counted: (B, S) detections up to each step; changed.
        needed: (B, 101) hits at each recall threshold.
    """
    num_resamples, num_steps = hits.shape
    precision = np.zeros((num_resamples, num_steps + 1))  # the last: where recall never gets to
    np.divide(hits, np.maximum(counted, 1, out=counted), out=precision[:, :-1])
    # One search for all resamples: their hits one after the other, lifted above each other.
    lift = (needed[:, -1].max() + 2) * np.arange(num_resamples)[:, None]
    ladder = np.empty_like(precision)
    np.add(hits, lift, out=ladder[:, :-1])
    ladder[:, -1:] = lift + needed[:, -1:] + 1
    reached = np.searchsorted(ladder.ravel(), (needed + lift).ravel())
    # Highest precision from each threshold to the next, then from each to the end.
    best = np.maximum.reduceat(precision.ravel(), reached).reshape(needed.shape)
    return np.maximum.accumulate(best[:, ::-1], axis=1).mean(axis=1)
