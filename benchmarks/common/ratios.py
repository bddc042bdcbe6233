"""Rounds in which everything compared takes its turn, and the ratios within those rounds.

Other load on the machine affects all turns of a round equally, so ratios within a round say more
than seconds.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from scipy.stats import binom
from tqdm import tqdm

from .activity import refuse_while_active

LEVEL = 0.95  # of intervals


def rounds(
    names: Collection[str], *, repeats: int, warmup: int = 0, title: str
) -> Iterator[tuple[int, str]]:
    """Whose turn it is: every name once in each round, in an order drawn again each round.

    Args:
        names: What takes turns.
        repeats: Rounds.
        warmup: Rounds before them that do not count; their numbers are negative.
        title: Of the progress bar.

    Yields:
        The number of the round and a name.

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
