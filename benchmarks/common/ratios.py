"""Rounds in which everything compared takes its turn, and the ratios within those rounds.

Other load on the machine affects all turns of a round equally, so ratios within a round say more
than seconds.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scipy.stats import binom
from tqdm import tqdm

from .activity import refuse_while_active

LEVEL = 0.95  # of intervals
T = TypeVar('T')


def rounds(
    names: Collection[str], *, repeats: int, warmup: int = 0, title: str
) -> Iterator[tuple[int, str]]:
    """Number of the round and whose turn it is: all names once, in an order drawn again each round.

    Rounds of the `warmup`, which do not count, have negative numbers.

    Raises:
        ActivityError: A training run is active on this machine.
    """
    refuse_while_active()
    order = list(names)
    with tqdm(total=(repeats + warmup) * len(order), desc=title, leave=False) as bar:
        for number in range(-warmup, repeats):
            random.shuffle(order)
            for name in order:
                yield number, name
                bar.update()


def in_rounds(
    turn: Callable[[str, int], T],
    names: Collection[str],
    *,
    repeats: int,
    warmup: int = 0,
    title: str,
) -> dict[str, list[T]]:
    """What the turns of each name return, given it and the number of the round; see `rounds`."""
    found: dict[str, list[T]] = {name: [] for name in names}
    for number, name in rounds(names, repeats=repeats, warmup=warmup, title=title):
        value = turn(name, number)
        if number >= 0:
            found[name].append(value)
    return found


@dataclass(frozen=True)
class Ratio:
    """How something compares with a reference."""

    median: float  # of the rounds' ratios
    # lower end of the 95% confidence interval of the median; below 6 rounds, which do not give one,
    # the smallest ratio
    low: float
    high: float  # upper end of the interval, or the largest ratio


def paired_ratio(seconds: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Median and interval of the ratios of each round.

    The interval is that of the sign test: from the k-th smallest to the k-th largest ratio. It
    assumes nothing about how the ratios are distributed.
    """
    ratios = sorted(one / other for one, other in zip(seconds, reference, strict=True))
    rank = max(int(binom.ppf((1 - LEVEL) / 2, len(ratios), 0.5)), 1)
    return Ratio(statistics.median(ratios), ratios[rank - 1], ratios[-rank])


def milliseconds(seconds: Sequence[float], reference: Sequence[float], name: str) -> str:
    """Median, and the ratio to a reference of this name, in words."""
    ratio = paired_ratio(seconds, reference)
    return (
        f'{1e3 * statistics.median(seconds):9.1f} ms; to {name}: median {ratio.median:.3f}, from '
        f'{ratio.low:.3f} to {ratio.high:.3f}'
    )
