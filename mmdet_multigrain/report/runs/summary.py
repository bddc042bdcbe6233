"""What numbers say in words: the summary of a report, and how gains are written.

Never more than the numbers bear: how many seeds, which interval, and whether it contains 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmdet_multigrain.evaluation.functional.bootstrap import CONFIDENCE

from .comparison import DIFFERENCE, MEAN_OF_GAINS, Comparison, Gain, Spread, Variant
from .diagnostics import VariantAnalysis

NOISE = '°'  # marks a difference whose interval contains 0
INTERVAL = f'{CONFIDENCE:.0%}'.replace('%', ' %') + ' interval'
LEGEND = (
    f'In brackets the {INTERVAL} of a paired bootstrap over the images; {NOISE} it contains '
    '0: the difference may be noise; in bold: it does not.'
)


def percent(value: float) -> float | None:
    """A fraction in percent; None for NaN."""
    return None if math.isnan(value) else 100 * value


def signed(value: float) -> str:
    """A difference of fractions in percent, as `+1.23`."""
    if math.isnan(value):
        return '-'
    return f'{round(100 * value, 2) + 0.0:+.2f}'.replace('-', '−')  # no -0.00


def plain(value: float) -> str:
    """A fraction in percent, as `67.02`."""
    return '-' if math.isnan(value) else f'{100 * value:.2f}'


def show_gain(gain: Gain) -> str:
    """A gain with its interval, marked if that contains 0."""
    text = signed(gain.value)
    if gain.interval is None or math.isnan(gain.interval.low):
        return text
    mark = NOISE if gain.contains_zero else ''
    return f'{text}{mark} [{signed(gain.interval.low)}, {signed(gain.interval.high)}]'


def share(value: float) -> str:
    """A share in whole percent."""
    return '-' if math.isnan(value) else f'{100 * value:.0f} %'


def summary_points(comparison: Comparison) -> list[tuple[str, str]]:
    """The comparison in a few points: AP, then what each variant gains."""
    baseline = comparison.variant(comparison.baseline)
    others = [variant for variant in comparison.variants if variant is not baseline]
    text = (
        ', '.join(
            f'{variant.name} {plain(variant.scores["AP"].mean)} ({_runs(len(variant.runs))})'
            for variant in comparison.variants
        )
        + '.'
    )
    if others:
        text += _highest(comparison.variants)
    points = [('AP', text)]
    points += [
        (f'{variant.name} over {baseline.name}', gain_sentences(comparison, variant))
        for variant in others
    ]
    if others:
        points.append(('Seeds', _seed_sentence(comparison)))
    return points


def gain_sentences(comparison: Comparison, variant: Variant) -> str:
    """What a variant gains in AP, on the rarest classes, and on how many classes."""
    return ' '.join(
        (
            _gains_in_ap(comparison, variant),
            _gains_of_the_rarest(comparison, variant),
            _class_sentence(comparison, variant),
        )
    ).strip()


def error_points(analyses: Sequence[VariantAnalysis]) -> list[tuple[str, str]]:
    """Where most is lost, a point for each variant."""
    points = []
    for one in analyses:
        known = [loss for loss in one.losses if loss.gain > 0]
        if known:
            first, *rest = sorted(known, key=lambda loss: -loss.gain)
            text = (
                f'AP50 {plain(one.ap50)}; most would be won by fixing "{first.name}" '
                f'({signed(first.gain)})'
            )
            text += f', then "{rest[0].name}" ({signed(rest[0].gain)}).' if rest else '.'
            points.append((f'Errors of {one.variant}', text))
    return points


def best_of(variants: Sequence[Variant]) -> Variant:
    """The variant of highest AP; of equal ones, the first."""

    def ap(variant: Variant) -> float:
        value = variant.scores['AP'].mean
        return -math.inf if math.isnan(value) else value

    return max(variants, key=ap)


def _highest(variants: Sequence[Variant]) -> str:
    """Which of several has the highest AP; nothing where none has one."""
    best = best_of(variants).scores['AP'].mean
    names = [variant.name for variant in variants if variant.scores['AP'].mean == best]
    return f' Highest: {", ".join(names)}.' if names else ''


def verdict(gain: Gain) -> str:
    """What a gain and its interval say."""
    if math.isnan(gain.value):
        return 'not known'
    text = signed(gain.value)
    if gain.interval is None or math.isnan(gain.interval.low):
        return text
    low, high = signed(gain.interval.low), signed(gain.interval.high)
    if gain.contains_zero:
        return f'{text}{NOISE} ({INTERVAL} {low} to {high}, contains 0)'
    return f'{text} ({INTERVAL} {low} to {high})'


def _runs(count: int) -> str:
    return f'{count} run' if count == 1 else f'{count} runs'


def _gains_in_ap(comparison: Comparison, variant: Variant) -> str:
    """In AP, by both definitions where they differ, and in superclass AP."""
    ap, mean = variant.gains['AP'], variant.gains['all']
    text = f'AP {verdict(ap)}'
    if not math.isclose(ap.value, mean.value, abs_tol=1e-9):
        text += f' ({DIFFERENCE}), {verdict(mean)} ({MEAN_OF_GAINS})'
    for number in comparison.numbers:
        if number.key.endswith('_AP'):
            text += f'; {number.title} {verdict(variant.gains[number.key])}'
    return f'{text}.'


def _gains_of_the_rarest(comparison: Comparison, variant: Variant) -> str:
    text = '; '.join(
        f'{number.title} {verdict(variant.gains[number.key])}'
        for number in comparison.numbers
        if number.key.startswith('rarest_')
    )
    return f'{text[:1].upper()}{text[1:]}.'


def _class_sentence(comparison: Comparison, variant: Variant) -> str:
    gains = [variant.gains[row.key] for row in comparison.classes]
    known = [gain for gain in gains if not math.isnan(gain.value)]
    if not known:
        return ''
    up, down = (sum(sign * gain.value > 0 for gain in known) for sign in (1, -1))
    text = f'By class: {up} of {len(known)} up, {down} down'
    if any(gain.interval is not None for gain in known):
        sure = [gain for gain in known if gain.contains_zero is False]
        rises = sum(gain.value > 0 for gain in sure)
        text += (
            f'; the interval lies above 0 for {rises}, below 0 for {len(sure) - rises}, and '
            f'contains 0 for {len(known) - len(sure)}'
        )
    return f'{text}.'


def _seed_sentence(comparison: Comparison) -> str:
    counts = [len(variant.runs) for variant in comparison.variants]
    text = (
        f'Intervals speak of other photos, not of training again; a gain marked {NOISE} may be '
        'noise.'
        if comparison.resamples
        else 'Without intervals, noise is not ruled out.'
    )
    if max(counts) == 1:
        return (
            f'A single run of each variant: how much training again would change the numbers '
            f'is not known, and a difference may come from the seed alone. {text}'
        ).strip()
    parts = [
        f'{variant.name} {_deviation(variant.scores["AP"])}' for variant in comparison.variants
    ]
    parts = [f'standard deviation of AP over the runs: {", ".join(parts)}.']
    baseline = comparison.variant(comparison.baseline)
    for variant in comparison.variants:
        if variant is not baseline:
            parts.append(_overlap(variant, baseline))
    sentences = ' '.join(parts)
    return f'{sentences[:1].upper()}{sentences[1:]} {text}'.strip()


def _deviation(spread: Spread) -> str:
    count = len(spread.values)
    return 'one run' if count < 2 else f'{plain(spread.std)} (n = {count})'


def _overlap(variant: Variant, baseline: Variant) -> str:
    ours, theirs = variant.scores['AP'].values, baseline.scores['AP'].values
    if _apart(ours, theirs):
        return f'Each run of {variant.name} is above each of {baseline.name}.'
    if _apart(theirs, ours):
        return f'Each run of {variant.name} is below each of {baseline.name}.'
    return f'The runs of {variant.name} and of {baseline.name} overlap in AP.'


def _apart(high: Sequence[float], low: Sequence[float]) -> bool:
    return min(high) > max(low)
