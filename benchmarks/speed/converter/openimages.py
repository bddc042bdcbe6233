"""Open Images V4: one CSV file of boxes, of up to 14.6 million rows; sizes from a CSV file, too."""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.common.processes import format_table, measure_in_turn, paired_ratio, summarize
from mmdet_multigrain.converters.openimages import convert
from mmdet_multigrain.utils.errors import ConfigError

from .openimages_input import RELEASE_ROWS, label_names, write_input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument(
        '--rows',
        type=int,
        nargs='+',
        default=[1_000_000, 4_000_000, RELEASE_ROWS],
        help='rows of the box file; several numbers show how the time grows (default: %(default)s)',
    )


def filter_rows(path: Path, names: list[str], engine: str) -> int:
    """The baseline: polars reads the file and keeps the rows of the clothing classes."""
    rows = pl.scan_csv(path).filter(pl.col('LabelName').is_in(names))
    return len(rows.collect(engine=engine))


def convert_rows(path: Path, sizes: Path, out_file: Path) -> int:
    """The conversion; the number of boxes that it wrote."""
    summary = convert(path, out_file, split='train', image_sizes=sizes, force=True, progress=False)
    return summary.boxes.total()


def run(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure each number of rows; print, and return the figures."""
    os.environ['POLARS_MAX_THREADS'] = str(args.workers)  # of the processes that are measured
    results = []
    for count in args.rows:
        boxes_csv, sizes_csv, out_file = (
            folder / f'{count}_rows{suffix}' for suffix in ('.csv', '_sizes.csv', '.json')
        )
        write_input(boxes_csv, sizes_csv, count)
        names = label_names()
        runs = measure_in_turn(
            {
                'filter': functools.partial(filter_rows, boxes_csv, names, 'auto'),
                'filter, streaming': functools.partial(filter_rows, boxes_csv, names, 'streaming'),
                'convert': functools.partial(convert_rows, boxes_csv, sizes_csv, out_file),
            },
            repeats=args.repeats,
        )
        boxes = {run.value for these in runs.values() for run in these}
        if len(boxes) > 1:
            raise ConfigError(
                f'{boxes_csv}: baseline and conversion found different boxes: {boxes}'
            )
        result = {
            'rows': count,
            'csv_bytes': boxes_csv.stat().st_size,
            'boxes': boxes.pop(),
            **summarize(runs),
        }
        result['ratio'] = paired_ratio(runs, 'convert', 'filter')
        result['seconds_per_million_rows'] = result['convert']['seconds'] / count * 1e6
        results.append(result)
        print(
            f'{count:,} rows ({result["csv_bytes"] / 1e9:.2f} GB), {result["boxes"]:,} boxes, '
            f'{args.workers} threads, medians of {args.repeats} runs'
        )
        print(format_table(runs, base='filter'))
        print(f'convert: {result["seconds_per_million_rows"]:.3f} s for each million rows\n')
    return results
