"""The summary of a report: a table with a verdict on each variant, and a few sentences.

They claim no more than the numbers support: how many seeds there are, what an interval is over,
what may be noise, and which difference the runs could have shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmdet_multigrain.evaluation.functional.intervals import MIN_RUNS
from mmdet_multigrain.utils.table import Cell, Column, Table

from . import claims
from .comparison import Comparison, Gain, Spread, Variant
from .diagnostics import VariantDiagnostics
from .formats import NOISE, gain_alone, percent, plain, signed
from .measures import Metric
from .run import Run
from .tables import PaperReference, gain_cells, name_cells, score_cells, score_table, words


def summary_table(comparison: Comparison, paper: PaperReference | None = None) -> Table:
    """AP and main gains of each variant, and what they show; below, the paper's best variant.

    Of a single variant, its main scores.
    """
    metrics = _main_metrics(comparison)
    if not comparison.others:
        titles = {metric.key: _short(metric) for metric in metrics if metric.key != 'all'}
        return score_table(comparison, titles)
    sides = [(comparison, comparison.variants)]
    if paper is not None:
        sides.append((paper.comparison, [best_of(paper.comparison.variants)]))
    extra = [metric for metric in metrics if metric.key not in ('AP', 'AP50')]
    if not any(_differs(side, variant) for side, variants in sides for variant in variants):
        extra = [metric for metric in extra if metric.key != 'all']
    titles = {metric.key: f'gain, {_short(metric)}' for metric in extra}
    titles |= {'all': 'mean gain of the classes'} if 'all' in titles else {}
    columns = [
        *(words('variant'), Column('runs', form='d')),
        *(Column('AP', form='.2f'), Column('gain', 'gain in AP', '.2f')),
        *(Column(metric.key, titles[metric.key], '.2f') for metric in extra),
        *(Column('up', 'classes up', 'd'), Column('down', 'classes down', 'd')),
        *(words('beyond_noise', 'beyond noise'), words('verdict', 'verdict on AP')),
    ]
    rows = []
    for side, variants in sides:
        for variant, ap in zip(variants, score_cells(variants, 'AP'), strict=True):
            names = name_cells(variant, is_ours=side is comparison)
            rows.append((*names, ap, *_gains(side, variant, extra)))
    table = Table(columns, rows, (len(comparison.variants),) if paper else ())
    left_out = [] if comparison.over_seeds else ['beyond_noise']
    return table.select([column.key for column in columns if column.key not in left_out])


def _main_metrics(comparison: Comparison) -> list[Metric]:
    """AP, AP50, the mean of the classes, the rarest ones, superclasses, class sets."""
    main = ('rarest_', 'set:')
    return [
        metric
        for metric in comparison.metrics
        if metric.key in ('AP', 'AP50', 'all')
        or metric.key.startswith(main)
        or metric.key.endswith('_AP')
    ]


def _short(metric: Metric) -> str:
    return metric.title.split(' (')[0] if metric.key.startswith('rarest_') else metric.title


def _differs(comparison: Comparison, variant: Variant) -> bool:
    """Whether the two definitions of a gain in AP differ."""
    if variant.name == comparison.baseline:
        return False
    ap, mean = variant.gains['AP'].value, variant.gains['all'].value
    return not math.isclose(ap, mean, abs_tol=1e-9) and not math.isnan(ap - mean)


def _gains(comparison: Comparison, variant: Variant, extra: Sequence[Metric]) -> list[Any]:
    """The cells from the gain in AP on."""
    if variant.name == comparison.baseline:
        return [None] * (len(extra) + 4) + ['baseline']
    by_class = [variant.gains[row.key] for row in comparison.classes]
    up, down = (sum(sign * gain.value > 0 for gain in by_class) for sign in (1, -1))
    gains = [variant.gains.get(metric.key) for metric in extra]
    cells = (
        gain and Cell(percent(gain.value), gain_alone(gain), gain.may_be_noise is False)
        for gain in gains
    )
    last = up, down, claims.beyond_noise(by_class), verdict(variant.gains['AP'])
    return [*gain_cells([variant], 'AP'), *cells, *last]


def verdict(gain: Gain) -> str:
    """What a gain over the baseline shows, in a few words."""
    if math.isnan(gain.value):
        return 'not known'
    if gain.is_same:
        return 'the same'
    if gain.too_few_boxes:
        return 'too few boxes to tell'
    direction = 'higher' if gain.value > 0 else 'lower'
    if gain.may_be_noise is not None:
        return 'may be noise' if gain.may_be_noise else direction
    if not gain.has_ends:
        return f'{direction}; noise unknown' if round(gain.value, 4) else 'equal; noise unknown'
    if gain.interval.contains_zero:
        return 'may be photo noise'
    return f'{direction} beyond photo noise; seed noise unknown'


def summary_points(comparison: Comparison) -> list[tuple[str, str]]:
    """What is known of noise, and what these runs could have shown."""
    if not comparison.others:
        return []
    return [('Seeds', _seed_sentences(comparison)), *_power_points(comparison)]


def doubt_points(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What makes the numbers of a run doubtful, before any of them."""
    return [(f'Doubt about {run.name}', f'{run.doubt}.') for run in runs if run.doubt]


def error_points(diagnostics: Sequence[VariantDiagnostics]) -> list[tuple[str, str]]:
    """The two most costly kinds of error of each variant."""
    points = []
    for one in diagnostics:
        costs = [cost for cost in one.costs if round(cost.delta_ap, 4) > 0]
        costs.sort(key=lambda cost: -cost.delta_ap)
        parts = [f'"{cost.name}" ({signed(cost.delta_ap)})' for cost in costs[:2]]
        if parts:
            text = f'AP50 {plain(one.ap50)}; most would be won by fixing {", then ".join(parts)}.'
            points.append((f'Errors of {one.variant}', text))
    return points


def best_of(variants: Sequence[Variant]) -> Variant:
    """The variant of highest AP; the first of equal ones."""
    return max(variants, key=lambda one: np.nan_to_num(one.scores['AP'].mean, nan=-math.inf))


def _power_points(comparison: Comparison) -> list[tuple[str, str]]:
    names = claims.main_metrics(comparison).items()
    sentences = [claims.power(comparison, [key], name) for key, name in names]
    return [('Power', ' '.join(filter(None, sentences)))] if any(sentences) else []


def _seed_sentences(comparison: Comparison) -> str:
    if comparison.over_seeds:
        others = ', '.join(variant.name for variant in comparison.over_photos_only)
        others = f' (of {others} over photos only)' if others else ''
        noise = f'Intervals are over seeds and photos{others}; a gain marked {NOISE} may be noise.'
    elif comparison.resamples:
        noise = (
            f'Intervals are over photos only; from {MIN_RUNS} seeds of each variant on, they are '
            'over seeds, too, and say what may be noise.'
        )
    else:
        noise = 'Without intervals, noise is not ruled out.'
    if not comparison.has_seeds:
        return (
            f'A single run of each variant: how much training again would change the numbers '
            f'is not known, and a difference may come from the seed alone. {noise}'
        )
    deviations = ', '.join(
        f'{variant.name} {_deviation(variant.scores["AP"])}' for variant in comparison.variants
    )
    baseline = comparison.variant(comparison.baseline)
    overlaps = [_overlap(variant, baseline) for variant in comparison.others]
    return ' '.join([f'Standard deviation of AP over the runs: {deviations}.', *overlaps, noise])


def _deviation(spread: Spread) -> str:
    count = len(spread.values)
    return 'one run' if count < 2 else f'{plain(spread.std)} (n = {count})'


def _overlap(variant: Variant, baseline: Variant) -> str:
    ours, theirs = variant.scores['AP'].values, baseline.scores['AP'].values
    if min(ours) > max(theirs):
        return f'Each run of {variant.name} is above each of {baseline.name}.'
    if min(theirs) > max(ours):
        return f'Each run of {variant.name} is below each of {baseline.name}.'
    return f'The runs of {variant.name} and of {baseline.name} overlap in AP.'
