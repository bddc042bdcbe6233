"""Images that training sees more often than others, before it begins: which classes gain how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dataset import ClassBalancedDataset

from mmdet_multigrain.datasets.samplers import ExactClassAwareSampler
from mmdet_multigrain.datasets.samplers.exact_class_aware_sampler import class_labels
from mmdet_multigrain.utils.messages import show
from mmdet_multigrain.utils.table import Column, Table

from .data_access import nested_datasets


def resampling_lines(dataset: Any, sampler: Any, classes: Sequence[str]) -> list[str]:
    """Lines for below the class table, a row for each class; none if all images count once.

    `dataset` is the training data with what wraps it, `sampler` gives its order, and `classes` are
    names in label order.
    """
    lines = []
    for *_, one in nested_datasets(dataset):
        if isinstance(one, ClassBalancedDataset):
            lines += _of_repeated(one, classes)
    if isinstance(sampler, ExactClassAwareSampler):
        lines += _of_class_aware(sampler, classes)
    return lines


def _of_repeated(dataset: ClassBalancedDataset, classes: Sequence[str]) -> Iterator[str]:
    counts = Counter(label for labels in class_labels(dataset.dataset) for label in labels)
    size, threshold = len(dataset.dataset), dataset.oversample_thr
    factors = {label: max(1, (threshold * size / n) ** 0.5) for label, n in counts.items()}
    yield (
        f'ClassBalancedDataset (oversample_thr {threshold:g}): an epoch has {len(dataset)} samples '
        f'of {size} images, an image as many as its rarest class, rounded up'
    )
    rows = [(name, counts[n], factors.get(n)) for n, name in enumerate(classes)]
    yield Table((*_COLUMNS, Column('repeat factor', form='.2f')), rows).text()
    if counts and max(factors.values()) == 1:
        rarest, number = min(counts.items(), key=lambda pair: pair[1])
        yield (
            f'No class is repeated: the rarest, {show(classes[rarest])}, is on {number / size:.3g} of '
            'the images; raise oversample_thr above that'
        )


def _of_class_aware(sampler: ExactClassAwareSampler, classes: Sequence[str]) -> Iterator[str]:
    images, size = sampler.images, len(sampler.dataset)
    drawn = size / len(images)
    unseen = size - len({index for indices in images.values() for index in indices.tolist()})
    yield (
        f'Class-aware order: each of {len(images)} classes is drawn about {drawn:.3g} times an epoch '
        f'of {size} samples' + (f'; {unseen} images without a class never are' if unseen else '')
    )
    numbers = [len(images.get(label, ())) for label in range(len(classes))]
    rows = [(name, n, drawn / n if n else None) for name, n in zip(classes, numbers, strict=True)]
    yield Table((*_COLUMNS, Column('draws of each image', form='.2f')), rows).text()


_COLUMNS = Column('class', left=True), Column('images')
