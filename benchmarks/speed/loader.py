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
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.arguments import count, make_parser, positive
from benchmarks.common.records import write_figures
from benchmarks.common.tables import text_table
from benchmarks.speed.loading import photos
from mmdet_multigrain.launch import run_tool

BAR = 1.3  # times stock, at a short edge of 400 px and with all cores


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--photos', type=Path, metavar='FOLDER', help='photos to enlarge (default: draw some)')
    add('--annotations', type=Path, metavar='FILE', help='their COCO file')
    add('--images', type=positive, default=60, help='photos at most')
    add('--source-edge', type=positive, default=1200, help='short edge of the photos, px')
    add('--short-edge', type=positive, nargs='+', default=[400, 800], help='of loaded images, px')
    add('--workers', type=count, nargs='+', default=[0, 2], help='loader processes')
    add('--rounds', type=positive, default=7, help='turns of each pipeline')
    add('--batches', type=positive, default=6, help='batches timed in a turn')
    add('--out', type=Path, help='JSON file for the figures')
    args = parser.parse_args()
    if (args.photos is None) != (args.annotations is None):
        parser.error('--photos and --annotations belong together')
    return args


def measure(args: argparse.Namespace, data: photos.Photos, edge: int) -> dict[str, Any]:
    """All figures of a short edge."""
    # It imports mmdet, which takes too long for a wrong argument.
    from benchmarks.speed.loading import pipelines

    datasets = {name: pipelines.dataset(name, data, edge) for name in pipelines.NAMES}
    options = dict(repeats=args.rounds, batches=args.batches)
    speed = [
        dict(workers=n, seconds_per_image=pipelines.time_in_turns(datasets, workers=n, **options))
        for n in args.workers
    ]
    steps = {name: pipelines.time_steps(datasets[name]) for name in ('stock', 'fast')}
    equality = pipelines.compare(data, edge, datasets)
    return dict(short_edge=edge, speed=speed, milliseconds=steps, equality=equality)


def speed_table(results: list[dict[str, Any]]) -> str:
    """Images/s, and times stock in the same round: median and quartiles."""
    rows = []
    for result in results:
        for run in result['speed']:
            stock = run['seconds_per_image']['stock']
            for name, seconds in run['seconds_per_image'].items():
                low, middle, high = np.quantile(np.divide(stock, seconds), (0.25, 0.5, 0.75))
                spread = '' if name == 'stock' else f'{low:.2f}-{high:.2f}'
                rate = 1 / statistics.median(seconds)
                rows.append((result['short_edge'], run['workers'], name, rate, middle, spread))
    columns = {'short edge': 'd', 'workers': 'd', 'pipeline': '', 'images/s': '.0f'}
    return text_table(columns | {'x stock': '.2f', 'middle half': ''}, rows)


def steps_table(results: list[dict[str, Any]]) -> str:
    """Milliseconds per image and step, in one process."""
    rows = [
        (result['short_edge'], name, step, value)
        for result in results
        for name, steps in result['milliseconds'].items()
        for step, value in steps.items()
    ]
    columns = {'short edge': 'd', 'pipeline': '', 'step': '', 'ms per image': '.2f'}
    return text_table(columns, rows)


def quality_table(results: list[dict[str, Any]]) -> str:
    """PSNR against the stock pipeline; where all images are equal there is none."""
    rows = []
    for result in results:
        for name, values in result['equality']['psnr'].items():
            finite = [value for value in values if value is not None]
            psnr = (statistics.mean(finite), min(finite)) if finite else (None, None)
            equal = len(values) - len(finite)
            rows.append((result['short_edge'], name, equal, len(finite), *psnr))
    columns = {'short edge': 'd', 'pipeline': '', 'equal images': 'd', 'others': 'd'}
    return text_table(columns | {'mean PSNR, dB': '.1f', 'minimum': '.1f'}, rows)


def show(results: list[dict[str, Any]]) -> None:
    """Print the tables, and the bar."""
    print(f'{speed_table(results)}\n\n{steps_table(results)}\n')
    print('Against the stock pipeline (pillow: the stock one with that resize back-end):')
    print(quality_table(results))
    for result in results:
        equality = result['equality']
        print(
            f'{result["short_edge"]} px: boxes, labels, shapes and factors of '
            f'{equality["samples"]} samples are equal; {equality["nearer"]} images are '
            'closer to stock than with its other back-end, or equal'
        )
    print(f'bar: {BAR} x stock at 400 px with 2 workers on 2 cores')


def main() -> None:
    args = parse_args()
    size = dict(count=args.images, edge=args.source_edge)
    with tempfile.TemporaryDirectory(prefix='benchmark_loader_') as folder:
        if args.photos is None:
            data = photos.draw(Path(folder), **size)
        else:
            data = photos.enlarge(args.photos, args.annotations, Path(folder), **size)
        results = [measure(args, data, edge) for edge in args.short_edge]
    show(results)
    numbers = dict(rounds=args.rounds, batches=args.batches)
    write_figures(args.out, photos=data.description, **numbers, results=results)


if __name__ == '__main__':
    run_tool(main)
