"""The summary of a report in sentences.

They claim no more than the numbers support: how many seeds there are, what an interval is over,
what may be noise, and which difference the runs could have shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmdet_multigrain.evaluation.functional.intervals import MIN_RUNS

from . import claims
from .comparison import Comparison, Spread, Variant
from .diagnostics import VariantDiagnostics
from .formats import NOISE, capital, gain_in_text, plain, signed
from .measures import DIFFERENCE, MEAN_OF_GAINS


def summary_points(comparison: Comparison) -> list[tuple[str, str]]:
    """AP of each variant, then what each gains."""
    aps = ', '.join(
        f'{variant.name} {plain(variant.scores["AP"].mean)} ({_count_runs(variant)})'
        for variant in comparison.variants
    )
    if not comparison.others:
        return [('AP', f'{aps}.')]
    return [
        ('AP', f'{aps}.{_highest(comparison.variants)}'),
        *(
            (f'{variant.name} over {comparison.baseline}', gain_sentences(comparison, variant))
            for variant in comparison.others
        ),
        ('Seeds', _seed_sentences(comparison)),
        *_power_points(comparison),
    ]


def gain_sentences(comparison: Comparison, variant: Variant) -> str:
    """What a variant gains in AP, on the rarest classes, and on how many classes."""
    sentences = (
        _gain_in_ap(comparison, variant),
        _gain_on_the_rarest(comparison, variant),
        _gains_by_class(comparison, variant),
    )
    return ' '.join(sentences).strip()


def error_points(diagnostics: Sequence[VariantDiagnostics]) -> list[tuple[str, str]]:
    """The two most costly kinds of error of each variant."""
    points = []
    for one in diagnostics:
        costs = sorted(
            (cost for cost in one.costs if cost.delta_ap > 0), key=lambda cost: -cost.delta_ap
        )
        parts = [f'"{cost.name}" ({signed(cost.delta_ap)})' for cost in costs[:2]]
        if parts:
            text = f'AP50 {plain(one.ap50)}; most would be won by fixing {", then ".join(parts)}.'
            points.append((f'Errors of {one.variant}', text))
    return points


def best_of(variants: Sequence[Variant]) -> Variant:
    """The variant of highest AP; the first of equal ones."""

    def ap(variant: Variant) -> float:
        value = variant.scores['AP'].mean
        return -math.inf if math.isnan(value) else value

    return max(variants, key=ap)


def _count_runs(variant: Variant) -> str:
    return '1 run' if len(variant.runs) == 1 else f'{len(variant.runs)} runs'


def _highest(variants: Sequence[Variant]) -> str:
    """The variants of highest AP; empty where none has an AP."""
    best = best_of(variants).scores['AP'].mean
    names = [variant.name for variant in variants if variant.scores['AP'].mean == best]
    return f' Highest: {", ".join(names)}.' if names else ''


def _gain_in_ap(comparison: Comparison, variant: Variant) -> str:
    """In AP, by both definitions where they differ, and in superclass AP."""
    ap, mean = variant.gains['AP'], variant.gains['all']
    text = f'AP {gain_in_text(ap)}'
    if not math.isclose(ap.value, mean.value, abs_tol=1e-9):
        text += f' ({DIFFERENCE}), {gain_in_text(mean)} ({MEAN_OF_GAINS})'
    levels = [metric for metric in comparison.metrics if metric.key.endswith('_AP')]
    return '; '.join([text, *_gains(variant, levels)]) + '.'


def _gain_on_the_rarest(comparison: Comparison, variant: Variant) -> str:
    rarest = [metric for metric in comparison.metrics if metric.key.startswith(('rarest_', 'set:'))]
    return capital('; '.join(_gains(variant, rarest))) + '.'


def _gains(variant: Variant, metrics: Sequence) -> list[str]:
    return [f'{metric.title} {gain_in_text(variant.gains[metric.key])}' for metric in metrics]


def _gains_by_class(comparison: Comparison, variant: Variant) -> str:
    gains = [variant.gains[row.key] for row in comparison.classes]
    known = [gain for gain in gains if not math.isnan(gain.value)]
    if not known:
        return ''
    up, down = (sum(sign * gain.value > 0 for gain in known) for sign in (1, -1))
    text = f'By class: {up} of {len(known)} up, {down} down'
    return f'{text}{claims.count_claims(known)}.'


def _power_points(comparison: Comparison) -> list[tuple[str, str]]:
    names = claims.main_metrics(comparison).items()
    sentences = [claims.power(comparison, [key], name) for key, name in names]
    return [('Power', ' '.join(filter(None, sentences)))] if any(sentences) else []


def _seed_sentences(comparison: Comparison) -> str:
    if comparison.over_seeds:
        noise = f'Intervals are over seeds and photos; a gain marked {NOISE} may be noise.'
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
