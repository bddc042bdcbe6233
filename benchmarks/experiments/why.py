"""Why an experiment came out as it did: what errors cost, and the siblings of each class."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
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
    """Name and labels of the set of classes that the primary measure is of; all without one."""
    name = experiment.primary['measure'].rpartition(' ')[0]
    members = experiment.class_sets.get(name, taxonomy.classes)
    return name, [taxonomy.classes.index(member) for member in members]


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
    title = f'lost in {name or "all classes"} by'
    head = [
        f'| {title} | replicates | {" | ".join(kind.label for kind in KINDS)} |',
        f'|{"---|" * (len(KINDS) + 2)}',
    ]
    return '\n'.join([*head, *rows, '', ERRORS]) if rows else ''


def _interval(values: Iterable[float]) -> str:
    """Mean of differences, and their t interval if there are enough."""
    values = list(values)
    mean = statistics.fmean(values)
    if len(values) < MIN_RUNS:
        return f'{mean:+.2f}'
    half = stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2) * statistics.stdev(values)
    half /= len(values) ** 0.5
    return f'{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})'


def sibling_table(experiment: Experiment, results: Results, taxonomy: Taxonomy) -> str:
    """Gain of each class over its training boxes and those of its siblings, as Markdown."""
    variant, reference = experiment.pair
    numbers = paired(results, variant, reference)
    metric = experiment.primary['measure'].rpartition(' ')[2]
    rows = [results[name, number]['classes'] for number in numbers for name in experiment.pair]
    # With folds, each replicate trains on other boxes in each; their counts are not kept.
    if not rows or any('train_boxes' not in row for row in rows[0].values()):
        return ''

    def mean(name: str, key: str, of: str = variant) -> float:
        return statistics.fmean(results[of, number]['classes'][name][key] for number in numbers)

    boxes = {name: mean(name, 'train_boxes') for name in taxonomy.classes if name in rows[0]}
    order = sorted(boxes, key=lambda name: -boxes[name])
    if len(order) > ALL_CLASSES_UP_TO:
        rarest = {[*boxes][label] for label in rarest_labels([*map(round, boxes.values())])}
        order = [name for name in order if name in rarest]
    group_of = {name: taxonomy.superclass_of(name) for name in boxes}
    lines = []
    for name in order:
        siblings = [one for one in boxes if group_of[one] == group_of[name] and one != name]
        if any(row[name][metric] is None for row in rows):
            continue
        gains = [
            results[variant, number]['classes'][name][metric]
            - results[reference, number]['classes'][name][metric]
            for number in numbers
        ]
        lines.append(
            f'| {name} | {boxes[name]:.0f} | {group_of[name]} '
            f'| {sum(map(boxes.get, siblings)):.0f} | {mean(name, metric, reference):.2f} '
            f'| {mean(name, metric):.2f} | {_interval(gains)} |'
        )
    head = [
        f'| class | training boxes | superclass | boxes of siblings | {reference} {metric} '
        f'| {variant} {metric} | difference |',
        '|---' * 7 + '|',
    ]
    return '\n'.join([*head, *lines, '', SIBLINGS])
