"""Ground truth and detections as columns (NumPy arrays), with labels instead of category ids.

With columns, moving to superclasses is one index operation, and detections need no Python object
each.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmdet_multigrain.utils.errors import EvaluationError

from .common import Columns


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated boxes of a set of images."""

    image_ids: tuple[Hashable, ...]  # ids of all I images, sorted, including images without boxes
    images: np.ndarray  # (N,) position of each box's image in `image_ids`
    labels: np.ndarray  # (N,) label of each box: its class, or a row of `sets`
    boxes: np.ndarray  # (N, 4) x, y, width, height in pixels
    areas: np.ndarray  # (N,) areas that decide between small, medium and large
    # (N,) bool; a crowd, or marked `ignore`: not counted as missed, and detections on it are
    # ignored
    crowd: np.ndarray
    # classes that each label allows, and background, (labels, K + 1) bool, as in `Taxonomy.labels`;
    # None if each label is a class
    sets: np.ndarray | None = None
    # (I, K) bool; classes of which an image may show objects that have no box. Detections of them
    # that match no box are left out. None: no such classes.
    unannotated: np.ndarray | None = None

    @classmethod
    def from_annotations(
        cls,
        image_ids: Iterable[Hashable],
        annotations: Iterable[Mapping[str, Any]],
        cat_ids: Sequence[int],
        *,
        sets: np.ndarray | None = None,
        unannotated: Mapping[Hashable, Collection[int]] | None = None,
    ) -> GroundTruth:
        """Make columns from COCO annotations.

        Args:
            image_ids: All images to evaluate on; annotations of other images are dropped.
            annotations: COCO dictionaries with `area`, `iscrowd` and perhaps `ignore`.
            cat_ids: Category id of each label; annotations of other categories are dropped.
            sets: Classes that each label allows. Default: each label is a class.
            unannotated: Of each image that has any, the classes that are not (all) annotated.
        """
        # The order breaks ties of scores. pycocotools sorts, too; text comes after numbers.
        image_ids = tuple(sorted(set(image_ids), key=lambda key: (isinstance(key, str), key)))
        image_of = {image_id: position for position, image_id in enumerate(image_ids)}
        label_of = {cat_id: label for label, cat_id in enumerate(cat_ids)}
        kept = [
            item
            for item in annotations
            if item['image_id'] in image_of and item['category_id'] in label_of
        ]
        return cls(
            image_ids=image_ids,
            images=np.array([image_of[item['image_id']] for item in kept], dtype=np.int64),
            labels=np.array([label_of[item['category_id']] for item in kept], dtype=np.int64),
            boxes=np.array([item['bbox'] for item in kept], dtype=np.float64).reshape(-1, 4),
            areas=np.array([item['area'] for item in kept], dtype=np.float64),
            crowd=np.array([item['iscrowd'] or item.get('ignore', 0) for item in kept], bool),
            sets=sets,
            unannotated=_table(unannotated, image_ids, cat_ids if sets is None else sets[0, 1:]),
        )

    def __getitem__(self, chosen: np.ndarray) -> GroundTruth:
        """The boxes that a mask or index selects, on the same images."""
        columns = ('images', 'labels', 'boxes', 'areas', 'crowd')
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def in_groups(self, index: Sequence[int]) -> GroundTruth:
        """The same labels in another vocabulary: the group `index[k]` replaces class k.

        A group is unannotated in an image if one of its classes is.
        """
        index = np.asarray(index, dtype=np.int64)
        sets = np.eye(len(index), len(index) + 1, dtype=bool) if self.sets is None else self.sets
        background = np.append(index, index.max(initial=-1) + 1)
        unannotated = self.unannotated
        return replace(
            self,
            sets=_any_of(sets, background),
            unannotated=None if unannotated is None else _any_of(unannotated, index),
        )

    def relabel(self, index: Sequence[int]) -> GroundTruth:
        """The same boxes with the groups `index[k]` of classes k as labels.

        A box whose label is a group, or part of one, is a box of that group. Any other may be of
        several groups: it becomes crowds, one of each.
        """
        truth = self.in_groups(index)
        groups = truth.sets[:, :-1]
        known = (groups.sum(axis=1) == 1)[self.labels]
        boxes, labels = np.nonzero(groups[self.labels[~known]])
        rows = np.concatenate([np.flatnonzero(known), np.flatnonzero(~known)[boxes]])
        labels = np.concatenate([groups.argmax(axis=1)[self.labels[known]], labels])
        return replace(truth[rows], labels=labels, crowd=(self.crowd | ~known)[rows], sets=None)

    def leave_out(self, found: Detections) -> GroundTruth:
        """The boxes, and a crowd around all detections of each class unannotated in their image.

        A detection that matches no box is then on the crowd: LVIS's rule, by COCO's.
        """
        if self.unannotated is None or not len(found.labels):
            return self
        pairs = np.unique(np.stack([found.images, found.labels], axis=1), axis=0)
        images, labels = pairs[self.unannotated[tuple(pairs.T)]].T
        first = found.boxes[:, :2].min(axis=0) - 1
        size = (found.boxes[:, :2] + found.boxes[:, 2:]).max(axis=0) + 1 - first
        return replace(
            self,
            images=np.concatenate([self.images, images]),
            labels=np.concatenate([self.labels, labels]),
            boxes=np.concatenate([self.boxes, np.tile([*first, *size], (len(images), 1))]),
            areas=np.concatenate([self.areas, np.full(len(images), size.prod())]),
            crowd=np.concatenate([self.crowd, np.ones(len(images), dtype=bool)]),
        )

    def box_counts(self, num_classes: int) -> np.ndarray:
        """(num_classes,) boxes of each class, without crowds."""
        return np.bincount(self.labels[~self.crowd], minlength=num_classes)


@dataclass(frozen=True, eq=False)
class Detections(Columns):
    """Detected boxes on the images of a `GroundTruth`.

    Raises:
        EvaluationError: A score or a box is not finite.
    """

    images: np.ndarray  # (N,) position of each box's image in the ground truth's `image_ids`
    labels: np.ndarray  # (N,) class of each box
    boxes: np.ndarray  # (N, 4) x, y, width, height in pixels
    scores: np.ndarray  # (N,) confidence, of any range
    # (N, L) probability given foreground of each class, then of its groups, the coarsest last; they
    # never fall on the way up. None where that is not known.
    lineages: np.ndarray | None = None

    def __post_init__(self) -> None:
        bad = ~(np.isfinite(self.scores) & np.isfinite(self.boxes).all(axis=1))
        if bad.any():
            first = int(bad.argmax())
            raise EvaluationError(
                f'{bad.sum()} of {len(bad)} detections have a score or box that is not finite '
                f'(first: number {first}, score {self.scores[first]}, box '
                f'{self.boxes[first].tolist()}); check whether the training diverged'
            )

    @classmethod
    def from_images(
        cls,
        image_ids: Sequence[Hashable],
        results: Sequence[tuple[Hashable, np.ndarray, np.ndarray, np.ndarray]],
    ) -> Detections:
        """Make columns from the results of a detector for images of the ground truth.

        Results are one (image id, labels (n,), boxes (n, 4) as x1 y1 x2 y2, scores (n,)) for each
        image, in any order.

        Raises:
            EvaluationError: An image is not in the ground truth, or has two results.
        """
        image_of = {image_id: position for position, image_id in enumerate(image_ids)}
        unknown = [result[0] for result in results if result[0] not in image_of]
        if unknown:
            raise EvaluationError(
                f'{len(unknown)} of {len(results)} images with detections are not in the ground '
                f'truth (first: image id {unknown[0]!r}); evaluate on the annotation file of '
                'these images'
            )
        if len({result[0] for result in results}) < len(results):
            raise EvaluationError('an image has two results; pass one result per image')
        counts = [len(result[3]) for result in results]
        corners = np.concatenate([np.zeros((0, 4)), *(result[2] for result in results)])
        images = np.array([image_of[result[0]] for result in results], dtype=np.int64)
        return cls(
            images=np.repeat(images, counts),
            labels=np.concatenate(
                [np.zeros(0, dtype=np.int64), *(result[1] for result in results)]
            ),
            # Widths in float64: CocoMetric computes them with Python numbers.
            boxes=np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]),
            scores=np.concatenate([np.zeros(0), *(result[3] for result in results)]),
        )

    def relabel(self, index: Sequence[int]) -> Detections:
        """The same boxes with label `index[label]`, without the lineages of the old labels."""
        labels = np.asarray(index, dtype=np.int64)[self.labels]
        return replace(self, labels=labels, lineages=None)


def check_labels(ground_truth: GroundTruth, detections: Detections, num_classes: int) -> None:
    """Check that all labels are in `0..num_classes-1`, those of boxes among the rows of `sets`.

    Raises:
        EvaluationError: A label is out of range.
    """
    num_labels = num_classes if ground_truth.sets is None else len(ground_truth.sets)
    for name, labels, number in (
        ('ground truth', ground_truth.labels, num_labels),
        ('detections', detections.labels, num_classes),
    ):
        if len(labels) and not 0 <= labels.min() <= labels.max() < number:
            raise EvaluationError(
                f'{name}: labels run from {labels.min()} to {labels.max()}, but there '
                f'are {number} classes; head and taxonomy must have the same classes'
            )


def _any_of(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Whether any of the columns of each group is true; `index` has the group of each column."""
    found = np.zeros((len(table), index.max(initial=-1) + 1), dtype=bool)
    rows, columns = np.nonzero(table)
    found[rows, index[columns]] = True
    return found


def _table(
    classes_of: Mapping[Hashable, Collection[int]] | None,
    image_ids: Sequence[Hashable],
    classes: Sequence,
) -> np.ndarray | None:
    """(I, K) bool: the classes of each image; None without any."""
    if not classes_of or not any(classes_of.values()):
        return None
    table = np.zeros((len(image_ids), len(classes)), dtype=bool)
    for image, image_id in enumerate(image_ids):
        table[image, list(classes_of.get(image_id, ()))] = True
    return table
