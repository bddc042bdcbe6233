"""What detectors cost, against the stock Faster R-CNN of the installed mmdet:

python tools/benchmark.py CONFIG... [--against CONFIG] [--what training,inference] [--out FILE]

Each config is built in a process of its own, as training builds it, with weights drawn from one
seed. In every round each does the same step on the same images, one after the other, in an order
drawn anew; ratios are taken within rounds. docs/benchmarks.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import detector_configs, detector_inputs, detector_report, detector_rounds

from mmdet_multigrain.files import dump_json, write_whole
from mmdet_multigrain.launch import add_cfg_options, run_tool

STEPS = ('training', 'inference')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure what detectors cost')
    parser.add_argument('configs', nargs='+', metavar='CONFIG',
                        help='config files; mmdet::... is one of the installed mmdet')
    parser.add_argument('--against', default=detector_configs.STOCK, metavar='CONFIG',
                        help='what the others are compared with (default: the stock detector '
                             'with the body of the first config)')
    parser.add_argument('--what', type=_list_of(STEPS), default=STEPS, metavar='A,B',
                        help=f'of {", ".join(STEPS)} (default: all)')
    parser.add_argument('--images', choices=('dataset', 'synthetic'),
                        help='those of the first config, or drawn ones (default: those of the '
                             'config, where they are there)')
    parser.add_argument('--scale', type=_scale, default=(1333, 800), metavar='WxH',
                        help='size of drawn images (default: 1333x800)')
    parser.add_argument('--batch', type=_positive,
                        help='images of a training step (default: as the first config says)')
    parser.add_argument('--repeats', type=_positive, default=20,
                        help='rounds (default: %(default)s)')
    parser.add_argument('--warmup', type=int, default=2,
                        help='rounds before that do not count (default: %(default)s)')
    parser.add_argument('--steps', type=_positive, default=1,
                        help='steps of one timing (default: %(default)s)')
    parser.add_argument('--profiled', type=int, default=3,
                        help='steps of which the stages are timed (default: %(default)s)')
    parser.add_argument('--precision', type=_list_of(detector_configs.PRECISIONS),
                        default=('config',), metavar='A,B',
                        help=f'of {", ".join(detector_configs.PRECISIONS)} (default: config, '
                             'what each config says)')
    parser.add_argument('--seed', type=int, default=0, help='of all that is drawn (default: 0)')
    add_cfg_options(parser)
    parser.add_argument('--out', type=Path, help='JSON file for everything measured')
    return parser.parse_args()


def _list_of(choices: tuple[str, ...]) -> Any:
    """Type of an argument: some of these, with commas between."""
    def parse(text: str) -> tuple[str, ...]:
        values = tuple(text.split(','))
        for value in values:
            if value not in choices:
                raise argparse.ArgumentTypeError(
                    f'{value!r} is none of {", ".join(choices)}')
        return values
    return parse


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of at least 1')
    return int(text)


def _scale(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is not a size like 1333x800')
    return int(match[1]), int(match[2])


def main() -> None:
    args = parse_args()
    contenders, reference = detector_configs.load(
        args.configs, against=args.against, precisions=args.precision,
        cfg_options=args.cfg_options)
    inputs = next(one.cfg for one in contenders if one.source == args.configs[0])
    images = args.images or (
        'dataset' if detector_inputs.has_data(inputs) else 'synthetic')
    batch = args.batch or inputs.train_dataloader.batch_size
    from benchmarks.detector_worker import Plan

    with tempfile.TemporaryDirectory(prefix='benchmark_') as folder:
        plan = Plan(
            inputs=inputs, num_classes=detector_configs.num_classes(inputs), images=images,
            scale=args.scale, batch=batch, batches=4, steps=args.steps, seed=args.seed,
            work_dir=folder)
        with detector_rounds.workers(contenders, plan) as found:
            peaks = {name: worker.ask('matmul_peak') for name, worker in found.items()}
            measured = {what: detector_rounds.measure_steps(
                found, what, repeats=args.repeats, warmup=args.warmup, profiled=args.profiled,
                seed=args.seed) for what in args.what}
            descriptions = {name: worker.description for name, worker in found.items()}
    references = {one.name: one.name.replace(one.name.split(' ')[0], reference)
                  for one in contenders}
    for what, values in measured.items():
        rows = detector_report.summarise(
            values, references=references, images=batch if what == 'training' else 1, peaks=peaks)
        print(f'\n{what}')
        print(detector_report.steps_table(rows, reference=reference).text())
        print()
        print(detector_report.shares_table(rows).text())
        if what == 'training':
            print({name: (row.get('rois'), row.get('positive_rois')) for name, row in rows.items()})
    if args.out:
        write_whole(args.out, dump_json({
            'descriptions': descriptions, 'peaks': peaks, 'measured': measured}))


if __name__ == '__main__':
    run_tool(main)
