"""The engines that match boxes as COCO does, behind one interface: hotcoco and pycocotools.

An engine takes ground truth and detections as columns and returns its own `COCOeval` after
`evaluate()`; image ids are positions plus 1, category ids labels plus 1. Both give the same arrays.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmdet_multigrain.utils.errors import EvaluationError

from .boxes import Detections, GroundTruth


def hotcoco_evaluator(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    num_classes: int,
    iou_thrs: Sequence[float],
    max_dets: Sequence[int],
) -> Any:
    """Match with `hotcoco.COCOeval`, which also has its own diagnostics."""
    import hotcoco

    columns = [detections.images + 1, detections.boxes, detections.scores, detections.labels + 1]
    results = np.column_stack(columns).astype(np.float64, copy=False)
    gt = hotcoco.COCO.from_arrays(
        [{'id': position} for position in range(1, len(ground_truth.image_ids) + 1)],
        [{'id': number, 'name': str(number)} for number in range(1, num_classes + 1)],
        ground_truth.images + 1,
        ground_truth.labels + 1,
        ground_truth.boxes,
        area=ground_truth.areas,
        iscrowd=ground_truth.crowd,
    )
    evaluator = hotcoco.COCOeval(gt, gt.load_res(results), 'bbox')
    evaluator.params.iou_thrs = [float(value) for value in iou_thrs]
    evaluator.params.max_dets = list(max_dets)
    evaluator.evaluate()
    return evaluator


def pycocotools_evaluator(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    num_classes: int,
    iou_thrs: Sequence[float],
    max_dets: Sequence[int],
) -> Any:
    """Match with `pycocotools.cocoeval.COCOeval`, the reference."""
    from pycocotools.cocoeval import COCOeval

    sizes = len(ground_truth.image_ids), num_classes
    truths = _pycocotools_coco(
        ground_truth, *sizes, area=ground_truth.areas, iscrowd=ground_truth.crowd.astype(int)
    )
    # Not by loadRes, which fails on an empty list and copies everything twice.
    results = _pycocotools_coco(
        detections,
        *sizes,
        area=detections.boxes[:, 2:].prod(axis=1),
        iscrowd=np.zeros_like(detections.labels),
        score=detections.scores,
    )
    evaluator = COCOeval(truths, results, 'bbox')
    evaluator.params.iouThrs = np.asarray(iou_thrs, dtype=np.float64)
    evaluator.params.maxDets = list(max_dets)
    evaluator.evaluate()
    return evaluator


def _pycocotools_coco(
    boxes: GroundTruth | Detections, num_images: int, num_classes: int, **columns: np.ndarray
) -> Any:
    from pycocotools.coco import COCO

    columns = dict(
        image_id=boxes.images + 1, category_id=boxes.labels + 1, bbox=boxes.boxes, **columns
    )
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    coco = COCO()
    coco.dataset = {
        'images': [{'id': position} for position in range(1, num_images + 1)],
        'categories': [{'id': number} for number in range(1, num_classes + 1)],
        'annotations': [
            {'id': number, **dict(zip(columns, row, strict=True))}
            for number, row in enumerate(rows, start=1)
        ],
    }
    coco.createIndex()
    return coco


ENGINES = {'hotcoco': hotcoco_evaluator, 'pycocotools': pycocotools_evaluator}


def choose_engine(name: str) -> str:
    """The engine to use: `hotcoco`, `pycocotools`, or of `auto` the first that is installed.

    Raises:
        EvaluationError: The engine is unknown or not installed.
    """
    if name not in ('auto', *ENGINES):
        raise EvaluationError(f'engine {name!r} is unknown; use auto, {" or ".join(ENGINES)}')
    names = [*ENGINES] if name == 'auto' else [name]
    installed = [name for name in names if importlib.util.find_spec(name) is not None]
    if not installed:
        raise EvaluationError(f'{" and ".join(names)} not installed; pip install {names[0]}')
    return installed[0]
