"""Class imbalance in numbers: the rarest classes, the imbalance ratio, repeat factors.

Pure functions of counts, shared by data set statistics and evaluation, so that "the rarest 30%"
are the same classes in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAIL_SHARE = 0.3


def by_rarity(counts: Sequence[int]) -> np.ndarray:
    """Labels of the classes with boxes, rarest first; of equal counts, the first is rarer.

    A class without boxes is not rare: it is never learned.
    """
    counts = np.asarray(counts)
    order = np.argsort(counts, kind='stable')
    return order[counts[order] > 0]


def rarest_labels(counts: Sequence[int], share: float = TAIL_SHARE) -> tuple[int, ...]:
    """Labels of the rarest of the K classes with boxes: k = floor(share * K), at least one.

    Rarest first, in the order of `by_rarity`.
    """
    labels = by_rarity(counts)
    # 0.3 * 10 must be 3 whatever the rounding of 0.3.
    k = max(1, math.floor(share * len(labels) + 1e-9))
    return tuple(labels[:k].tolist())


def tied_labels(counts: Sequence[int], chosen: Sequence[int]) -> tuple[int, ...]:
    """Labels that have as many boxes as the last of the rarest ones and are not among them."""
    last = counts[chosen[-1]] if chosen else None
    return tuple(
        label for label, count in enumerate(counts) if count == last and label not in chosen
    )


def imbalance_ratio(counts: Sequence[int]) -> float:
    """Largest count divided by the smallest, of the classes that have any; NaN if none has."""
    counts = [count for count in counts if count > 0]
    return max(counts) / min(counts) if counts else math.nan


@dataclass(frozen=True)
class Resampling:
    """Class-balanced sampling of a training set at one threshold."""

    threshold: float  # classes in a smaller fraction of the images are repeated
    # repeat factor of each class; None for a class without images
    class_factors: tuple[float | None, ...]
    num_images: int  # images in an epoch without resampling
    # images in an epoch of MMDetection's `ClassBalancedDataset`, which rounds the factor of each
    # image up
    epoch: int
    expected: float  # sum of the factors: the mean epoch if they are rounded at random (LVIS)


def resample(
    images: np.ndarray, labels: np.ndarray, *, num_classes: int, threshold: float
) -> Resampling:
    """Repeat factors of class-balanced sampling (repeat factor sampling, arXiv 1908.03195).

    A class in the fraction f of the images has the factor max(1, sqrt(threshold / f)), an image the
    largest factor of its classes. Only images with a box count.

    Args:
        images: (N,) image of each box, crowds included, as `ClassBalancedDataset` counts.
        labels: (N,) class of each box; those from K on are of no class, which repeat no image.
        num_classes: Number K of classes.
        threshold: `oversample_thr`, above 0.
    """
    numbers, images = np.unique(images, return_inverse=True)
    is_class = labels < num_classes
    # Each class once per image.
    pairs = np.unique(images[is_class] * num_classes + labels[is_class])
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
