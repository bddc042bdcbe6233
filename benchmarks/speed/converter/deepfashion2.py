"""DeepFashion2: one annotation file and one image for each picture."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

from benchmarks.common.processes import (
    format_table,
    measure,
    measure_in_turn,
    paired_ratio,
    summarize,
)
from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.utils.errors import ConfigError

from .deepfashion2_baseline import parse_all
from .deepfashion2_input import write_input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this benchmark takes."""
    parser.add_argument(
        '--files',
        type=int,
        nargs='+',
        default=[20_000],
        help='pictures; several numbers show how the time grows (default: %(default)s)',
    )


def convert_all(root: Path, out_file: Path, *, workers: int, force: bool) -> int:
    """The conversion; the number of boxes that it wrote."""
    summary = convert(root, 'train', out_file, workers=workers, force=force, progress=False)
    return summary.boxes.total()


def run(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure each number of files; print, and return the figures."""
    results = []
    for count in args.files:
        root, out_file = folder / f'{count}_files', folder / f'{count}_files.json'
        write_input(root, count)
        runs = measure_in_turn(
            {
                'parse': functools.partial(parse_all, root, workers=args.workers, heads=False),
                'parse + heads': functools.partial(
                    parse_all, root, workers=args.workers, heads=True
                ),
                'convert': functools.partial(
                    convert_all, root, out_file, workers=args.workers, force=True
                ),
            },
            repeats=args.repeats,
        )
        boxes = {run.value for these in runs.values() for run in these}
        if len(boxes) > 1:
            raise ConfigError(f'{root}: baseline and conversion found different boxes: {boxes}')
        again = measure(
            functools.partial(convert_all, root, out_file, workers=args.workers, force=False)
        )
        result = {'files': count, 'boxes': boxes.pop(), **summarize(runs)}
        result['files_per_second'] = count / result['convert']['seconds']
        result['ratio_to_parse'] = paired_ratio(runs, 'convert', 'parse')
        result['ratio_to_parse_and_heads'] = paired_ratio(runs, 'convert', 'parse + heads')
        result['up_to_date_seconds'] = again.seconds
        results.append(result)
        print(
            f'{count:,} files, {result["boxes"]:,} boxes, {args.workers} processes, '
            f'medians of {args.repeats} runs'
        )
        print(format_table(runs, base='parse'))
        print(
            f'convert / parse + heads: {result["ratio_to_parse_and_heads"]:.2f}; '
            f'{result["files_per_second"]:,.0f} files/s; '
            f'second run, up to date: {again.seconds:.2f} s\n'
        )
    return results
