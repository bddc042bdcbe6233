"""Numbers and tables of the benchmark of detectors, from its raw timings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from mmdet_multigrain.report.table import Column, Table

LEVEL = 0.95  # of intervals


@dataclass(frozen=True)
class Ratio:
    """How a contender compares with the reference.

    Attributes:
        median: Of the rounds' ratios.
        low: End of an interval that holds the median of all such rounds in 95 of 100 cases;
            below 6 rounds, which give none, the least ratio.
        high: The other end.
    """

    median: float
    low: float
    high: float


def paired_ratio(seconds: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Median and interval of the ratios of each round.

    The interval is that of the sign test: from the k-th least to the k-th greatest ratio. It
    asks nothing of how ratios are distributed.
    """
    ratios = sorted(one / other for one, other in zip(seconds, reference, strict=True))
    rank = interval_rank(len(ratios))
    return Ratio(statistics.median(ratios), ratios[rank - 1], ratios[-rank])


def interval_rank(number: int) -> int:
    """The k for which k-th least and k-th greatest of so many values enclose the median.

    The largest that leaves at most 1 - LEVEL outside; 1 where none does.
    """
    outside, rank = 0.0, 0
    while rank < number / 2:
        outside += 2 * comb(number, rank) / 2**number
        if outside > 1 - LEVEL:
            break
        rank += 1
    return max(rank, 1)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile; of a single value, that value."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method='inclusive')
    return first, third


def stage_shares(profiles: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of each stage of the time of a step: medians over profiled steps, scaled to sum 1."""
    names = dict.fromkeys(name for profile in profiles for name in profile['seconds'])
    medians = {name: statistics.median(profile['seconds'].get(name, 0.0) for profile in profiles)
               for name in names}
    total = sum(medians.values())
    return {name: value / total for name, value in medians.items()}


def summarise(measured: Mapping[str, Any], *, references: Mapping[str, str],
              images: int, peaks: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Numbers of each contender from the raw timings of one kind of step.

    Args:
        measured: What ``detector_rounds.measure_steps`` returns.
        references: The contender that each is compared with.
        images: Of one step.
        peaks: FLOP/s of a large matrix product, by contender.
    """
    rows = {}
    for name, seconds in measured['seconds'].items():
        median = statistics.median(seconds)
        first, third = quartiles(seconds)
        ratio = paired_ratio(seconds, measured['seconds'][references[name]])
        flops = measured['flops'][name]
        profiles = measured['stages'][name]
        rows[name] = {
            'seconds': median, 'first_quartile': first, 'third_quartile': third,
            'images_per_second': images / median,
            'ratio': ratio.median, 'ratio_low': ratio.low, 'ratio_high': ratio.high,
            'peak_mb': measured['peak_mb'][name],
            'gflops': flops / 1e9, 'utilisation': flops / median / peaks[name],
            'shares': stage_shares(profiles) if profiles else {}}
        if profiles and 'rois' in profiles[0]:
            for key in ('rois', 'positive_rois'):
                rows[name][key] = statistics.mean(profile[key] for profile in profiles) / images
    return rows


def steps_table(rows: Mapping[str, Mapping[str, Any]], *, reference: str) -> Table:
    """A line for each contender: time, ratio, memory, work."""
    columns = (
        Column('name', 'config', left=True),
        Column('seconds', 'ms', '.1f'), Column('spread', 'IQR', '.1f'),
        Column('ratio', f'x {reference}', '.3f'), Column('interval', '95 %', left=True),
        Column('images_per_second', 'images/s', '.2f'), Column('peak_mb', 'peak MB', '.0f'),
        Column('gflops', 'GFLOP', '.1f'), Column('utilisation', 'of peak', '.0%'))
    return Table(columns, tuple(
        (name, 1000 * row['seconds'], 1000 * (row['third_quartile'] - row['first_quartile']),
         row['ratio'], f'{row["ratio_low"]:.3f} to {row["ratio_high"]:.3f}',
         row['images_per_second'], row['peak_mb'], row['gflops'], row['utilisation'])
        for name, row in rows.items()))


def shares_table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line for each stage, a column of shares for each contender."""
    stages = dict.fromkeys(stage for row in rows.values() for stage in row['shares'])
    stages = [*(stage for stage in stages if stage != 'other'), 'other']
    columns = (Column('stage', 'stage', left=True),
               *(Column(name, name, '.1%') for name in rows))
    return Table(columns, tuple(
        (stage, *(row['shares'].get(stage) for row in rows.values())) for stage in stages))
