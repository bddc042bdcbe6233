"""What the intervals of a report mean, what chance alone would show, and what these runs can show.

Every caption with intervals says whether they are over seeds and photos, or over photos only.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mmdet_multigrain.evaluation.functional.intervals import CONFIDENCE, MIN_IMAGES, MIN_RUNS

from .comparison import Comparison, Gain, Variant
from .formats import INTERVAL, NOISE, TOO_FEW, plain
from .texts import text


def legend(comparison: Comparison, keys: Sequence[str]) -> str:
    """How to read the gains with these keys in a table; empty without intervals."""
    return _join(comparison, keys, 'brackets_over_seeds', 'brackets_over_photos')


def whiskers(comparison: Comparison, keys: Sequence[str]) -> str:
    """The same for a figure."""
    return _join(comparison, keys, 'whiskers_over_seeds', 'whiskers_over_photos')


def _join(comparison: Comparison, keys: Sequence[str], over_seeds: str, over_photos: str) -> str:
    seeds, photos = (
        [variant for variant in variants if any(variant.gains[key].has_ends for key in keys)]
        for variants in (comparison.over_seeds, comparison.over_photos_only)
    )
    parts = []
    if seeds:
        count = len(comparison.over_seeds)
        values = {'noise': NOISE, 'level': f'{1 - CONFIDENCE:.2f}', 'count': count}
        test = text('holm' if count > 1 else 'one_test', **values)
        parts.append(text(over_seeds, interval=INTERVAL, test=test, **values))
    if photos:
        names = f' ({", ".join(variant.name for variant in photos)})' if seeds else ''
        parts.append(text(over_photos, interval=INTERVAL, least=MIN_RUNS, names=names))
    gains = [variant.gains[key] for variant in comparison.others for key in keys]
    if any(gain.too_few_boxes for gain in gains):
        parts.append(text('too_few_boxes', too_few=TOO_FEW, least=MIN_IMAGES))
    return ' '.join(parts)


def note(comparison: Comparison, keys: Sequence[str], *power: str) -> str:
    """Legend of a table of gains, what chance and power are; empty without intervals."""
    return ' '.join(filter(None, (legend(comparison, keys), chance(comparison, keys), *power)))


def chance(comparison: Comparison, keys: Sequence[str], over_seeds: str = 'chance') -> str:
    """How many rows with these keys would show a difference by chance alone.

    `over_seeds` is the text where the intervals of some variant are over seeds.
    """
    variants = (*comparison.over_seeds, *comparison.over_photos_only)
    rows = sum(any(variant.gains[key].has_ends for variant in variants) for key in keys)
    if not rows:
        return ''
    values = {'rows': rows, 'expected': f'{(1 - CONFIDENCE) * rows:.1f}', 'noise': NOISE}
    return text(over_seeds if comparison.over_seeds else 'chance_over_photos', **values)


def main_metrics(comparison: Comparison) -> dict[str, str]:
    """Keys and names of AP, AP of the rarest classes and the class sets."""
    rarest = next(one for one in comparison.metrics if one.key.startswith('rarest_'))
    sets = [one for one in comparison.metrics if one.key.startswith('set:')]
    return {'AP': 'AP', rarest.key: f'AP of the {rarest.title}', **{s.key: s.title for s in sets}}


def power(comparison: Comparison, keys: Sequence[str], what: str) -> str:
    """Which difference these runs could have shown; of several keys, the median."""
    variants = (*comparison.over_seeds, *comparison.over_photos_only)
    shown = list(filter(None, (_shown(variant, keys) for variant in variants)))
    return text('power', what=what, shown='; '.join(shown)) if shown else ''


def _shown(variant: Variant, keys: Sequence[str]) -> str:
    """The detectable difference of a variant; empty without intervals."""
    found = [variant.gains[key].interval for key in keys if variant.gains[key].has_ends]
    if not found:
        return ''
    size = _size(statistics.median(one.detectable for one in found))
    if not found[0].over_seeds:
        return f'{variant.name} {size} over photos only'
    here = statistics.median(one.on_these_photos().detectable for one in found)
    return f'{variant.name} {size} ({_size(here)} on these photos)'


def _size(value: float) -> str:
    """A difference above 0, which is never 0.00."""
    return plain(value) if round(value, 4) else '<0.01'


def beyond_noise(gains: Sequence[Gain]) -> str | None:
    """How many gains are up and down by more than noise; None where none is tested."""
    tested = [gain for gain in gains if gain.may_be_noise is not None]
    clear = [gain for gain in tested if not gain.may_be_noise]
    above = sum(gain.value > 0 for gain in clear)
    return f'{above} up, {len(clear) - above} down' if tested else None
