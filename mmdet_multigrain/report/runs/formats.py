"""How scores and gains are written: percent with two decimals, gains signed."""

from __future__ import annotations

import math

from mmdet_multigrain.evaluation.functional.intervals import CONFIDENCE

from .comparison import Gain

NOISE = '°'  # marks a gain that seeds and photos may make
TOO_FEW = 'too few boxes'
_ZEROS = '[+0.00, +0.00]'
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
    """A gain with its interval, as `+1.00° [−0.10, +2.00]`; `same`, or `<0.01` where all of it is."""
    text = gain_alone(gain)
    if gain.too_few_boxes:
        return f'{text} ({TOO_FEW})'
    if not gain.has_ends:
        return text
    ends = f'[{signed(gain.interval.low)}, {signed(gain.interval.high)}]'
    return f'{text} {ends}' if ends != _ZEROS else '<0.01'


def gain_alone(gain: Gain) -> str:
    """A gain without its interval, as `+1.00°`."""
    if gain.is_same:
        return 'same'
    return signed(gain.value) + NOISE * (gain.may_be_noise is True)
