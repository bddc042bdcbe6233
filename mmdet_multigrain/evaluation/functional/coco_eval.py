"""COCO box evaluation on columns: ground truth and detections in, precision arrays out.

Here belongs the matching, by whichever engine is installed, and the arrays it gives. Boxes are
columns (NumPy arrays) with labels instead of category ids, so that a superclass is one index
operation away and no Python object is made per detection. What the numbers mean for a taxonomy
belongs in `summary`. Needs neither torch nor mmdet.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmdet_multigrain.utils.errors import EvaluationError

AREAS = ('all', 'small', 'medium', 'large')
ENGINES = ('hotcoco', 'pycocotools')


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated boxes of a set of images.

    Attributes:
        image_ids: Ids of all I images, sorted; those without boxes count too.
        images: (N,) position of each box's image in `image_ids`.
        labels: (N,) class of each box.
        boxes: (N, 4) x, y, width, height in pixels.
        areas: (N,) what decides between small, medium and large.
        crowd: (N,) bool; detections on a crowd box count neither for nor against.
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
        """Columns of COCO annotations.

        Args:
            image_ids: All images to evaluate on; annotations of others are left out.
            annotations: COCO dictionaries, `area` and `iscrowd` included.
            cat_ids: Category id of each label; annotations of others are left out.
        """
        # The order decides ties in score; sorted is pycocotools' order. Text comes after numbers.
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
            crowd=np.array([item['iscrowd'] for item in kept], dtype=bool),
        )

    def relabel(self, index: Sequence[int]) -> GroundTruth:
        """The same boxes with label `index[label]`."""
        return replace(self, labels=np.asarray(index, dtype=np.int64)[self.labels])

    def box_counts(self, num_classes: int) -> np.ndarray:
        """(num_classes,) boxes of each class, crowds not counted."""
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
        EvaluationError: If a score or a box is not finite.
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
                f'{self.boxes[first].tolist()}); see whether the training diverged'
            )

    @classmethod
    def from_images(
        cls,
        image_ids: Sequence[Hashable],
        results: Sequence[tuple[Hashable, np.ndarray, np.ndarray, np.ndarray]],
    ) -> Detections:
        """Columns of what a detector gives image by image.

        Args:
            image_ids: Those of the ground truth.
            results: One (image id, labels (n,), boxes (n, 4) as x1 y1 x2 y2, scores (n,)) for
                each image, in any order.

        Raises:
            EvaluationError: If an image is not in the ground truth, or has two results.
        """
        image_of = {image_id: position for position, image_id in enumerate(image_ids)}
        unknown = [result[0] for result in results if result[0] not in image_of]
        if unknown:
            raise EvaluationError(
                f'{len(unknown)} of {len(results)} images with detections are not in the ground '
                f'truth (first: image id {unknown[0]!r}); evaluate on the annotation file that '
                'belongs to these images'
            )
        if len({result[0] for result in results}) < len(results):
            raise EvaluationError('an image has two results; give one for each image')
        counts = [len(result[3]) for result in results]
        corners = np.concatenate([np.zeros((0, 4)), *(result[2] for result in results)])
        return cls(
            images=np.repeat(
                np.array([image_of[result[0]] for result in results], dtype=np.int64), counts
            ),
            labels=np.concatenate(
                [np.zeros(0, dtype=np.int64), *(result[1] for result in results)]
            ),
            # Widths in float64, as stock's detour over Python numbers gives them.
            boxes=np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]),
            scores=np.concatenate([np.zeros(0), *(result[3] for result in results)]),
        )

    def relabel(self, index: Sequence[int]) -> Detections:
        """The same boxes with label `index[label]`."""
        return replace(self, labels=np.asarray(index, dtype=np.int64)[self.labels])


@dataclass(frozen=True, eq=False)
class CocoResult:
    """The arrays of a COCO evaluation; -1 where there is nothing to measure.

    Axes: T IoU thresholds, R = 101 recall thresholds, K classes in label order, A = 4 area
    ranges (`AREAS`), M limits on detections per image and class.

    Attributes:
        precision: (T, R, K, A, M) interpolated precision.
        recall: (T, K, A, M) highest recall.
        scores: (T, R, K, A, M) score at which the recall threshold is reached.
        iou_thrs: (T,)
        max_dets: M limits, ascending. AP is read at the last one.
        num_gt: (K,) boxes of each class, crowds not counted.
        num_images: Images evaluated on, those without boxes included.
        num_detections: Detections handed in, before any limit.
        engine: Which one computed it.
    """

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray
    iou_thrs: np.ndarray
    max_dets: tuple[int, ...]
    num_gt: np.ndarray
    num_images: int
    num_detections: int
    engine: str

    def class_ap(self, *, iou: float | None = None, area: str = 'all') -> np.ndarray:
        """(K,) AP of each class, 0 to 1; NaN for a class without boxes.

        Args:
            iou: One IoU threshold. Default: the mean over all.
            area: One of `AREAS`.
        """
        values = self._precision(iou, area)
        if not len(values):
            return np.full(values.shape[2], np.nan)
        return np.where((values > -1).all(axis=(0, 1)), values.mean(axis=(0, 1)), np.nan)

    def mean_ap(self, *, iou: float | None = None, area: str = 'all') -> float:
        """Mean AP over the classes that have boxes, as pycocotools sums it; NaN without any."""
        return _mean_of_known(self._precision(iou, area))

    def mean_recall(self, *, max_dets: int | None = None, area: str = 'all') -> float:
        """Mean over classes and IoU thresholds of the highest recall ("AR"); NaN without any.

        Args:
            max_dets: One of `max_dets`. Default: the last.
            area: One of `AREAS`.
        """
        limit = -1 if max_dets is None else self.max_dets.index(max_dets)
        return _mean_of_known(self.recall[:, :, AREAS.index(area), limit])

    def _precision(self, iou: float | None, area: str) -> np.ndarray:
        thresholds = slice(None) if iou is None else np.isclose(self.iou_thrs, iou)
        return self.precision[thresholds][:, :, :, AREAS.index(area), -1]


def evaluate_detections(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    num_classes: int,
    engine: str = 'auto',
    iou_thrs: Sequence[float] | None = None,
    max_dets: Sequence[int] = (1, 10, 100),
) -> CocoResult:
    """Match detections to ground truth as COCO does and accumulate precision and recall.

    Args:
        ground_truth: Annotated boxes.
        detections: Detected boxes on the same images.
        num_classes: Number K of classes; labels are 0 to K - 1.
        engine: `hotcoco`, `pycocotools`, or `auto`: hotcoco where it is installed. They give the
            same arrays; pycocotools takes some hundred times as long.
        iou_thrs: IoU thresholds. Default: 0.50 to 0.95 in steps of 0.05.
        max_dets: Limits on detections per image and class.

    Raises:
        EvaluationError: If the engine is unknown or missing, or a label is out of range.
    """
    engine = choose_engine(engine)
    iou_thrs = np.linspace(0.5, 0.95, 10) if iou_thrs is None else np.atleast_1d(iou_thrs)
    max_dets = tuple(sorted(max_dets))
    check_labels(ground_truth, detections, num_classes)
    run = {'hotcoco': hotcoco_evaluator, 'pycocotools': _pycocotools_evaluator}[engine]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluator = run(ground_truth, detections, num_classes, iou_thrs, max_dets)
        evaluator.accumulate()
    return CocoResult(
        precision=np.asarray(evaluator.eval['precision']),
        recall=np.asarray(evaluator.eval['recall']),
        scores=np.asarray(evaluator.eval['scores']),
        iou_thrs=np.asarray(iou_thrs, dtype=np.float64),
        max_dets=max_dets,
        num_gt=ground_truth.box_counts(num_classes),
        num_images=len(ground_truth.image_ids),
        num_detections=len(detections.scores),
        engine=engine,
    )


def evaluate_levels(
    ground_truth: GroundTruth,
    detections: Detections,
    group_indices: Sequence[Sequence[int]],
    **kwargs: Any,
) -> list[CocoResult]:
    """Evaluate once for each level of a taxonomy.

    On a coarse level both sides are relabeled by superclass: a detection of the right
    superclass counts, whichever fine class it names; a second one on the same object is a
    duplicate, whichever fine class it names.

    Args:
        ground_truth: Boxes with fine labels.
        detections: Boxes with fine labels.
        group_indices: For each level, the group of each fine label.
        **kwargs: Those of `evaluate_detections`, but `num_classes`.
    """
    check_labels(ground_truth, detections, len(group_indices[-1]))
    return [
        evaluate_detections(
            ground_truth.relabel(index),
            detections.relabel(index),
            num_classes=max(index) + 1,
            **kwargs,
        )
        for index in group_indices
    ]


def hotcoco_evaluator(
    ground_truth: GroundTruth,
    detections: Detections,
    num_classes: int,
    iou_thrs: Sequence[float],
    max_dets: Sequence[int],
) -> Any:
    """A `hotcoco.COCOeval` after its `evaluate()`: open for its diagnostics.

    Its image ids are positions and its category ids labels, both plus 1.
    """
    import hotcoco

    gt = hotcoco.COCO.from_arrays(
        [{'id': position} for position in range(1, len(ground_truth.image_ids) + 1)],
        [{'id': number, 'name': str(number)} for number in range(1, num_classes + 1)],
        ground_truth.images + 1,
        ground_truth.labels + 1,
        ground_truth.boxes,
        area=ground_truth.areas,
        iscrowd=ground_truth.crowd,
    )
    evaluator = hotcoco.COCOeval(gt, gt.load_res(_result_columns(detections)), 'bbox')
    evaluator.params.iou_thrs = [float(value) for value in iou_thrs]
    evaluator.params.max_dets = list(max_dets)
    evaluator.evaluate()
    return evaluator


def _pycocotools_evaluator(
    ground_truth: GroundTruth,
    detections: Detections,
    num_classes: int,
    iou_thrs: Sequence[float],
    max_dets: Sequence[int],
) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    frame = {
        'images': [{'id': position} for position in range(1, len(ground_truth.image_ids) + 1)],
        'categories': [{'id': number} for number in range(1, num_classes + 1)],
    }
    gt, dt = COCO(), COCO()
    gt.dataset = {
        **frame,
        'annotations': [
            {
                'id': number,
                'image_id': image + 1,
                'category_id': label + 1,
                'bbox': box,
                'area': area,
                'iscrowd': int(crowd),
            }
            for number, (image, label, box, area, crowd) in enumerate(
                zip(
                    ground_truth.images.tolist(),
                    ground_truth.labels.tolist(),
                    ground_truth.boxes.tolist(),
                    ground_truth.areas.tolist(),
                    ground_truth.crowd.tolist(),
                    strict=True,
                ),
                start=1,
            )
        ],
    }
    # Its own loadRes fails on an empty list and copies everything twice.
    dt.dataset = {
        **frame,
        'annotations': [
            {
                'id': number,
                'image_id': int(image),
                'category_id': int(label),
                'bbox': [x, y, width, height],
                'area': width * height,
                'iscrowd': 0,
                'score': score,
            }
            for number, (image, x, y, width, height, score, label) in enumerate(
                _result_columns(detections).tolist(), start=1
            )
        ],
    }
    gt.createIndex()
    dt.createIndex()
    evaluator = COCOeval(gt, dt, 'bbox')
    evaluator.params.iouThrs = np.asarray(iou_thrs, dtype=np.float64)
    evaluator.params.maxDets = list(max_dets)
    evaluator.evaluate()
    return evaluator


def check_labels(ground_truth: GroundTruth, detections: Detections, num_classes: int) -> None:
    """Raise a one-line EvaluationError if a label is not one of `0..num_classes-1`."""
    for name, boxes in (('ground truth', ground_truth), ('detections', detections)):
        if len(boxes.labels) and not 0 <= boxes.labels.min() <= boxes.labels.max() < num_classes:
            raise EvaluationError(
                f'{name}: labels run from {boxes.labels.min()} to {boxes.labels.max()}, but there '
                f'are {num_classes} classes; head and taxonomy must have the same classes'
            )


def _result_columns(detections: Detections) -> np.ndarray:
    """(N, 7) array of COCO's results format, ids counted from 1."""
    return np.column_stack(
        [
            detections.images + 1,
            detections.boxes,
            detections.scores,
            detections.labels + 1,
        ]
    ).astype(np.float64, copy=False)


def _mean_of_known(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else float('nan')


def choose_engine(name: str) -> str:
    """The engine to use for `hotcoco`, `pycocotools` or `auto`; an error if it is not there."""
    if name not in ('auto', *ENGINES):
        raise EvaluationError(f'engine {name!r} is unknown; use auto, {" or ".join(ENGINES)}')
    names = ENGINES if name == 'auto' else (name,)
    installed = [n for n in names if importlib.util.find_spec(n) is not None]
    if not installed:
        raise EvaluationError(f'{" and ".join(names)} not installed; pip install {names[0]}')
    return installed[0]
