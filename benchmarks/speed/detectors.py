"""What detectors cost, against the stock Faster R-CNN of the installed mmdet:

python -m benchmarks.speed.detectors CONFIG... [--against CONFIG] [--what training,inference] [--out FILE]

Each config is built in a process of its own, as training builds it, with weights drawn from one
seed. In every round each does the same step on the same images, one after the other, in an order
drawn anew; ratios are taken within rounds. docs/benchmarks.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.speed.detector import configs as detector_configs
from benchmarks.speed.detector import record as detector_record
from benchmarks.speed.detector import report as detector_report
from benchmarks.speed.detector import rounds as detector_rounds
from mmdet_multigrain.launch import add_cfg_options, run_tool
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, write_whole

WHAT = ('training', 'inference', 'data', 'evaluation')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure what detectors cost, against the stock one'
    )
    parser.add_argument(
        'configs',
        nargs='*',
        metavar='CONFIG',
        help='config files; mmdet::... is one of the installed mmdet',
    )
    parser.add_argument(
        '--against',
        default=detector_configs.STOCK,
        metavar='CONFIG',
        help='what the others are compared with (default: stock, the stock '
        'Faster R-CNN with the body of the first config)',
    )
    parser.add_argument(
        '--what',
        type=_list_of(WHAT),
        default=('training', 'inference'),
        metavar='A,B',
        help=f'of {", ".join(WHAT)} (default: training,inference)',
    )
    parser.add_argument(
        '--repeats', type=_positive, default=20, help='rounds (default: %(default)s)'
    )
    parser.add_argument(
        '--warmup',
        type=_count,
        default=2,
        help='rounds before that do not count (default: %(default)s)',
    )
    parser.add_argument(
        '--steps',
        type=_positive,
        default=1,
        help='steps of one timing; more for fast ones (default: %(default)s)',
    )
    parser.add_argument(
        '--profiled',
        type=_count,
        default=3,
        help='steps of which the stages are timed; 0 counts no FLOPs either (default: %(default)s)',
    )
    parser.add_argument(
        '--images',
        choices=('dataset', 'synthetic'),
        help='those of the first config, or drawn ones (default: those of the '
        'config if its data is there)',
    )
    parser.add_argument(
        '--scale',
        type=_scale,
        default=(1333, 800),
        metavar='WxH',
        help='size of drawn images (default: 1333x800)',
    )
    parser.add_argument(
        '--batch',
        type=_positive,
        help='images of a training step (default: as the first config says)',
    )
    parser.add_argument(
        '--loader-workers',
        type=_count,
        metavar='N',
        help='processes of the data loader (default: as each config says)',
    )
    parser.add_argument(
        '--eval-images',
        type=_positive,
        default=1000,
        metavar='N',
        help='images of the evaluation (default: %(default)s)',
    )
    parser.add_argument(
        '--device',
        choices=('auto', 'cpu', 'cuda'),
        default='auto',
        help='default: a GPU if there is one',
    )
    parser.add_argument(
        '--precision',
        type=_list_of(detector_configs.PRECISIONS),
        default=('config',),
        metavar='A,B',
        help='each config, the reference too, in each of '
        f'{", ".join(detector_configs.PRECISIONS)} (default: config, as each '
        'says)',
    )
    parser.add_argument(
        '--speed',
        type=lambda text: tuple(text.split(',')),
        default=(),
        metavar='A,B+C',
        help='each config, not the reference, with these options for faster '
        'training, too (docs/speed.md)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of all that is drawn (default: 0)')
    add_cfg_options(parser)
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='JSON file for everything measured'
    )
    parser.add_argument(
        '--append',
        action='store_true',
        help='add the rounds to those that --out has of the same measurement',
    )
    parser.add_argument(
        '--show',
        type=Path,
        metavar='FILE',
        help='measure nothing, print the tables of this JSON file',
    )
    parser.add_argument('--markdown', action='store_true', help='print tables as Markdown')
    args = parser.parse_args()
    if bool(args.configs) == bool(args.show):
        parser.error('name configs to measure, or a file with --show')
    if args.append and not args.out:
        parser.error('--append needs --out')
    return args


def _list_of(choices: Collection[str]) -> Any:
    """Type of an argument: some of these, with commas between."""

    def parse(text: str) -> tuple[str, ...]:
        values = tuple(text.split(','))
        for value in values:
            if value not in choices:
                raise argparse.ArgumentTypeError(f'{value!r} is none of {", ".join(choices)}')
        return values

    return parse


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of at least 0')
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of at least 1')
    return int(text)


def _scale(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is not a size like 1333x800')
    return int(match[1]), int(match[2])


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure what the command line asks for; a record of it, added to that in --out if wanted."""
    check_device(args.device)
    detector_rounds.start_server()  # imports while configs are read here
    contenders, shared = detector_configs.load(
        args.configs,
        against=args.against,
        precisions=args.precision,
        speed=args.speed,
        cfg_options=args.cfg_options,
    )
    data = detector_configs.has_data(shared)
    if not data and (args.images == 'dataset' or 'data' in args.what):
        raise ConfigError(
            f'{shared.filename}: its training annotations are not there; convert '
            'them, or say with --cfg-options data_root=... where they are'
        )
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
    record = detector_record.begin(contenders, plan)
    before = None
    if args.append and args.out.exists():
        before = detector_record.read_record(args.out)
        detector_record.check_same(before, record, path=args.out)
    with (
        tempfile.TemporaryDirectory(prefix='benchmark_') as folder,
        detector_rounds.workers(contenders, shared, plan, folder) as found,
    ):
        detector_record.describe(record, found)
        if before is not None:
            detector_record.check_same(before, record, path=args.out)
        for what in args.what:
            record['images'][what] = plan.images_of(what)
            record['measured'][what] = detector_rounds.measure(
                found, what, repeats=args.repeats, warmup=args.warmup, profiled=args.profiled
            )
        detector_record.add_peaks(record, found)
    return record if before is None else detector_record.joined(before, record)


def check_device(device: str) -> None:
    """Make the workers use a device; a one-line ValueError if there is none."""
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    elif device == 'cuda':
        import torch

        if not torch.cuda.is_available():
            raise ConfigError('--device cuda: PyTorch finds no GPU here')


def main() -> None:
    args = parse_args()
    if args.show:
        record = detector_record.read_record(args.show)
    else:
        record = measure(args)
        if args.out:
            write_whole(args.out, dump_json(record))
    print(detector_report.tables(record, markdown=args.markdown))


if __name__ == '__main__':
    run_tool(main)
