"""How fast training images are loaded, against mmdet's stock pipeline in the same run:

python -m benchmarks.speed.loader --photos FOLDER --annotations FILE --short-edge 400 800 --out FILE

Photos are enlarged to 1200 px on the short edge first; without --photos garments are drawn at that
size. Three pipelines load the same images in turns: mmdet's own, `fast_loading` without reduced
decoding (the same tensors), and `fast_loading`. Ratios are taken within a round. Then every photo
is loaded by each with the same random numbers: boxes and all else must be equal, images are
compared with the stock ones, and with those of mmdet's other resize back-end.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.loading import photos as loader_photos
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.files import dump_json, write_whole
from mmdet_multigrain.utils.parallel import default_workers
from mmdet_multigrain.utils.table import Column, Table
from mmdet_multigrain.version import __version__

BAR = 1.3  # times stock, at a short edge of 400 px and with all cores


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time the loading of training images against the stock pipeline'
    )
    parser.add_argument(
        '--photos', type=Path, metavar='FOLDER', help='photos to enlarge (default: draw some)'
    )
    parser.add_argument('--annotations', type=Path, metavar='FILE', help='their COCO file')
    parser.add_argument(
        '--images', type=int, default=60, help='photos at most (default: %(default)s)'
    )
    parser.add_argument(
        '--source-edge',
        type=int,
        default=1200,
        help='short edge of the photos, px (default: %(default)s)',
    )
    parser.add_argument(
        '--short-edge',
        type=int,
        nargs='+',
        default=[400, 800],
        help='short edges to load at, px (default: 400 800)',
    )
    parser.add_argument(
        '--workers', type=int, nargs='+', default=[0, 2], help='loader processes (default: 0 2)'
    )
    parser.add_argument('--batch', type=int, default=8, help='default: %(default)s')
    parser.add_argument(
        '--rounds', type=int, default=7, help='turns of each pipeline (default: %(default)s)'
    )
    parser.add_argument(
        '--batches', type=int, default=6, help='batches timed in a turn (default: %(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='JSON file for the figures')
    args = parser.parse_args()
    if (args.photos is None) != (args.annotations is None):
        parser.error('--photos and --annotations belong together')
    for name in ('images', 'source_edge', 'batch', 'rounds', 'batches'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    if min(args.workers) < 0 or min(args.short_edge) < 1:
        parser.error('--workers and --short-edge must not be negative or 0')
    return args


def measure(args: argparse.Namespace, data: loader_photos.Photos) -> tuple[list, dict]:
    """All figures, by short edge, and the versions of the libraries."""
    from benchmarks.speed.loading import (
        pipelines as loader_pipelines,  # mmdet, which nobody awaits for a wrong argument
    )

    results = []
    for edge in args.short_edge:
        datasets = {
            name: loader_pipelines.dataset(name, data, edge) for name in loader_pipelines.NAMES
        }
        results.append(
            {
                'short_edge': edge,
                'speed': [
                    {
                        'workers': workers,
                        'seconds_per_image': loader_pipelines.time_in_turns(
                            datasets,
                            workers=workers,
                            batch=args.batch,
                            rounds=args.rounds,
                            batches=args.batches,
                            seed=args.seed,
                        ),
                    }
                    for workers in args.workers
                ],
                'milliseconds': {
                    name: loader_pipelines.time_steps(datasets[name], seed=args.seed)
                    for name in ('stock', 'fast')
                },
                'equality': loader_pipelines.compare(data, edge, datasets, seed=args.seed),
            }
        )
    return results, loader_pipelines.versions()


def speed_table(results: list[dict[str, Any]]) -> Table:
    """Images/s, and times stock in the same round: median and quartiles."""
    rows = []
    for result in results:
        for run in result['speed']:
            stock = run['seconds_per_image']['stock']
            for name, seconds in run['seconds_per_image'].items():
                ratios = [one / other for one, other in zip(stock, seconds, strict=True)]
                low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
                rows.append(
                    (
                        result['short_edge'],
                        run['workers'],
                        name,
                        1 / statistics.median(seconds),
                        middle,
                        '' if name == 'stock' else f'{low:.2f}-{high:.2f}',
                    )
                )
    return Table(
        (
            Column('edge', 'short edge', 'd'),
            Column('workers', 'workers', 'd'),
            Column('pipeline', 'pipeline', left=True),
            Column('rate', 'images/s', '.0f'),
            Column('ratio', 'x stock', '.2f'),
            Column('spread', 'middle half'),
        ),
        tuple(rows),
    )


def steps_table(results: list[dict[str, Any]]) -> Table:
    """Milliseconds per image and step, in one process."""
    rows = [
        (result['short_edge'], name, step, value)
        for result in results
        for name, steps in result['milliseconds'].items()
        for step, value in steps.items()
    ]
    return Table(
        (
            Column('edge', 'short edge', 'd'),
            Column('pipeline', 'pipeline', left=True),
            Column('step', 'step', left=True),
            Column('ms', 'ms per image', '.2f'),
        ),
        tuple(rows),
    )


def quality_table(results: list[dict[str, Any]]) -> Table:
    """PSNR against the stock pipeline; where all images are equal there is none."""
    rows = []
    for result in results:
        for name, values in result['equality']['psnr'].items():
            finite = [value for value in values if value is not None]
            rows.append(
                (
                    result['short_edge'],
                    name,
                    len(values) - len(finite),
                    len(finite),
                    statistics.mean(finite) if finite else None,
                    min(finite) if finite else None,
                )
            )
    return Table(
        (
            Column('edge', 'short edge', 'd'),
            Column('pipeline', 'pipeline', left=True),
            Column('equal', 'equal images', 'd'),
            Column('other', 'others', 'd'),
            Column('mean', 'mean PSNR, dB', '.1f'),
            Column('least', 'least', '.1f'),
        ),
        tuple(rows),
    )


def show(results: list[dict[str, Any]]) -> str:
    """The tables, and how they compare with the bar."""
    lines = [
        speed_table(results).text(),
        '',
        steps_table(results).text(),
        '',
        'Against the stock pipeline (pillow: the stock one with that resize back-end):',
        quality_table(results).text(),
    ]
    for result in results:
        equality = result['equality']
        lines.append(
            f'{result["short_edge"]} px: boxes, labels, shapes and factors of '
            f'{equality["samples"]} samples are equal; {equality["nearer"]} images are '
            'nearer to stock than with its other back-end, or equal'
        )
    lines.append(f'bar: {BAR} x stock at 400 px with 2 workers on 2 cores')
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(prefix='benchmark_loader_') as folder:
        if args.photos is None:
            data = loader_photos.draw(
                Path(folder), count=args.images, edge=args.source_edge, seed=args.seed
            )
        else:
            data = loader_photos.enlarge(
                args.photos,
                args.annotations,
                Path(folder),
                count=args.images,
                edge=args.source_edge,
            )
        results, versions = measure(args, data)
    print(show(results))
    if args.out:
        write_whole(
            args.out,
            dump_json(
                {
                    'version': __version__,
                    'python': platform.python_version(),
                    'versions': versions,
                    'machine': platform.machine(),
                    'cores': default_workers(),
                    'load_average': os.getloadavg()[0],
                    'command': shlex.join(
                        ['python', '-m', 'benchmarks.speed.loader', *sys.argv[1:]]
                    ),
                    'photos': data.description,
                    'batch': args.batch,
                    'rounds': args.rounds,
                    'batches': args.batches,
                    'seed': args.seed,
                    'results': results,
                }
            ),
        )


if __name__ == '__main__':
    run_tool(main)
