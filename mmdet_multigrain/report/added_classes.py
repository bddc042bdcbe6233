"""What classes that were added to a detector cost its old classes: one table from two tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.common import mean_of_known
from mmdet_multigrain.evaluation.functional.matching import find_pairs
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import show_list
from mmdet_multigrain.utils.table import Column, Table

from .runs.run import Run

MIN_IOU = 0.5
COLUMNS = (
    Column('class', left=True),
    Column('boxes', 'val'),
    Column('before', 'AP before', form='.2f'),
    Column('after', 'AP after', form='.2f'),
    Column('change', form='+.2f'),
    Column('detections'),
    Column('taken'),
    Column('taken_right', 'taken, were right'),
)


def added_table(before: Run, after: Run, *, score_thr: float) -> tuple[Table, tuple[str, ...]]:
    """Each class before and after, the new ones last, and the means.

    An old detection is taken over if, of the detections after that overlap it by an IoU of 0.5 or
    more, a new class has the highest score. It was right if it overlaps an object of its class so.

    Args:
        before: A test of the detector without the new classes.
        after: A test of the detector with them, on the same photos.
        score_thr: Lowest score of the old detections that are looked at.

    Returns:
        The table, AP in percent, and the names of the new classes.

    Raises:
        ReportError: The tests do not belong together.
    """
    old, all_classes = (run.result.taxonomy.classes for run in (before, after))
    new = tuple(name for name in all_classes if name not in old)
    if not new or all_classes[: len(old)] != old:
        lost = [name for name in old if name not in all_classes]
        reason = f'lacks {show_list(lost)}' if lost else 'has no new class behind the old ones'
        raise ReportError(f'{after.source}: {reason} of {before.source}; name two other tests')
    if before.ground_truth.image_ids != after.ground_truth.image_ids:
        raise ReportError(
            f'{after.source}: of other photos than {before.source}; test both on the same'
        )
    found = before.detections[before.detections.scores >= score_thr]
    taken = _taken(found, after.detections, before.ground_truth, len(old))
    right = _right(found, before.ground_truth)
    scores = [{row.name: row for row in run.result.summary.fine.classes} for run in (before, after)]
    was, now = (
        [100 * side[name].ap if name in side else math.nan for name in all_classes]
        for side in scores
    )
    rows = []
    for label, name in enumerate(all_classes):
        of_class = found.labels == label
        counts = (of_class.sum(), (of_class & taken).sum(), (of_class & taken & right).sum())
        rows.append(_row(name, scores[1][name].val_boxes, was[label], now[label], counts))
    count = len(old)
    boxes = sum(row[1] for row in rows[:count])
    counts = (len(taken), taken.sum(), (taken & right).sum())
    means = (mean_of_known(np.array(side[:count])) for side in (was, now))
    rows.insert(count, _row(f'mean of {count} old classes', boxes, *means, counts))
    return Table(COLUMNS, rows, rules=(count, count + 1)), new


def _row(name: str, boxes: int, was: float, now: float, counts: Sequence[int]) -> tuple:
    values = (None if np.isnan(value) else value for value in (was, now, now - was))
    return name, boxes, *values, *map(int, counts)


def _taken(found: Detections, after: Detections, truth: GroundTruth, num_old: int) -> np.ndarray:
    """Whether a new class has the highest score at the place of each detection, (N,) bool."""
    places = replace(
        truth,
        images=after.images,
        labels=after.labels,
        boxes=after.boxes,
        areas=after.boxes[:, 2:].prod(axis=1),
        crowd=np.zeros(len(after.labels), bool),
    )
    counted = np.ones(len(found.labels), bool)
    pairs = find_pairs(places, found, counted=counted, min_iou=MIN_IOU)
    order = np.lexsort((after.labels[pairs.truths], -after.scores[pairs.truths], pairs.detections))
    first = order[np.diff(pairs.detections[order], prepend=-1) > 0]
    taken = np.zeros(len(found.labels), bool)
    taken[pairs.detections[first]] = after.labels[pairs.truths[first]] >= num_old
    return taken


def _right(found: Detections, truth: GroundTruth) -> np.ndarray:
    """Whether each detection is on an object of its class, (N,) bool; crowds are none."""
    counted = np.ones(len(found.labels), bool)
    pairs = find_pairs(truth, found, counted=counted, min_iou=MIN_IOU)
    same = found.labels[pairs.detections] == truth.labels[pairs.truths]
    same &= ~truth.crowd[pairs.truths]  # also a box of which only the superclass is known
    right = np.zeros(len(found.labels), bool)
    right[pairs.detections[same]] = True
    return right
