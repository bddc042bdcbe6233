"""Intervals of an experiment: resampled photos and replicates, Holm's rule, replicates to plan."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.bootstrap import RESAMPLES, resample_ap
from mmdet_multigrain.evaluation.functional.intervals import (
    Difference,
    difference_of_draws,
    holm,
    plan_runs,
)
from mmdet_multigrain.taxonomy import Taxonomy

from .comparable import ComparisonError
from .data import prepare
from .packing import unpack
from .plan import Experiment, Results, Run, paired
from .results import read_truth

TARGET = 2.5  # points of AP that the primary comparison is to show
PILOT = 6  # replicates that decide on the number of them


def load_truth(
    experiment: Experiment, results: Results, source: Path
) -> tuple[GroundTruth, Taxonomy]:
    """The evaluation set that results were scored on.

    Args:
        experiment: The experiment.
        results: Its results.
        source: The data set's folder.

    Raises:
        ComparisonError: The data set gives another one.
    """
    run = Run(experiment.name, experiment.primary['variant'], 1)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(experiment, run, source=source, folder=Path(folder))
        if any(result['data']['val'] != data.digests['val'] for result in results.values()):
            raise ComparisonError(f'{source}: not the evaluation set of these results')
        return read_truth(data.folder / 'val.json')[:2]


def differences(
    experiment: Experiment,
    results: Results,
    truth: GroundTruth,
    taxonomy: Taxonomy,
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """Each variant minus the reference in the primary measure, paired by replicate, in points.

    Variants whose classes are others, or that share no replicate with the reference, are left out.
    All runs are scored on the same resamples.

    Args:
        experiment: The experiment.
        results: Its results.
        truth: Boxes of the evaluation set.
        taxonomy: Their classes.
        resamples: Number of resamples of the images.
    """
    reference, measure = experiment.primary['reference'], experiment.primary['measure']
    chosen, _, metric = measure.rpartition(' ')
    labels = [taxonomy.label_of(name) for name in experiment.class_sets[chosen]]
    shared = {
        variant.name: paired(results, variant.name, reference)
        for variant in experiment.variants
        if variant.labels == 'classes' and variant.name != reference
    }
    keys = sorted(
        {
            key
            for name, numbers in shared.items()
            for n in numbers
            for key in ((name, n), (reference, n))
        }
    )
    sampled = resample_ap(
        truth,
        [unpack(results[key]['detections']) for key in keys],
        [taxonomy.group_index(-1)],
        resamples=resamples,
        **dict(iou_thrs=[0.5]) if metric == 'AP50' else {},
    )
    draws = {key: 100 * one.mean(labels) for key, one in zip(keys, sampled, strict=True)}
    images = len(np.unique(truth.images[np.isin(truth.labels, labels) & ~truth.crowd]))
    return {
        name: difference_of_draws(
            *([draws[variant, n] for n in numbers] for variant in (reference, name)),
            num_images=images,
            paired=True,
        )
        for name, numbers in shared.items()
        if numbers
    }


def interval_table(found: Mapping[str, Difference], primary: str) -> str:
    """Differences with intervals, in Markdown; the p values of all but the primary by Holm.

    A difference over photos only has no p value: what replicates change is not known.
    """
    p_values = {name: one.p_value if one.over_seeds else np.nan for name, one in found.items()}
    secondary = [name for name in found if name != primary]
    adjusted = holm([p_values[name] for name in secondary])
    p_values |= dict(zip(secondary, adjusted, strict=True))
    rows = []
    for name, one in found.items():
        over, p = '' if one.over_seeds else ' (over photos only)', p_values[name]
        here = f'{one.on_these_photos().detectable:.2f}' if one.over_seeds else '-'
        rows.append(
            f'| {name} | {one.value:+.2f} | {one.low:+.2f} to {one.high:+.2f}{over} | '
            f'{"-" if np.isnan(p) else f"{p:.3f}"} | {one.detectable:.2f} | {here} |'
        )
    head = '| variant | difference | 95% interval | p | detectable (80% power) | on these photos |'
    return '\n'.join([head, '|---|---|---|---|---|---|', *rows])


def plan_text(one: Difference, replicates: Sequence[int]) -> str:
    """How many replicates the primary comparison needs, by the variances of the pilot."""
    if not one.over_seeds:
        return 'Too few replicates to plan.'
    plan = plan_runs(
        one.seed_variance * len(replicates),
        one.photos.variance,
        num_images=one.num_images,
        target=TARGET,
    )
    return (
        f's_d {(one.seed_variance * len(replicates)) ** 0.5:.2f}, V_b {one.photos.variance:.3f}: '
        f'{plan.num_runs} replicates show a difference of {plan.detectable:.2f} '
        f'({plan.on_these_photos:.2f} on these photos)'
        f'{"" if plan.enough else f", more than {TARGET}"}.'
    )
