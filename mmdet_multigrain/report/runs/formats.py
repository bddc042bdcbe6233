"""How scores and gains are written: percent with two decimals, gains signed."""

from __future__ import annotations

import math

from mmdet_multigrain.evaluation.functional.bootstrap import CONFIDENCE

from .comparison import Gain

NOISE = '°'  # marks a gain whose interval contains 0
INTERVAL = f'{CONFIDENCE:.0%} interval'


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


def share(value: float) -> str:
    """A fraction in whole percent, as `67%`."""
    return '-' if math.isnan(value) else f'{100 * value:.0f}%'


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def gain_in_table(gain: Gain) -> str:
    """A gain with its interval, as `+1.00° [−0.10, +2.00]`."""
    if gain.interval is None or math.isnan(gain.interval.low):
        return signed(gain.value)
    low, high = signed(gain.interval.low), signed(gain.interval.high)
    return f'{signed(gain.value)}{NOISE * gain.contains_zero} [{low}, {high}]'


def gain_in_text(gain: Gain) -> str:
    """A gain with its interval in words."""
    if math.isnan(gain.value):
        return 'not known'
    if gain.interval is None or math.isnan(gain.interval.low):
        return signed(gain.value)
    ends = f'{INTERVAL} {signed(gain.interval.low)} to {signed(gain.interval.high)}'
    if gain.contains_zero:
        return f'{signed(gain.value)}{NOISE} ({ends}, contains 0)'
    return f'{signed(gain.value)} ({ends})'
