"""What class imbalance means in numbers: the rarest classes, the ratio, repeat factors.

Pure functions of counts; where the counts come from does not matter here. Statistics of data and
evaluation share them, so that "the rarest 30 %" means the same classes in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAIL_SHARE = 0.3


def rarest_labels(counts: Sequence[int], share: float = TAIL_SHARE) -> tuple[int, ...]:
    """Labels of the rarest classes, rarest first: k = floor(share * K) of them, at least one.

    Of equal counts, the first counts as rarer.
    """
    # 0.3 * 10 must be 3 whatever the rounding of 0.3.
    k = max(1, math.floor(share * len(counts) + 1e-9))
    return tuple(np.argsort(counts, kind='stable')[:k].tolist())


def imbalance_ratio(counts: Sequence[int]) -> float:
    """Largest count by smallest, of the classes that have any; NaN if none has."""
    counts = [count for count in counts if count > 0]
    return max(counts) / min(counts) if counts else math.nan


@dataclass(frozen=True)
class Resampling:
    """What class-balanced sampling at one threshold makes of a training set.

    Attributes:
        threshold: Classes in a smaller fraction of the images than this are repeated.
        class_factors: Repeat factor of each class; None for a class without images.
        num_images: Images in an epoch without it.
        epoch: Images in an epoch of MMDetection's `ClassBalancedDataset`, which shows each
            image as often as its factor rounded up.
        expected: The sum of the factors: the epoch where they are rounded at random (LVIS).
    """

    threshold: float
    class_factors: tuple[float | None, ...]
    num_images: int
    epoch: int
    expected: float


def resample(
    images: np.ndarray, labels: np.ndarray, *, num_classes: int, threshold: float
) -> Resampling:
    """Repeat factors of class-balanced sampling (repeat factor sampling, arXiv 1908.03195).

    A class in the fraction f of the images has the factor max(1, sqrt(threshold / f)), an image
    the largest factor of its classes. Only images with a box count: the configs train on those.

    Args:
        images: (N,) image of each box, crowds included, as `ClassBalancedDataset` counts.
        labels: (N,) class of each box.
        num_classes: K.
        threshold: `oversample_thr`, above 0.
    """
    numbers, images = np.unique(images, return_inverse=True)
    pairs = np.unique(images * num_classes + labels)  # a class counts once for each image
    images, labels = np.divmod(pairs, num_classes)
    frequency = np.bincount(labels, minlength=num_classes) / max(len(numbers), 1)
    with np.errstate(divide='ignore'):
        factors = np.maximum(1, np.sqrt(threshold / frequency))
    image_factors = np.ones(len(numbers))
    np.maximum.at(image_factors, images, factors[labels])
    return Resampling(
        threshold=threshold,
        class_factors=tuple(
            factor if math.isfinite(factor) else None for factor in factors.tolist()
        ),
        num_images=len(numbers),
        epoch=int(np.ceil(image_factors).sum()),
        expected=float(image_factors.sum()),
    )
