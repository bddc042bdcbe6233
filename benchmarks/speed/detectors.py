"""What detectors cost, compared with the stock Faster R-CNN of the installed mmdet:

python -m benchmarks.speed.detectors CONFIG... [--against CONFIG] [--what A,B] [--out FILE]

Each config is built in a separate process, as training builds it, with weights drawn from one
seed. In every round each does the same step on the same images, one after the other, in an order
drawn again each round; ratios are taken within rounds. docs/benchmarks.md explains the tables,
which are Markdown.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common.arguments import count, list_of, make_parser, positive, size
from benchmarks.common.records import describe_run
from benchmarks.speed.detector import contenders, processes
from benchmarks.speed.detector.tables import tables
from mmdet_multigrain.launch import add_cfg_options, run_tool
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, write_whole

WHAT = ('training', 'inference', 'data', 'evaluation')
PRECISIONS = tuple(contenders.PRECISIONS)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('configs', nargs='+', metavar='CONFIG', help='files; mmdet::... is from installed mmdet')
    add('--against', default='stock', metavar='CONFIG', help='reference; stock: with the same body')
    add('--what', type=list_of(WHAT), default=WHAT[:2], help=f'of {", ".join(WHAT)}')
    add('--repeats', type=positive, default=20, help='rounds')
    add('--warmup', type=count, default=2, help='rounds before them that do not count')
    add('--steps', type=positive, default=1, help='steps of one timing; more for fast ones')
    add('--profiled', type=count, default=3,
        help='steps whose stages are timed; 0: no FLOPs either')  # fmt: skip
    add('--images', choices=('dataset', 'synthetic'), help="default: the config's if they exist")
    add('--scale', type=size, default=(1333, 800), metavar='WxH', help='of drawn images')
    add('--batch', type=positive, help='images of a training step (default: the first config says)')
    add('--eval-images', type=positive, default=1000, metavar='N', help='of the evaluation')
    add('--device', choices=('auto', 'cpu', 'cuda'), default='auto', help='auto: a GPU if possible')
    add('--precision', type=list_of(PRECISIONS), default=('config',), help=', '.join(PRECISIONS))
    add('--speed', type=lambda text: text.split(','), default=(), metavar='A,B+C',
        help='each config also with these options for faster training (docs/speed.md)')  # fmt: skip
    add('--coarse-labels', action='store_true',
        help='multi-grained heads also with the superclass only of half of the boxes')  # fmt: skip
    add_cfg_options(parser)
    add('--out', type=Path, metavar='FILE', help='JSON file for everything measured')
    return parser.parse_args()


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure what the command line asks for; the record."""
    check_device(args.device)
    processes.start_server()  # imports while configs are read here
    compared, shared = contenders.load(
        args.configs,
        against=args.against,
        precisions=args.precision,
        speed=args.speed,
        coarse_labels=args.coarse_labels,
        cfg_options=args.cfg_options,
    )
    data = contenders.has_data(shared)
    if not data and (args.images == 'dataset' or 'data' in args.what):
        raise ConfigError(
            f'{shared.filename}: its training annotations do not exist; convert them, or name '
            'their folder by --cfg-options data_root=...'
        )
    from benchmarks.speed.detector.worker import Plan

    plan = Plan(
        images=args.images or ('dataset' if data else 'synthetic'),
        scale=args.scale,
        batch=args.batch or shared.train_dataloader.batch_size,
        steps=args.steps,
        eval_images=args.eval_images,
    )
    configs = {one.name: one.describe() for one in compared}
    run, measured = describe_run(), {}
    with (
        tempfile.TemporaryDirectory(prefix='benchmark_') as folder,
        processes.workers(compared, shared, plan, folder) as found,
    ):
        for name, config in configs.items():
            config.update(found[name].description)
        numbers = dict(repeats=args.repeats, warmup=args.warmup, profiled=args.profiled)
        for what in args.what:
            measured[what] = processes.measure(found, what, **numbers)
        processes.add_peaks(configs, found)
    images = {what: plan.images_of(what) for what in measured}
    plan = dataclasses.asdict(plan)
    return dict(run=run, plan=plan, configs=configs, images=images, measured=measured)


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
    record = measure(args)
    if args.out:
        write_whole(args.out, dump_json(record))
    print(tables(record))


if __name__ == '__main__':
    run_tool(main)
