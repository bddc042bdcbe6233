"""Flat controls: detectors of groups, or of objects, next to detectors of classes at that level."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.bootstrap import RESAMPLES
from mmdet_multigrain.evaluation.functional.intervals import Difference
from mmdet_multigrain.evaluation.functional.protocols import group_protocol
from mmdet_multigrain.taxonomy import Taxonomy

from .intervals import difference_of_pair, draw_scores, level_of
from .plan import GROUP, OBJECT, Experiment, Results, Variant

MEASURES = dict(superclasses=GROUP, object=OBJECT)  # by the labels that a flat control detects
NOTE = (
    'Flat controls detect groups, or objects, and nothing finer. Detections of classes are suppressed '
    'inside the group, so that all variants give one answer for each group and object.'
)


def compare_flat(
    experiment: Experiment,
    results: Results,
    truths: Sequence[GroundTruth],
    taxonomy: Taxonomy,
    *,
    resamples: int = RESAMPLES,
) -> tuple[str, dict[tuple[str, str, str], Difference]]:
    """Means of the flat controls and of detectors of classes at their level, and differences.

    Args:
        experiment: The experiment.
        results: Its results.
        truths: Boxes of the evaluation set, or of each fold.
        taxonomy: Their classes.
        resamples: Number of resamples of the images.

    Returns:
        A Markdown table, and the primary variant minus each control by (variant, control,
        measure). Both are empty unless all replicates are there of a control and all that stand
        next to it.
    """
    metric = experiment.primary['measure'].rpartition(' ')[2]
    variant, rows, found = experiment.pair[0], [], {}
    controls = [one for one in experiment.variants if one.labels in MEASURES]
    for control in controls:
        names = [*_same_recipe(experiment, control), control.name]
        numbers = min(map(experiment.numbers, names), key=len)
        keys = [(name, number) for name in names for number in numbers]
        if not results.keys() >= set(keys):
            continue
        measure = f'{MEASURES[control.labels]} {metric}'
        draws, images = draw_scores(
            experiment,
            {key: results[key] for key in keys},
            truths,
            taxonomy,
            measure=measure,
            resamples=resamples,
        )
        level = level_of(MEASURES[control.labels], taxonomy).name
        for name in names:
            mean = statistics.fmean(draws[name, number][0] for number in numbers)
            detected = f'{GROUP} ({level}, as detected)'
            protocol = detected if name == control.name else group_protocol(level, None)
            rows.append(f'| {name} | {len(numbers)} | {mean:.2f} | {protocol} |')
        found[variant, control.name, measure] = difference_of_pair(
            draws, (variant, control.name), numbers, num_images=images
        )
    head = [f'| variant | replicates | {metric} | protocol |', '|---|---|---|---|']
    return '\n'.join([*head, *rows, '', NOTE]) if rows else '', found


def _same_recipe(experiment: Experiment, control: Variant) -> list[str]:
    """The primary pair, and the variants that differ from the control in their labels only."""
    recipe = experiment.recipe(control.name)
    same = [
        one.name
        for one in experiment.variants
        if one.labels == 'classes' and experiment.recipe(one.name) == recipe
    ]
    return list(dict.fromkeys([*experiment.pair, *same]))
