"""COCO's AP with weighted images: boxes are matched once, for any weights, that `bootstrap` draws.

If an image has the weight w, AP is that of a COCO evaluation in which the image occurs w times, up
to rounding; nothing is binned or truncated. If several detections of a class have the same score,
all copies of one detection come before those of the next; real copies of an image would alternate.
Boxes of any area count (COCO's area range "all" ends at 1e10 px).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from .boxes import Detections, GroundTruth
from .common import IOU_THRS, MAX_DETS, RECALL_THRS
from .matching import (
    attainable_iou,
    find_pairs,
    group_limits,
    match_greedily,
    rank_by_class,
    within_limit,
)


@dataclass(frozen=True, eq=False)
class RankCurve:
    """The precision-recall curves of one class, for any weights of the images.

    By falling score, consecutive hits without a false positive in between form one step: within
    a step precision only rises, so only its end matters. Detections below the last step do not
    matter.
    """

    truths: csr_array  # (1, I) boxes in each image
    # (U, I) detections in each image since the previous step, for steps of any threshold
    counts: csr_array
    # for each IoU threshold, (S, I) hits in each image since its previous step
    hits: tuple[csr_array, ...]
    rows: tuple[np.ndarray, ...]  # for each threshold, (S,) its steps among the U
    # for each threshold, (S, I) counted detections on crowd boxes; None if there are none
    ignored: tuple[csr_array | None, ...]

    @property
    def size(self) -> int:
        """Number of steps of all thresholds."""
        return self.counts.shape[0]

    def ap(self, weights: np.ndarray) -> np.ndarray:
        """(B, T) AP for (I, B) weights of the images, whole numbers; NaN without boxes."""
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
    max_dets: int = MAX_DETS,
) -> list[list[RankCurve]]:
    """Match the boxes of a run once; the curves of each level and class.

    Arguments as in `bootstrap.resample_ap`.
    """
    curves = []
    for index in group_indices:
        found = detections.relabel(index)
        truth = ground_truth.relabel(index).leave_out(found)
        counted = within_limit(found, group_limits(index, max_dets))
        found = found[rank_by_class(found, counted)]
        every = np.ones(len(found.labels), dtype=bool)
        pairs = find_pairs(truth, found, counted=every, min_iou=min(iou_thrs))
        own = pairs[truth.labels[pairs.truths] == found.labels[pairs.detections]]
        crowd = truth.crowd[own.truths]
        regular, on_crowd = own[~crowd], own[crowd]
        hits, ignored = [], []
        for iou in iou_thrs:
            least = attainable_iou(iou)
            near = regular[regular.ious >= least]
            hit = match_greedily(near, found, num_truths=len(truth.labels)) >= 0
            crowded = np.zeros_like(hit)
            crowded[on_crowd.detections[on_crowd.ious >= least]] = True
            hits.append(np.flatnonzero(hit))
            ignored.append(np.flatnonzero(crowded & ~hit))
        curves.append([])
        # Detections are sorted by class, then by falling score.
        bounds = np.searchsorted(found.labels, np.arange(max(index) + 2))
        for label, (start, stop) in enumerate(itertools.pairwise(bounds)):
            of_class = (truth.labels == label) & ~truth.crowd
            places = (
                [part[slice(*np.searchsorted(part, (start, stop)))] - start for part in side]
                for side in (hits, ignored)
            )
            images = truth.images[of_class], found.images[start:stop]
            curves[-1].append(_curve(*images, *places, num_images=len(truth.image_ids)))
    return curves


def _curve(
    truths: np.ndarray,
    images: np.ndarray,
    hits: Sequence[np.ndarray],
    ignored: Sequence[np.ndarray],
    *,
    num_images: int,
) -> RankCurve:
    """The curve of a class, from the (G,) images of its boxes and those of its (N,) detections.

    Detections are best first. For each threshold, `hits` and `ignored` (on crowd boxes) are places
    among them, ascending.
    """
    ends = []
    for hit, crowded in zip(hits, ignored, strict=True):
        counted = hit - np.searchsorted(crowded, hit)  # places among detections that count
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
            _sums(np.searchsorted(crowded, end) - 1, images[crowded], num_images)
            if len(crowded)
            else None
            for crowded, end in zip(ignored, ends, strict=True)
        ),
    )


def _sums(
    ends: Sequence[int], images: np.ndarray, num_images: int, rows: int | None = None
) -> csr_array:
    """(len(ends), I) how often each image occurs after one end, up to and including the next."""
    starts = np.zeros((len(ends) if rows is None else rows) + 1, dtype=np.int32)
    starts[1 : len(ends) + 1] = np.asarray(ends, dtype=np.int64) + 1
    images = images[: starts[-1]].astype(np.int32)
    # Built from its parts: an image may occur twice in a row; the product adds both.
    return csr_array(
        (np.ones(len(images), dtype=np.float32), images, starts),
        shape=(len(starts) - 1, num_images),
    )


def _running_sums(table: csr_array, weights: np.ndarray) -> np.ndarray:
    """(B, S) exact weighted sums of all rows up to each."""
    sums = table @ weights
    if sums.max(initial=0) >= 2**24:  # beyond, float32 skips whole numbers
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
    """(B,) AP of curves: (B, S) hits and detections (overwritten) up to steps, (B, 101) hits needed."""
    num_resamples, num_steps = hits.shape
    precision = np.zeros((num_resamples, num_steps + 1))  # last: recall that is never reached
    np.divide(hits, np.maximum(counted, 1, out=counted), out=precision[:, :-1])
    # One search for all resamples: each one's hits are lifted above those of the one before.
    lift = (needed[:, -1].max() + 2) * np.arange(num_resamples)[:, None]
    ladder = np.empty_like(precision)
    np.add(hits, lift, out=ladder[:, :-1])
    ladder[:, -1:] = lift + needed[:, -1:] + 1
    reached = np.searchsorted(ladder.ravel(), (needed + lift).ravel())
    # Highest precision from each threshold to the next, then from each to the end.
    best = np.maximum.reduceat(precision.ravel(), reached).reshape(needed.shape)
    return np.maximum.accumulate(best[:, ::-1], axis=1).mean(axis=1)
