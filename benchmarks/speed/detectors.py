"""What detectors cost, compared with the stock Faster R-CNN of the installed mmdet:

python -m benchmarks.speed.detectors CONFIG... [--against CONFIG] [--what A,B] [--out FILE]

Each config is built in a process of its own, as training builds it, with weights drawn from one
seed. In every round each does the same step on the same images, one after the other, in an order
drawn again each round; ratios are taken within rounds. docs/benchmarks.md explains the tables.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common.arguments import count, list_of, make_parser, positive, size
from benchmarks.speed.detector import contenders, processes
from mmdet_multigrain.launch import add_cfg_options, run_tool
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, write_whole

WHAT = ('training', 'inference', 'data', 'evaluation')
PRECISIONS = tuple(contenders.PRECISIONS)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add(
        'configs', nargs='*', metavar='CONFIG', help='files; mmdet::... is from the installed mmdet'
    )
    add('--against', default='stock', metavar='CONFIG', help='reference; stock: with the same body')
    add('--what', type=list_of(WHAT), default=WHAT[:2], help=f'of {", ".join(WHAT)}')
    add('--repeats', type=positive, default=20, help='rounds')
    add('--warmup', type=count, default=2, help='rounds before them that do not count')
    add('--steps', type=positive, default=1, help='steps of one timing; more for fast ones')
    add(
        '--profiled', type=count, default=3, help='steps whose stages are timed; 0: no FLOPs either'
    )
    add('--images', choices=('dataset', 'synthetic'), help="default: the config's if they exist")
    add('--scale', type=size, default=(1333, 800), metavar='WxH', help='of drawn images')
    add('--batch', type=positive, help='images of a training step (default: the first config says)')
    add('--loader-workers', type=count, metavar='N', help='processes (default: each config says)')
    add('--eval-images', type=positive, default=1000, metavar='N', help='of the evaluation')
    add('--device', choices=('auto', 'cpu', 'cuda'), default='auto', help='auto: a GPU if possible')
    add('--precision', type=list_of(PRECISIONS), default=('config',), help=', '.join(PRECISIONS))
    add('--speed', type=lambda text: text.split(','), default=(), metavar='A,B+C',
        help='each config also with these options for faster training (docs/speed.md)')  # fmt: skip
    add('--seed', type=int, default=0, help='of all that is drawn')
    add_cfg_options(parser)
    add('--out', type=Path, metavar='FILE', help='JSON file for everything measured')
    add('--append', action='store_true', help='add the rounds to those of the same kind in --out')
    add('--show', type=Path, metavar='FILE', help='measure nothing, print the tables of this file')
    add('--markdown', action='store_true', help='print tables as Markdown')
    args = parser.parse_args()
    if bool(args.configs) == bool(args.show):
        parser.error('name configs to measure, or a file with --show')
    if args.append and not args.out:
        parser.error('--append needs --out')
    return args


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure what the command line asks for; the record, added to that in --out if wanted."""
    check_device(args.device)
    processes.start_server()  # imports while configs are read here
    compared, shared = contenders.load(
        args.configs,
        against=args.against,
        precisions=args.precision,
        speed=args.speed,
        cfg_options=args.cfg_options,
    )
    data = contenders.has_data(shared)
    if not data and (args.images == 'dataset' or 'data' in args.what):
        raise ConfigError(
            f'{shared.filename}: its training annotations do not exist; convert them, or say with '
            '--cfg-options data_root=... where they are'
        )
    from benchmarks.speed.detector import record as records
    from benchmarks.speed.detector.worker import Plan

    plan = Plan(
        images=args.images or ('dataset' if data else 'synthetic'),
        scale=args.scale,
        batch=args.batch or shared.train_dataloader.batch_size,
        steps=args.steps,
        loader_workers=args.loader_workers,
        eval_images=args.eval_images,
        seed=args.seed,
    )
    record, before = records.begin(compared, plan), None
    if args.append and args.out.exists():
        before = records.read_record(args.out)
        records.check_same(before, record, path=args.out)
    with (
        tempfile.TemporaryDirectory(prefix='benchmark_') as folder,
        processes.workers(compared, shared, plan, folder) as found,
    ):
        for name, config in record['configs'].items():
            config.update(found[name].description)
        if before is not None:
            records.check_same(before, record, path=args.out)
        numbers = dict(repeats=args.repeats, warmup=args.warmup, profiled=args.profiled)
        for what in args.what:
            record['images'][what] = plan.images_of(what)
            record['measured'][what] = processes.measure(found, what, **numbers)
        records.add_peaks(record, found)
    return record if before is None else records.joined(before, record)


def check_device(device: str) -> None:
    """Make the workers use a device; a one-line error if it does not exist."""
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    elif device == 'cuda':
        import torch

        if not torch.cuda.is_available():
            raise ConfigError('--device cuda: PyTorch finds no GPU here')


def main() -> None:
    args = parse_args()
    from benchmarks.speed.detector.record import read_record
    from benchmarks.speed.detector.tables import tables

    record = read_record(args.show) if args.show else measure(args)
    if args.out and not args.show:
        write_whole(args.out, dump_json(record))
    print(tables(record, markdown=args.markdown))


if __name__ == '__main__':
    run_tool(main)
