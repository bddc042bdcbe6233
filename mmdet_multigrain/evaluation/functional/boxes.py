"""Ground truth and detections as columns (NumPy arrays), with labels instead of category ids.

With columns, moving to superclasses is one index operation, and detections need no Python object
each. Needs neither torch nor mmdet.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmdet_multigrain.utils.errors import EvaluationError


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated boxes of a set of images.

    Attributes:
        image_ids: Ids of all I images, sorted, including images without boxes.
        images: (N,) position of each box's image in `image_ids`.
        labels: (N,) class of each box.
        boxes: (N, 4) x, y, width, height in pixels.
        areas: (N,) areas that decide between small, medium and large.
        crowd: (N,) bool; a crowd, or marked `ignore`: not counted as missed, and detections on it
            are ignored.
    """

    image_ids: tuple[Hashable, ...]
    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray

    @classmethod
    def from_annotations(
        cls,
        image_ids: Iterable[Hashable],
        annotations: Iterable[Mapping[str, Any]],
        cat_ids: Sequence[int],
    ) -> GroundTruth:
        """Make columns from COCO annotations.

        Args:
            image_ids: All images to evaluate on; annotations of other images are dropped.
            annotations: COCO dictionaries with `area`, `iscrowd` and perhaps `ignore`.
            cat_ids: Category id of each label; annotations of other categories are dropped.
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
        )

    def relabel(self, index: Sequence[int]) -> GroundTruth:
        """The same boxes with label `index[label]`."""
        return replace(self, labels=np.asarray(index, dtype=np.int64)[self.labels])

    def crowds_per_class(self, sets: np.ndarray) -> GroundTruth:
        """Boxes without a class as crowds, one of each class that they may be.

        Args:
            sets: Classes that each label allows, and background; bool, (labels, K + 1).
        """
        coarse = self.labels >= sets.shape[1]
        if not coarse.any():
            return self
        boxes, labels = np.nonzero(sets[self.labels[coarse]])
        rows = np.concatenate([np.flatnonzero(~coarse), np.flatnonzero(coarse)[boxes]])
        return replace(
            self,
            images=self.images[rows],
            labels=np.concatenate([self.labels[~coarse], labels]),
            boxes=self.boxes[rows],
            areas=self.areas[rows],
            crowd=(self.crowd | coarse)[rows],
        )

    def box_counts(self, num_classes: int) -> np.ndarray:
        """(num_classes,) boxes of each class, without crowds."""
        return np.bincount(self.labels[~self.crowd], minlength=num_classes)


@dataclass(frozen=True, eq=False)
class Detections:
    """Detected boxes on the images of a `GroundTruth`.

    Attributes:
        images: (N,) position of each box's image in the ground truth's `image_ids`.
        labels: (N,) class of each box.
        boxes: (N, 4) x, y, width, height in pixels.
        scores: (N,) confidence, of any range.

    Raises:
        EvaluationError: A score or a box is not finite.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

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
        """Make columns from a detector's results for each image.

        Args:
            image_ids: Image ids of the ground truth.
            results: One (image id, labels (n,), boxes (n, 4) as x1 y1 x2 y2, scores (n,)) for
                each image, in any order.

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

    def __getitem__(self, chosen: np.ndarray) -> Detections:
        """The detections that a mask or index selects."""
        return Detections(
            self.images[chosen], self.labels[chosen], self.boxes[chosen], self.scores[chosen]
        )

    def relabel(self, index: Sequence[int]) -> Detections:
        """The same boxes with label `index[label]`."""
        return replace(self, labels=np.asarray(index, dtype=np.int64)[self.labels])


def check_labels(ground_truth: GroundTruth, detections: Detections, num_classes: int) -> None:
    """Check that all labels are in `0..num_classes-1`.

    Raises:
        EvaluationError: A label is out of range.
    """
    for name, boxes in (('ground truth', ground_truth), ('detections', detections)):
        if len(boxes.labels) and not 0 <= boxes.labels.min() <= boxes.labels.max() < num_classes:
            raise EvaluationError(
                f'{name}: labels run from {boxes.labels.min()} to {boxes.labels.max()}, but there '
                f'are {num_classes} classes; head and taxonomy must have the same classes'
            )
