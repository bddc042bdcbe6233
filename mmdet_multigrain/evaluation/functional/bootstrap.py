"""Paired bootstrap over images: how much AP depends on the test images.

This module draws the resamples; `weighted_ap` computes the AP of a resample, and `intervals` makes
intervals of differences from the draws.

A resample draws as many images as there are, with replacement: the weight of an image is the number
of times it was drawn, and AP is computed with these weights. All runs get the same weights, so that
the hard images of a resample are hard for all runs: the difference of two runs varies much less
than either. In a resample without boxes of a class, that class has no AP and is in no mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

from mmdet_multigrain.utils.errors import EvaluationError
from mmdet_multigrain.utils.parallel import default_workers

from .boxes import Detections, GroundTruth
from .common import IOU_THRS, MAX_DETS, mean_of_known
from .weighted_ap import rank_curves

RESAMPLES = 2000
# Numbers in one array. With more, the weights of a chunk of resamples do not fit the cache. Each
# thread holds some ten such arrays of 8 bytes.
MAX_CELLS = 2**21
MAX_WIDTH = 512  # resamples in a chunk: keeps all threads busy and the progress bar moving


@dataclass(frozen=True, eq=False)
class ResampledAP:
    """AP of one run on all images, and on each resample."""

    # for each level of the taxonomy, coarsest first, (1 + B, T, K) AP by resample, IoU threshold
    # and class; row 0 is for all images once. NaN where there are no boxes.
    levels: tuple[np.ndarray, ...]
    iou_thrs: np.ndarray  # (T,) IoU thresholds

    def classes(self, *, level: int = -1, iou: float | None = None) -> np.ndarray:
        """(1 + B, K) AP of each class at one IoU threshold; default: the mean over all."""
        chosen = slice(None) if iou is None else np.isclose(self.iou_thrs, iou)
        return self.levels[level][:, chosen].mean(axis=1)

    def mean(
        self, labels: Sequence[int] | None = None, *, level: int = -1, iou: float | None = None
    ) -> np.ndarray:
        """(1 + B,) mean AP over the given classes (default: all) that have boxes."""
        values = self.classes(level=level, iou=iou)
        return mean_of_known(values if labels is None else values[:, list(labels)], axis=1)


def resample_ap(
    ground_truth: GroundTruth,
    runs: Sequence[Detections],
    group_indices: Sequence[Sequence[int]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    max_dets: int = MAX_DETS,
    iou_thrs: Sequence[float] = IOU_THRS,
    workers: int | None = None,
    progress: bool = False,
) -> list[ResampledAP]:
    """AP of several runs on the same resamples of their images.

    Args:
        ground_truth: Boxes with labels of any granularity, as in `evaluate_levels`.
        runs: Detections of each run on these images.
        group_indices: For each level, the group of each fine label, as in `evaluate_levels`.
        resamples: Number B of resamples.
        seed: The same seed gives the same resamples for any runs.
        max_dets: Limit on detections per image and fine class, as in `evaluate_levels`.
        iou_thrs: IoU thresholds, ascending.
        workers: Number of threads. Default: one for each core.
        progress: Show a progress bar.

    Raises:
        EvaluationError: There are no images.
    """
    num_images = len(ground_truth.image_ids)
    if not num_images:
        raise EvaluationError('no images to resample; the ground truth has none')
    iou_thrs = np.asarray(iou_thrs, dtype=np.float64)
    workers = default_workers() if workers is None else workers
    curves = []  # by run, level, class
    with tqdm(total=len(runs) + resamples + 1, disable=not progress, desc='bootstrap') as bar:
        options = dict(group_indices=group_indices, iou_thrs=iou_thrs, max_dets=max_dets)
        with ThreadPoolExecutor(workers) as pool:
            for found in pool.map(partial(rank_curves, ground_truth, **options), runs):
                curves.append(found)
                bar.update()
        largest = max((curve.size for run in curves for level in run for curve in level), default=0)
        width = max(1, min(MAX_WIDTH, MAX_CELLS // max(largest, num_images)))
        numbers = range(resamples + 1)
        chunks = [numbers[start : start + width] for start in numbers[::width]]
        tables = [
            [np.empty((len(numbers), len(iou_thrs), len(level))) for level in run] for run in curves
        ]

        def fill(chunk: range) -> int:
            weights = image_weights(num_images, chunk, seed=seed)
            for run, run_tables in zip(curves, tables, strict=True):
                for level, table in zip(run, run_tables, strict=True):
                    for label, curve in enumerate(level):
                        table[chunk.start : chunk.stop, :, label] = curve.ap(weights)
            return len(chunk)

        pool = ThreadPoolExecutor(workers)
        try:
            for done in pool.map(fill, chunks):
                bar.update(done)
        finally:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for the rest
    return [ResampledAP(tuple(run), iou_thrs) for run in tables]


def image_weights(num_images: int, numbers: Sequence[int], *, seed: int) -> np.ndarray:
    """(I, B) float32: how often each image occurs in the resamples with these numbers.

    Number 0 has all images once. A resample depends only on its number, the seed and the number
    of images.
    """
    weights = np.ones((len(numbers), num_images), dtype=np.float32)
    for row, number in zip(weights, numbers, strict=True):
        if number:
            drawn = np.random.default_rng([seed, number]).integers(num_images, size=num_images)
            row[:] = np.bincount(drawn, minlength=num_images)
    return np.ascontiguousarray(weights.T)
