"""Numbers and tables of the benchmark of detectors, from its raw timings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import iqr

from benchmarks.common.ratios import paired_ratio
from mmdet_multigrain.utils.table import Column, Table

OTHER = 'other'  # stage for time outside of all stages; last in the table
COLUMNS = (
    Column('name', 'config', left=True),
    Column('ms', 'ms', '.1f'),
    Column('spread', 'IQR', '.1f'),
    Column('ratio', 'ratio', '.3f'),
    Column('interval', '95%', left=True),
    Column('images_per_second', 'images/s', '.2f'),
    Column('peak_mb', 'peak MB', '.0f'),
    Column('gflops', 'GFLOP', '.1f'),
    Column('utilization', 'of peak', '.0%'),
    Column('positive_rois', 'positive RoIs', '.1f'),
)


def stage_shares(profiles: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of each stage of the time of a step: medians over profiled steps, scaled to sum 1."""
    names = dict.fromkeys(name for profile in profiles for name in profile['seconds'])
    medians = {
        name: statistics.median(profile['seconds'].get(name, 0.0) for profile in profiles)
        for name in names
    }
    return {name: value / sum(medians.values()) for name, value in medians.items()}


def summarize(record: Mapping[str, Any], what: str) -> dict[str, dict[str, Any]]:
    """Numbers of each contender for a kind of work in what `detectors` measured."""
    measured, images, rows = record['measured'][what], record['images'][what], {}
    for name, seconds in measured['seconds'].items():
        config = record['configs'][name]
        median = statistics.median(seconds)
        ratio = paired_ratio(seconds, measured['seconds'][config['reference']])
        row = rows[name] = {
            'name': name,
            'ms': 1000 * median,
            'spread': 1000 * iqr(seconds),
            'images_per_second': images / median,
            'ratio': ratio.median,
            'interval': f'{ratio.low:.3f} to {ratio.high:.3f}',
            'peak_mb': measured['peak_mb'][name],
        }
        if 'flops' in measured:
            flops = measured['flops'][name]
            row |= {'gflops': flops / 1e9, 'utilization': flops / median / config['matmul_flops']}
        if profiles := measured.get('stages', {}).get(name):
            row['shares'] = stage_shares(profiles)
            if positive := [one['positive_rois'] for one in profiles if one.get('rois')]:
                row['positive_rois'] = statistics.mean(positive) / images
    return rows


def main_table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line for each contender: time, ratio, memory, work."""
    known = [column.key for column in COLUMNS if any(column.key in row for row in rows.values())]
    values = tuple(tuple(row.get(column.key) for column in COLUMNS) for row in rows.values())
    return Table(COLUMNS, values).select(known)


def shares_table(rows: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """A line for each stage, for each contender its share; None without profiled steps."""
    stages = dict.fromkeys(stage for row in rows.values() for stage in row.get('shares', ()))
    if not stages:
        return None
    columns = (Column('stage', 'share of time', left=True), *(Column(r, r, '.1%') for r in rows))
    order = [*(stage for stage in stages if stage != OTHER), OTHER]
    values = [[row.get('shares', {}).get(stage) for row in rows.values()] for stage in order]
    return Table(columns, tuple((stage, *row) for stage, row in zip(order, values, strict=True)))


def tables(record: Mapping[str, Any]) -> str:
    """All tables of a record, as Markdown."""
    parts = []
    for what in record['measured']:
        rows = summarize(record, what)
        parts.append(f'**{_heading(record, what)}**')
        parts += [table.markdown() for table in (main_table(rows), shares_table(rows)) if table]
    return '\n\n'.join(parts)


def _heading(record: Mapping[str, Any], what: str) -> str:
    plan, configs, run = record['plan'], record['configs'], record['run']
    drawn = 'drawn images of {} x {} px'.format(*plan['scale'])
    images = 'images of the data set' if plan['images'] == 'dataset' else drawn
    task = {
        'training': f'Training step, batch of {plan["batch"]}, {images}',
        'inference': f'Inference, one image, {images}',
        'data': f'Data loading, {record["images"][what]} images',
        'evaluation': f'Evaluation of {plan["eval_images"]} images with 100 detections each',
    }[what]
    rounds = len(next(iter(record['measured'][what]['seconds'].values())))
    references = ', '.join(dict.fromkeys(config['reference'] for config in configs.values()))
    device = next(iter(configs.values()))
    where = f'{run["processor"]}, {device["threads"]} threads'
    where = where if device['device'] == 'cpu' else device['device']
    version = run['versions']['torch']
    return f'{task}: {rounds} rounds, ratios to {references}; {where}, PyTorch {version}'
