"""Statistics of COCO files along a taxonomy.

The first file is the training set: its boxes decide which classes are rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.coco.boxes import BoxColumns
from mmdet_multigrain.evaluation.functional.imbalance import (
    Resampling,
    imbalance_ratio,
    rarest_labels,
    resample,
)
from mmdet_multigrain.taxonomy import Taxonomy

SMALL, LARGE = 32, 96  # side of a square in pixels: COCO's bounds between small, medium, large
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
THRESHOLDS = (0.001, 0.01, 0.1)  # the first is MMDetection's for LVIS


@dataclass(frozen=True)
class GroupStats:
    """One class, or one superclass. The size of a box is the square root of its area.

    Attributes:
        name: Its name.
        superclass: The coarsest group of the class; None without one.
        listed: Whether the file's categories have it (a superclass: any class of it).
        boxes: Usable boxes, crowds not counted.
        images: Images with at least one of these boxes.
        crowds: Crowd boxes.
        small: Boxes below 32 x 32 pixels.
        medium: Boxes between.
        large: Boxes above 96 x 96 pixels.
        size_px: `QUANTILES` of the size in pixels; None without boxes.
        size_relative: The same of the size as a fraction of the image's; None where unknown.
    """

    name: str
    superclass: str | None
    listed: bool
    boxes: int
    images: int
    crowds: int
    small: int
    medium: int
    large: int
    size_px: tuple[float, ...] | None
    size_relative: tuple[float, ...] | None


@dataclass(frozen=True)
class SplitStats:
    """One file.

    Attributes:
        name: Name to show.
        num_images: All images in it.
        classes: In label order.
        levels: The groups of each level above the classes, the coarsest first, in the order of the
            taxonomy.
        boxes_per_image: At index n, the number of images with n boxes (crowds not counted).
        left_out: Unusable annotations and images, by kind.
        remarks: The same with examples, one line for each kind.
    """

    name: str
    num_images: int
    classes: tuple[GroupStats, ...]
    levels: tuple[tuple[GroupStats, ...], ...]
    boxes_per_image: tuple[int, ...]
    left_out: dict[str, int]
    remarks: str

    @property
    def superclasses(self) -> tuple[GroupStats, ...]:
        """The groups of the coarsest level."""
        return self.levels[0]

    @property
    def counts(self) -> tuple[int, ...]:
        """Boxes of each class, in label order."""
        return tuple(row.boxes for row in self.classes)

    @property
    def boxes(self) -> int:
        """All boxes, crowds not counted."""
        return sum(self.counts)

    @property
    def crowds(self) -> int:
        """All crowd boxes."""
        return sum(row.crowds for row in self.classes)

    @property
    def imbalance(self) -> float:
        """Boxes of the largest class over those of the smallest that has any."""
        return imbalance_ratio(self.counts)


@dataclass(frozen=True)
class DatasetStats:
    """One or several files of one data set.

    Attributes:
        taxonomy: Classes and superclasses.
        splits: The training set first.
        rarest: Labels of the rarest 30% of the classes with training boxes, rarest first.
        resamplings: Class-balanced sampling of the training set, one for each threshold.
    """

    taxonomy: Taxonomy
    splits: tuple[SplitStats, ...]
    rarest: tuple[int, ...]
    resamplings: tuple[Resampling, ...]

    @property
    def train(self) -> SplitStats:
        """The first file."""
        return self.splits[0]

    @property
    def is_grouped(self) -> bool:
        """Whether any superclass holds several classes."""
        return not self.taxonomy.is_ungrouped

    @property
    def num_learned(self) -> int:
        """Number of classes with training boxes, of which the rarest are chosen."""
        return sum(count > 0 for count in self.train.counts)

    @property
    def by_count(self) -> tuple[int, ...]:
        """Labels, most training boxes first; classes without any come last."""
        return tuple(reversed(np.argsort(self.train.counts, kind='stable').tolist()))


def dataset_stats(
    files: Sequence[tuple[str, BoxColumns]], thresholds: Sequence[float] = THRESHOLDS
) -> DatasetStats:
    """Statistics of several files of one taxonomy.

    Args:
        files: Name and boxes of each, the training set first.
        thresholds: `oversample_thr` of class-balanced sampling.
    """
    splits = tuple(split_stats(name, columns) for name, columns in files)
    train, taxonomy = files[0][1], files[0][1].taxonomy
    options = {'num_classes': taxonomy.num_classes}
    resamplings = tuple(
        resample(train.images, train.labels, threshold=threshold, **options)
        for threshold in thresholds
    )
    return DatasetStats(taxonomy, splits, rarest_labels(splits[0].counts), resamplings)


def split_stats(name: str, columns: BoxColumns) -> SplitStats:
    """Statistics of one file."""
    taxonomy = columns.taxonomy
    num_images = len(columns.image_areas)
    per_image = np.bincount(columns.images[~columns.crowd], minlength=num_images)
    above = [path[0] if path else None for path in taxonomy.paths]
    levels = []
    for level in range(max(1, taxonomy.num_levels - 1)):
        groups, names = np.array(taxonomy.group_index(level)), taxonomy.group_names(level)
        listed = np.bincount(groups, weights=columns.listed) > 0
        no_group = [None] * len(names)
        levels.append(_group_stats(columns, groups[columns.labels], names, no_group, listed))
    return SplitStats(
        name=name,
        num_images=num_images,
        classes=_group_stats(columns, columns.labels, taxonomy.classes, above, columns.listed),
        levels=tuple(levels),
        boxes_per_image=tuple(np.bincount(per_image).tolist()),
        left_out=dict(columns.problems.counts),
        remarks=str(columns.problems),
    )


def _group_stats(
    columns: BoxColumns,
    labels: np.ndarray,
    names: Sequence[str],
    superclasses: Sequence[str | None],
    listed: np.ndarray,
) -> tuple[GroupStats, ...]:
    """Statistics for each value of `labels`, whose names are given."""
    count = len(names)
    crowds = np.bincount(labels[columns.crowd], minlength=count)
    single = ~columns.crowd
    labels, images, areas = labels[single], columns.images[single], columns.areas[single]
    # A class counts once for each image.
    pairs = np.unique(images * count + labels)
    num_images = np.bincount(pairs % count, minlength=count)
    pixels = np.sqrt(areas)
    relative = np.sqrt(areas / columns.image_areas[images])
    order = np.argsort(labels, kind='stable')
    ends = np.cumsum(np.bincount(labels, minlength=count))
    return tuple(
        GroupStats(
            name=names[label],
            superclass=superclasses[label],
            listed=bool(listed[label]),
            boxes=len(rows),
            images=int(num_images[label]),
            crowds=int(crowds[label]),
            small=int((pixels[rows] < SMALL).sum()),
            medium=int(((pixels[rows] >= SMALL) & (pixels[rows] <= LARGE)).sum()),
            large=int((pixels[rows] > LARGE).sum()),
            size_px=_quantiles(pixels[rows]),
            size_relative=_quantiles(relative[rows]),
        )
        for label, rows in enumerate(np.split(order, ends[:-1]))
    )


def _quantiles(values: np.ndarray) -> tuple[float, ...] | None:
    values = values[~np.isnan(values)]
    return tuple(np.quantile(values, QUANTILES).tolist()) if len(values) else None
