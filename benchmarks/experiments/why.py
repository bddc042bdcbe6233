"""Why an experiment came out as it did: what errors cost, and the siblings of each class."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind, analyze_errors
from mmdet_multigrain.evaluation.functional.imbalance import rarest_labels
from mmdet_multigrain.evaluation.functional.intervals import CONFIDENCE, MIN_RUNS
from mmdet_multigrain.taxonomy import Taxonomy

from .folds import parts_of
from .packing import unpack
from .plan import Experiment, Results, paired

KINDS = (
    Kind.CLASS_WITHIN,
    Kind.CLASS_ACROSS,
    Kind.LOCALIZATION,
    Kind.DUPLICATE,
    Kind.BACKGROUND,
    Kind.MISSED,
)
ERRORS = (
    'AP50 that would be gained if all errors of one kind were fixed (TIDE), mean over the replicates. '
    'Superclasses are those of the data for all variants. The last row has intervals over the '
    'replicates, the photos fixed, not adjusted for their number.'
)
SIBLINGS = (
    'Training boxes are means over the replicates; those of siblings are of the other classes of the '
    'superclass.'
)
ALL_CLASSES_UP_TO = 20  # with more, the rarest ones have rows


def classes_of(experiment: Experiment, taxonomy: Taxonomy) -> tuple[str, list[int]]:
    """Name and labels of the set of classes that the primary measure is of; without one, all."""
    name = experiment.primary['measure'].rpartition(' ')[0]
    if name not in experiment.class_sets:  # of no set, or the protocol of superclasses
        return 'all classes', list(range(taxonomy.num_classes))
    return name, [taxonomy.classes.index(member) for member in experiment.class_sets[name]]


def costs(
    result: Mapping[str, Any], truths: Sequence[GroundTruth], taxonomy: Taxonomy, labels: list[int]
) -> np.ndarray:
    """What each of `KINDS` costs in AP50, in points: the mean over these classes.

    Folds are averaged class by class, with their boxes as weights.
    """
    rows, weights = [], []
    for part, truth in zip(parts_of(result), truths, strict=True):
        errors = analyze_errors(truth, unpack(part['detections']), taxonomy)
        rows.append([errors.cost(kind).class_delta_ap[labels] for kind in KINDS])
        weights.append(truth.box_counts(taxonomy.num_classes)[labels])
    boxes = np.array(weights, dtype=float)
    by_class = (np.nan_to_num(rows) * boxes[:, None]).sum(axis=0) / np.maximum(boxes.sum(axis=0), 1)
    return 100 * by_class[:, boxes.any(axis=0)].mean(axis=1)


def error_table(
    experiment: Experiment, results: Results, truths: Sequence[GroundTruth], taxonomy: Taxonomy
) -> str:
    """What errors cost each detector of all classes, as Markdown."""
    name, labels = classes_of(experiment, taxonomy)
    found = {
        key: costs(result, truths, taxonomy, labels)
        for key, result in results.items()
        if result['labels'] == 'classes' and not experiment.variant(key[0]).held_out
    }
    rows = []
    for variant in dict.fromkeys(one.name for one in experiment.variants):
        own = [value for (known, _), value in found.items() if known == variant]
        if own:
            cells = ' | '.join(f'{value:.2f}' for value in np.mean(own, axis=0))
            rows.append(f'| {variant} | {len(own)} | {cells} |')
    variant, reference = experiment.pair
    numbers = paired(found, variant, reference)
    if numbers:
        pairs = zip(*(found[variant, one] - found[reference, one] for one in numbers), strict=True)
        cells = ' | '.join(map(_interval, pairs))
        rows.append(f'| {variant} - {reference} | {len(numbers)} | {cells} |')
    title = f'lost in {name} by'
    head = [
        f'| {title} | replicates | {" | ".join(kind.label for kind in KINDS)} |',
        f'|{"---|" * (len(KINDS) + 2)}',
    ]
    return '\n'.join([*head, *rows, '', ERRORS]) if rows else ''


@dataclass(frozen=True)
class ClassGain:
    """What the primary variant gains in one class over its reference.

    Attributes:
        name: Of the class.
        group: Its superclass.
        boxes: Training boxes, the mean over the replicates.
        siblings: Those of the other classes of its superclass.
        scores: Reference and variant, the means over the replicates.
        gains: Of each replicate, in points.
    """

    name: str
    group: str
    boxes: float
    siblings: float
    scores: tuple[float, float]
    gains: tuple[float, ...]


def class_gains(
    experiment: Experiment, results: Results, taxonomy: Taxonomy
) -> tuple[str, list[ClassGain]]:
    """The metric, and the gain of each class that is scored, by falling training boxes.

    None with folds: each trains on other boxes, whose counts are not kept.
    """
    variant, reference = experiment.pair
    numbers = paired(results, variant, reference)
    metric = experiment.primary['measure'].rpartition(' ')[2]
    names = [name for name in taxonomy.classes if name in results[variant, numbers[0]]['classes']]

    def values(of: str, name: str, key: str) -> list[float | None]:
        return [results[of, number]['classes'][name].get(key) for number in numbers]

    if any(None in values(variant, name, 'train_boxes') for name in names):
        return metric, []
    boxes = {name: statistics.fmean(values(variant, name, 'train_boxes')) for name in names}
    group_of = {name: taxonomy.superclass_of(name) for name in names}
    found = []
    for name in sorted(names, key=boxes.get, reverse=True):
        before, after = values(reference, name, metric), values(variant, name, metric)
        if None in before + after:
            continue
        of_group = sum(boxes[one] for one in names if group_of[one] == group_of[name])
        found.append(
            ClassGain(
                name=name,
                group=group_of[name],
                boxes=boxes[name],
                siblings=of_group - boxes[name],
                scores=(statistics.fmean(before), statistics.fmean(after)),
                gains=tuple(one - other for one, other in zip(after, before, strict=True)),
            )
        )
    return metric, found


def sibling_table(experiment: Experiment, results: Results, taxonomy: Taxonomy) -> str:
    """Gain of each class next to its training boxes and those of its siblings, as Markdown."""
    variant, reference = experiment.pair
    metric, rows = class_gains(experiment, results, taxonomy)
    if len(rows) > ALL_CLASSES_UP_TO:
        rarest = rarest_labels([round(row.boxes) for row in rows])
        rows = [row for label, row in enumerate(rows) if label in rarest]
    lines = [
        f'| {row.name} | {row.boxes:.0f} | {row.group} | {row.siblings:.0f} '
        f'| {row.scores[0]:.2f} | {row.scores[1]:.2f} | {_interval(row.gains)} |'
        for row in rows
    ]
    head = [
        f'| class | training boxes | superclass | boxes of siblings | {reference} {metric} '
        f'| {variant} {metric} | difference |',
        '|---' * 7 + '|',
    ]
    return '\n'.join([*head, *lines, '', SIBLINGS]) if lines else ''


def mean_interval(values: Iterable[float]) -> tuple[float, float]:
    """Mean of differences and half the length of their t interval; NaN with too few."""
    values = list(values)
    if len(values) < MIN_RUNS:
        return statistics.fmean(values), math.nan
    half = stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2) * statistics.stdev(values)
    return statistics.fmean(values), half / len(values) ** 0.5


def _interval(values: Iterable[float]) -> str:
    mean, half = mean_interval(values)
    interval = f' ({mean - half:+.2f} to {mean + half:+.2f})' if half == half else ''
    return f'{mean:+.2f}{interval}'
