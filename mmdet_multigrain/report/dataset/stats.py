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
    """One class, superclass, or label above K. The size of a box is the square root of its area."""

    name: str
    superclass: str | None  # the coarsest group of the class; None without one
    listed: bool  # whether the file's categories have it (a superclass: it, or any class of it)
    boxes: int  # usable boxes, crowds not counted
    images: int  # images with at least one of these boxes
    crowds: int
    small: int  # boxes below 32 x 32 pixels
    medium: int  # boxes between
    large: int  # boxes above 96 x 96 pixels
    size_px: tuple[float, ...] | None  # `QUANTILES` of the size in pixels; None without boxes
    # the same of the size as a fraction of the image's; None where unknown
    size_relative: tuple[float, ...] | None


@dataclass(frozen=True)
class SplitStats:
    """One file."""

    name: str  # name to show
    num_images: int  # all images in it
    classes: tuple[GroupStats, ...]  # in label order
    # the labels above K, whose boxes have no class: groups, and any object
    coarse: tuple[GroupStats, ...]
    # the groups of each level above the classes, the coarsest first, in the order of the taxonomy;
    # with the boxes of which only the group is known
    levels: tuple[tuple[GroupStats, ...], ...]
    # at index n, the number of images with n boxes (crowds not counted)
    boxes_per_image: tuple[int, ...]
    left_out: dict[str, int]  # unusable annotations and images, by kind
    remarks: str  # the same with examples, one line for each kind

    @property
    def superclasses(self) -> tuple[GroupStats, ...]:
        """The groups of the coarsest level."""
        return self.levels[0]

    @property
    def counts(self) -> tuple[int, ...]:
        """Boxes of each class, in label order."""
        return tuple(row.boxes for row in self.classes)

    @property
    def coarse_boxes(self) -> int:
        """Boxes of which only the superclass is known."""
        return sum(row.boxes for row in self.coarse)

    @property
    def boxes(self) -> int:
        """All boxes, crowds not counted."""
        return sum(self.counts) + self.coarse_boxes

    @property
    def crowds(self) -> int:
        """All crowd boxes."""
        return sum(row.crowds for row in (*self.classes, *self.coarse))

    def of_label(self, label: int) -> GroupStats:
        """The class, or the label above K."""
        num_classes = len(self.classes)
        return self.coarse[label - num_classes - 1] if label > num_classes else self.classes[label]

    @property
    def imbalance(self) -> float:
        """Boxes of the largest class over those of the smallest that has any."""
        return imbalance_ratio(self.counts)


@dataclass(frozen=True)
class DatasetStats:
    """One or several files of one data set."""

    taxonomy: Taxonomy  # classes and superclasses
    splits: tuple[SplitStats, ...]  # the training set first
    # labels of the rarest 30% of the classes with training boxes, rarest first
    rarest: tuple[int, ...]
    # class-balanced sampling of the training set, one for each threshold
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
    def coarse_labels(self) -> tuple[int, ...]:
        """Labels above K that boxes of any file have, most training boxes first."""
        labels = range(self.taxonomy.num_classes + 1, len(self.taxonomy.labels))
        used = [n for n in labels if any(split.of_label(n).boxes for split in self.splits)]
        return tuple(sorted(used, key=lambda label: -self.train.of_label(label).boxes))

    @property
    def by_count(self) -> tuple[int, ...]:
        """Labels, most training boxes first; classes without any come last."""
        return tuple(reversed(np.argsort(self.train.counts, kind='stable').tolist()))


def dataset_stats(
    files: Sequence[tuple[str, BoxColumns]], thresholds: Sequence[float] = THRESHOLDS
) -> DatasetStats:
    """Statistics of files of one taxonomy: name and boxes of each, the training set first.

    `thresholds` are `oversample_thr` of class-balanced sampling.
    """
    splits = tuple(split_stats(name, columns) for name, columns in files)
    train, taxonomy = files[0][1], files[0][1].taxonomy
    columns = train.images, train.labels
    resamplings = tuple(
        resample(*columns, num_classes=taxonomy.num_classes, threshold=threshold)
        for threshold in thresholds
    )
    return DatasetStats(taxonomy, splits, rarest_labels(splits[0].counts), resamplings)


def split_stats(name: str, columns: BoxColumns) -> SplitStats:
    """Statistics of one file."""
    taxonomy = columns.taxonomy
    num_images = len(columns.image_areas)
    per_image = np.bincount(columns.images[~columns.crowd], minlength=num_images)
    above = [path[0] if path else None for path in taxonomy.paths]
    table, num_classes = taxonomy.labels, taxonomy.num_classes
    own = np.arange(len(table))
    of_class = np.where(own < num_classes, own, -1)
    levels = []
    for level in range(max(1, taxonomy.num_levels - 1)):
        names = taxonomy.group_names(level)
        outputs = table.outputs(taxonomy.group_index(level), len(names) + 1)
        groups = np.where(outputs.sum(1) == 1, outputs.argmax(1), -1)
        levels.append(_group_stats(columns, groups, names))
    return SplitStats(
        name=name,
        num_images=num_images,
        classes=_group_stats(columns, of_class, taxonomy.classes, above),
        coarse=_group_stats(columns, own - num_classes - 1, table.names[num_classes + 1 :]),
        levels=tuple(levels),
        boxes_per_image=tuple(np.bincount(per_image).tolist()),
        left_out=dict(columns.problems.counts),
        remarks=str(columns.problems),
    )


def _group_stats(
    columns: BoxColumns,
    place_of: np.ndarray,
    names: Sequence[str],
    superclasses: Sequence[str | None] | None = None,
) -> tuple[GroupStats, ...]:
    """Statistics of rows with these names; `place_of` has the row of each label, below 0: none."""
    count, labels = len(names), place_of[columns.labels]
    superclasses = superclasses or [None] * count
    listed = np.bincount(place_of[columns.listed & (place_of >= 0)], minlength=count)
    crowds = np.bincount(labels[columns.crowd & (labels >= 0)], minlength=count)
    single = ~columns.crowd & (labels >= 0)
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
