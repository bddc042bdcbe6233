"""Intervals of an experiment: resampled photos and replicates, Holm's rule, replicates to plan."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.bootstrap import (
    RESAMPLES,
    image_weights,
    resample_ap,
)
from mmdet_multigrain.evaluation.functional.common import MAX_DETS, mean_of_known
from mmdet_multigrain.evaluation.functional.intervals import (
    Difference,
    Term,
    difference_of_draws,
    holm,
)
from mmdet_multigrain.evaluation.functional.matching import group_limit, suppress
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import Level, at_level

from .comparable import ComparisonError
from .data import prepare
from .folds import parts_of
from .packing import unpack
from .plan import GROUP, OBJECT, SUPERCLASS, Experiment, Pair, Results, Run, paired
from .results import read_truth

TARGET = 2.5  # points of AP that the primary comparison is to show


def load_truth(
    experiment: Experiment, results: Results, source: Path
) -> tuple[list[GroundTruth], Taxonomy]:
    """The evaluation set that results were scored on: one, or one for each fold.

    Args:
        experiment: The experiment.
        results: Its results.
        source: The data set's folder.

    Raises:
        ComparisonError: The data set gives another one.
    """
    truths, half = [], experiment.data.get('half')
    for number, fold in enumerate(experiment.folds):
        run = Run(experiment.name, experiment.primary['variant'], 1, fold)
        with tempfile.TemporaryDirectory() as folder:
            data = prepare(experiment, run, source=source, folder=Path(folder))
            parts = [parts_of(result)[number] for result in results.values()]
            # The digest is of all photos; the first results do not tell their half.
            used = {(part['data']['val'], part.get('half', half)) for part in parts}
            if used - {(data.digests['val'], half)}:
                raise ComparisonError(f'{source}: not the evaluation set of these results')
            truth, taxonomy, _ = read_truth(data.folder / 'val.json')
        truths.append(truth)
    return truths, taxonomy


def differences(
    experiment: Experiment,
    results: Results,
    truths: Sequence[GroundTruth],
    taxonomy: Taxonomy,
    *,
    measure: str | None = None,
    resamples: int = RESAMPLES,
) -> dict[Pair, Difference]:
    """All comparisons of the experiment in one measure, paired by replicate, in points.

    Pairs that share no replicate are left out. All runs are scored on the same resamples.

    Args:
        experiment: The experiment.
        results: Its results.
        truths: Boxes of the evaluation set, or of each fold.
        taxonomy: Their classes.
        measure: Default: the primary one.
        resamples: Number of resamples of the images.
    """
    shared = {pair: paired(results, *pair) for pair in experiment.comparisons()}
    keys = sorted({(name, n) for pair, numbers in shared.items() for n in numbers for name in pair})
    draws, images = draw_scores(
        experiment,
        {key: results[key] for key in keys},
        truths,
        taxonomy,
        measure=measure or experiment.primary['measure'],
        resamples=resamples,
    )
    return {
        pair: difference_of_pair(draws, pair, numbers, num_images=images)
        for pair, numbers in shared.items()
        if numbers
    }


def draw_scores(
    experiment: Experiment,
    results: Results,
    truths: Sequence[GroundTruth],
    taxonomy: Taxonomy,
    *,
    measure: str,
    resamples: int = RESAMPLES,
) -> tuple[dict[tuple[str, int], np.ndarray], int]:
    """(1 + B,) scores of each result, in points, and how many images they are of.

    Args:
        experiment: The experiment.
        results: The results. Those of flat detectors, of groups or objects, can only be scored in
            a measure of these: `group AP` or `object AP`.
        truths: Boxes of the evaluation set, or of each fold.
        taxonomy: Their classes.
        measure: The measure; `object AP` is the protocol *group* with all classes in one group.
        resamples: Number B of resamples of the images; the first score is on all images once.

    Raises:
        ComparisonError: A result is of other labels than the measure.
    """
    chosen, _, metric = measure.rpartition(' ')
    if level := level_of(chosen, taxonomy):
        index, groups = level.index, level.taxonomy.classes
    else:
        index, groups = taxonomy.group_index(-2 if chosen == SUPERCLASS else -1), None
    if chosen in ('', SUPERCLASS, GROUP, OBJECT):
        labels = sorted(set(index))
    else:
        labels = [taxonomy.label_of(name) for name in experiment.class_sets[chosen]]
    drawn = _resample(
        list(results.values()),
        truths,
        index,
        labels,
        resamples=resamples,
        groups=groups,
        **dict(iou_thrs=[0.5]) if metric == 'AP50' else {},
    )
    images = sum(
        len(np.unique(truth.images[np.isin(truth.labels, labels) & ~truth.crowd]))
        for truth in (truth.relabel(index) for truth in truths)
    )
    return dict(zip(results, drawn, strict=True)), images


def level_of(protocol: str, taxonomy: Taxonomy) -> Level | None:
    """The level with one answer for each group and object of a measure; None in another one."""
    if protocol not in (GROUP, OBJECT):
        return None
    return at_level(taxonomy, OBJECT if protocol == OBJECT else taxonomy.num_levels - 2)


def difference_of_pair(
    draws: Mapping[tuple[str, int], np.ndarray],
    pair: Pair,
    numbers: Sequence[int],
    *,
    num_images: int,
) -> Difference:
    """A variant minus what it is compared with, paired by replicate.

    Args:
        draws: Scores by `draw_scores`.
        pair: The variant, and what it is compared with.
        numbers: The replicates.
        num_images: By `draw_scores`.
    """
    variant, reference = pair
    arms = ([draws[name, number] for number in numbers] for name in (reference, variant))
    return difference_of_draws(*arms, num_images=num_images, paired=True)


def _resample(
    results: Sequence[Mapping[str, Any]],
    truths: Sequence[GroundTruth],
    index: Sequence[int],
    labels: Sequence[int],
    *,
    resamples: int,
    groups: Sequence[str] | None,
    **options: Any,
) -> list[np.ndarray]:
    """(1 + B,) mean AP of some classes, in points, for each result: on all images, on resamples.

    Images are resampled within each fold. AP of a class is the mean over the folds, weighted with
    the boxes that the resample has of it. `index` has the class, or superclass, of each label; with
    names of groups, there is one answer for each group and object.
    """
    sums = np.zeros((len(results), 1 + resamples, len(labels)))
    boxes = np.zeros((1 + resamples, len(labels)))
    for fold, truth in enumerate(truths):
        parts = [parts_of(result)[fold] for result in results]
        counts = _resampled_boxes(truth.relabel(index), max(index) + 1, resamples, seed=fold)
        counts = counts[:, labels]
        level, found = index, [_detections(part, index, groups) for part in parts]
        if groups:
            truth = truth.in_groups(index)
            level, options['max_dets'] = range(max(index) + 1), group_limit(index, MAX_DETS)
        drawn = resample_ap(truth, found, [level], resamples=resamples, seed=fold, **options)
        boxes += counts
        for total, one in zip(sums, drawn, strict=True):
            total += np.nan_to_num(one.classes()[:, labels]) * counts
    with np.errstate(invalid='ignore'):
        return [100 * mean_of_known(total / boxes, axis=1) for total in sums]


def _detections(
    part: Mapping[str, Any], index: Sequence[int], groups: Sequence[str] | None
) -> Detections:
    """Detections of classes or, with names of groups, of groups: suppressed, if not flat."""
    found = unpack(part['detections'])
    if part['labels'] == 'classes':
        return suppress(found, index) if groups else found
    if set(part['classes']) - set(groups or ()):
        raise ComparisonError(
            f'{part["variant"]} detects {", ".join(part["classes"])}, which this measure is not of'
        )
    return found.relabel([groups.index(name) for name in part['classes']])


def _resampled_boxes(
    truth: GroundTruth, num_classes: int, resamples: int, *, seed: int
) -> np.ndarray:
    """(1 + B, K) boxes of each class in each resample."""
    counted = ~truth.crowd
    boxes = np.zeros((len(truth.image_ids), num_classes))
    np.add.at(boxes, (truth.images[counted], truth.labels[counted]), 1)
    return image_weights(len(boxes), range(1 + resamples), seed=seed).T @ boxes


def interval_table(
    found: Mapping[tuple[str, ...], Difference],
    primary: Pair,
    counts: Mapping[tuple[str, ...], int],
) -> str:
    """Differences with intervals, in Markdown; the p values of all but the primary by Holm.

    A difference over photos only has no p value: what replicates change is not known.

    Args:
        found: Of each comparison; a third name is a measure other than the primary one.
        primary: Whose p value is not adjusted.
        counts: Replicates of each comparison.
    """
    p_values = {pair: one.p_value if one.over_seeds else np.nan for pair, one in found.items()}
    secondary = [pair for pair in found if pair != primary]
    adjusted = holm([p_values[pair] for pair in secondary])
    p_values |= dict(zip(secondary, adjusted, strict=True))
    rows = []
    for pair, one in found.items():
        over, here = ' (over photos only: no conclusion)', ('-', '-')
        if one.over_seeds:
            fixed = one.on_these_photos()
            over, here = '', (f'{fixed.low:+.2f} to {fixed.high:+.2f}', f'{fixed.detectable:.2f}')
        p = p_values[pair]
        cells = [
            ', '.join([' - '.join(pair[:2]), *pair[2:]]),
            str(counts[pair]),
            f'{one.value:+.2f}',
            f'{one.low:+.2f} to {one.high:+.2f}{over}',
            '-' if np.isnan(p) else f'{p:.3f}',
            f'{one.detectable:.2f}',
            *here,
        ]
        rows.append(f'| {" | ".join(cells)} |')
    head = [
        '| comparison | replicates | difference | 95% interval | p | detectable | on these photos '
        '| detectable |',
        '|---|---|---|---|---|---|---|---|',
    ]
    family = int((~np.isnan(adjusted)).sum())
    note = (
        'Detectable: the true difference that such runs show with 80% power. On these photos: for '
        f'other replicates, the photos fixed. The first p stands for itself; the others ({family}) '
        "are adjusted together by Holm's rule."
    )
    return '\n'.join([*head, *rows, '', note])


@dataclass(frozen=True)
class Plan:
    """How many pairs of runs a comparison needs."""

    num_runs: int  # of each variant
    detectable: float  # difference that so many show with 80% power
    on_these_photos: float  # the same if photos are not resampled (V_b = 0)
    enough: bool  # whether `detectable` reaches the target


def plan_runs(
    seed_variance: float,
    photo_variance: float,
    *,
    num_images: int,
    target: float,
    least: int = 6,
    most: int = 20,
) -> Plan:
    """The smallest number n of pairs with (t_.975 + t_.80) sqrt(s_d^2 / n + V_b) <= target.

    Args:
        seed_variance: s_d^2, the variance of the difference between pairs of runs.
        photo_variance: V_b.
        num_images: Number of photos with a box of the classes concerned.
        target: Difference to show, in the unit of the scores.
        least: Smallest n.
        most: Largest n; the plan has this n, and is not `enough`, if no n reaches the target.
    """
    photos = Term(photo_variance, max(num_images - 1, 1))
    for n in range(least, most + 1):
        one = Difference(0.0, (Term(seed_variance / n, n - 1),), photos, num_images)
        plan = Plan(n, float(one.detectable), float(one.on_these_photos().detectable), True)
        if plan.detectable <= target:
            return plan
    return replace(plan, enough=False)


def plan_replicates(one: Difference, count: int) -> Plan:
    """How many replicates the primary comparison needs, by the variances of the pilot.

    Args:
        one: Difference in the pilot.
        count: Replicates of the pilot.

    Raises:
        ComparisonError: The pilot is too small to tell.
    """
    if not one.over_seeds:
        raise ComparisonError(f'{count} replicates are too few to plan')
    return plan_runs(
        one.seed_variance * count, one.photos.variance, num_images=one.num_images, target=TARGET
    )


def plan_text(one: Difference, count: int, plan: Plan) -> str:
    """What the pilot says, without the difference that it found."""
    text = (
        f'By the pilot of {count} replicates (s_d {(one.seed_variance * count) ** 0.5:.2f}, V_b '
        f'{one.photos.variance:.3f}), {plan.num_runs} replicates show a difference of '
        f'{plan.detectable:.2f} points with 80% power ({plan.on_these_photos:.2f} on these photos)'
    )
    return text + (
        '.' if plan.enough else f'; {plan.num_runs}, the most allowed, do not reach {TARGET}.'
    )
