"""Numbers and tables of the benchmark of detectors, from its raw timings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from mmdet_multigrain.report.table import Column, Table

OTHER = 'other'  # stage of what no stage holds
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
    medians = {
        name: statistics.median(profile['seconds'].get(name, 0.0) for profile in profiles)
        for name in names
    }
    total = sum(medians.values())
    return {name: value / total for name, value in medians.items()}


def summarize(record: Mapping[str, Any], what: str) -> dict[str, dict[str, Any]]:
    """Numbers of each contender.

    Args:
        record: Of `detector_record`.
        what: One of what it measured.
    """
    measured = record['measured'][what]
    rows = {}
    for name, seconds in measured['seconds'].items():
        config = record['configs'][name]
        median = statistics.median(seconds)
        first, third = quartiles(seconds)
        ratio = paired_ratio(seconds, measured['seconds'][config['reference']])
        row = rows[name] = {
            'seconds': median,
            'spread': third - first,
            'images_per_second': record['images'][what] / median,
            'ratio': ratio.median,
            'ratio_low': ratio.low,
            'ratio_high': ratio.high,
            'peak_mb': measured['peak_mb'][name],
        }
        if 'flops' in measured:
            flops = measured['flops'][name]
            row |= {'gflops': flops / 1e9, 'utilisation': flops / median / config['matmul_flops']}
        profiles = measured.get('stages', {}).get(name)
        if profiles:
            row['shares'] = stage_shares(profiles)
        if profiles and profiles[0].get('rois'):
            for key in ('rois', 'positive_rois'):
                row[key] = (
                    statistics.mean(profile[key] for profile in profiles) / record['images'][what]
                )
    return rows


def main_table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line for each contender: time, ratio, memory, work."""
    columns = (
        Column('name', 'config', left=True),
        Column('ms', 'ms', '.1f'),
        Column('spread', 'IQR', '.1f'),
        Column('ratio', 'ratio', '.3f'),
        Column('interval', '95 %', left=True),
        Column('images_per_second', 'images/s', '.2f'),
        Column('peak_mb', 'peak MB', '.0f'),
        Column('gflops', 'GFLOP', '.1f'),
        Column('utilisation', 'of peak', '.0%'),
        Column('positive_rois', 'positive RoIs', '.1f'),
    )
    values = tuple(
        (
            name,
            1000 * row['seconds'],
            1000 * row['spread'],
            row['ratio'],
            f'{row["ratio_low"]:.3f} to {row["ratio_high"]:.3f}',
            row['images_per_second'],
            row['peak_mb'],
            *map(row.get, ('gflops', 'utilisation', 'positive_rois')),
        )
        for name, row in rows.items()
    )
    table = Table(columns, values)
    return table.select(
        [
            column.key
            for place, column in enumerate(columns)
            if any(row[place] is not None for row in values)
        ]
    )


def shares_table(rows: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """A line for each stage, for each contender its share; None without profiled steps."""
    stages = dict.fromkeys(stage for row in rows.values() for stage in row.get('shares', ()))
    if not stages:
        return None
    ordered = [*(stage for stage in stages if stage != OTHER), OTHER]
    columns = (
        Column('stage', 'share of time', left=True),
        *(Column(name, name, '.1%') for name in rows),
    )
    return Table(
        columns,
        tuple(
            (stage, *(row.get('shares', {}).get(stage) for row in rows.values()))
            for stage in ordered
        ),
    )


def tables(record: Mapping[str, Any], *, markdown: bool = False) -> str:
    """All tables of a record, as text or Markdown."""
    parts = []
    for what in record['measured']:
        rows = summarize(record, what)
        parts.append(_heading(record, what))
        parts += [
            table.markdown() if markdown else table.text()
            for table in (main_table(rows), shares_table(rows))
            if table is not None
        ]
    return '\n\n'.join(parts)


def _heading(record: Mapping[str, Any], what: str) -> str:
    plan, configs = record['plan'], record['configs']
    images = (
        'images of the data set'
        if plan['images'] == 'dataset'
        else 'drawn images of {} x {} px'.format(*plan['scale'])
    )
    task = {
        'training': f'Training step, batch of {plan["batch"]}, {images}',
        'inference': f'Inference, one image, {images}',
        'data': f'Data loading, {record["images"][what]} images',
        'evaluation': f'Evaluation of {plan["eval_images"]} images with 100 detections each',
    }[what]
    seconds = record['measured'][what]['seconds']
    references = dict.fromkeys(config['reference'] for config in configs.values())
    first = next(iter(configs.values()))
    run = record['runs'][-1]
    device = (
        f'{run["processor"]}, {first["threads"]} threads'
        if first['device'] == 'cpu'
        else first['device']
    )
    return (
        f'{task}: {len(next(iter(seconds.values())))} rounds, ratios to '
        f'{", ".join(references)}; {device}, PyTorch {run["versions"]["torch"]}'
    )
