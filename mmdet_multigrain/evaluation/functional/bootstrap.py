"""Paired bootstrap over images: how far AP, and differences in AP, depend on the photos tested on.

Here belongs drawing the resamples, and intervals of what is made of their APs. AP of a resample
belongs in `weighted_ap`, which numbers a report shows in `report.comparison`. Needs SciPy,
neither torch nor mmdet.

A resample draws as many images as there are, with replacement: each image gets a weight, the
number of times it was drawn, and AP is computed with these weights. All runs get the same
weights, so that the hard photos of a resample are hard for all: the difference of two runs varies
much less than either.

An interval is the percentile interval (from the 2.5th to the 97.5th percentile of the resampled
differences, interpolated linearly). It speaks of other photos, not of training again: with
several seeds, the mean over the seeds is resampled, and its interval says nothing of the spread
between them. In a resample without boxes of a class, that class has no AP and is in no mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from mmdet_multigrain.utils.errors import EvaluationError
from mmdet_multigrain.utils.parallel import default_workers

from .coco_eval import Detections, GroundTruth
from .weighted_ap import IOU_THRS, rank_curves

RESAMPLES = 2000
CONFIDENCE = 0.95
# Of numbers in one array: with more, the weights of the resamples computed in one go leave the
# cache. Each thread holds some ten such arrays of 8 bytes.
MAX_CELLS = 2**21
MAX_WIDTH = 512  # resamples in one go, so that all threads have some and the progress is seen


@dataclass(frozen=True, eq=False)
class ResampledAP:
    """AP of one run: on the images as they are, and on each resample.

    Attributes:
        levels: For each level of the taxonomy, coarsest first, (1 + B, T, K) AP by resample, IoU
            threshold and class: row 0 is for the images as they are; NaN where there are no boxes.
        iou_thrs: (T,)
    """

    levels: tuple[np.ndarray, ...]
    iou_thrs: np.ndarray

    def classes(self, *, level: int = -1, iou: float | None = None) -> np.ndarray:
        """(1 + B, K) AP of each class, at one IoU threshold or (default) their mean."""
        chosen = slice(None) if iou is None else np.isclose(self.iou_thrs, iou)
        return self.levels[level][:, chosen].mean(axis=1)

    def mean(
        self, labels: Sequence[int] | None = None, *, level: int = -1, iou: float | None = None
    ) -> np.ndarray:
        """(1 + B,) mean AP over the classes that have boxes; by default over all."""
        values = self.classes(level=level, iou=iou)
        return mean_of_known(values if labels is None else values[:, list(labels)])


@dataclass(frozen=True)
class Interval:
    """A difference and its percentile interval.

    Attributes:
        value: On the images as they are.
        low: Lower end; NaN if no resample has a value.
        high: Upper end.
        resamples: How many resamples had a value. A rare class is missing in some.
    """

    value: float
    low: float
    high: float
    resamples: int

    @property
    def contains_zero(self) -> bool:
        """Whether no difference at all is among what the interval allows; True without values."""
        return not (self.low > 0 or self.high < 0)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, NaN left out; NaN where nothing is known."""
    known = ~np.isnan(values)
    with np.errstate(invalid='ignore'):
        return np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)


def difference(
    baseline: Sequence[ResampledAP],
    variant: Sequence[ResampledAP],
    number: Callable[[ResampledAP], np.ndarray],
    *,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Variant minus baseline, each the mean over its runs, with a percentile interval.

    Args:
        baseline: One or more runs (seeds), all of one `resample_ap`.
        variant: The same of the other side.
        number: Gives (1 + B,) values of a run, the first for the images as they are.
        confidence: Share of the resampled differences that the interval holds.
    """
    sides = [np.mean([number(run) for run in runs], axis=0) for runs in (variant, baseline)]
    values = sides[0] - sides[1]
    known = values[1:][~np.isnan(values[1:])]
    half = 50 * confidence
    low, high = np.percentile(known, [50 - half, 50 + half]) if len(known) else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high), len(known))


def resample_ap(
    ground_truth: GroundTruth,
    runs: Sequence[Detections],
    group_indices: Sequence[Sequence[int]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    max_dets: int = 100,
    iou_thrs: Sequence[float] = IOU_THRS,
    workers: int | None = None,
    progress: bool = False,
) -> list[ResampledAP]:
    """AP of several runs on the same resamples of their images.

    Args:
        ground_truth: Boxes with fine labels.
        runs: Detections of each run on the same images.
        group_indices: For each level, the group of each fine label, as in `evaluate_levels`.
        resamples: Number B.
        seed: The same seed gives the same resamples, whatever the runs.
        max_dets: Limit on detections per image and class.
        iou_thrs: IoU thresholds, ascending.
        workers: Threads. Default: as many as there are cores.
        progress: Show a progress bar.

    Raises:
        EvaluationError: If there are no images.
    """
    num_images = len(ground_truth.image_ids)
    if not num_images:
        raise EvaluationError('no images to resample; give a ground truth that has some')
    iou_thrs = np.asarray(iou_thrs, dtype=np.float64)
    workers = default_workers() if workers is None else workers
    curves = []  # by run, level, class
    with tqdm(total=len(runs) + resamples + 1, disable=not progress, desc='bootstrap') as bar:
        with ThreadPoolExecutor(workers) as pool:
            curves_of = pool.map(
                lambda run: rank_curves(
                    ground_truth, run, group_indices, iou_thrs=iou_thrs, max_dets=max_dets
                ),
                runs,
            )
            for run_curves in curves_of:
                curves.append(run_curves)
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
            pool.shutdown(cancel_futures=True)  # else Ctrl-C would wait for all that is left
    return [ResampledAP(tuple(run), iou_thrs) for run in tables]


def image_weights(num_images: int, numbers: Sequence[int], *, seed: int) -> np.ndarray:
    """(I, B) float32: how often each image is in the resamples of these numbers.

    Number 0 is the images as they are, once each. A resample depends on its number, the seed and
    the number of images alone.
    """
    weights = np.ones((len(numbers), num_images), dtype=np.float32)
    for row, number in zip(weights, numbers, strict=True):
        if number:
            drawn = np.random.default_rng([seed, number]).integers(num_images, size=num_images)
            row[:] = np.bincount(drawn, minlength=num_images)
    return np.ascontiguousarray(weights.T)
