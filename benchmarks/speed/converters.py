"""How fast the converters are, compared with only reading their input:

python -m benchmarks.speed.converters deepfashion2 --files 5000 20000 --out speed.json

The benchmark writes its own input of the release's shape, then times baseline and conversion in
rounds, each run in a fresh process, and prints medians, ratios and peak memory.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path

from benchmarks.common.arguments import make_parser, positive
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.parallel import default_workers

# Modules of converter/, imported in this process only: the processes that it starts import this
# file, too, and must load no more than they need. Each has `measure`.
RELEASES = {'deepfashion2': 'files', 'openimages': 'rows'}
SIZES = {'deepfashion2': [20_000], 'openimages': [1_000_000, 4_000_000, 14_610_229]}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    subparsers = parser.add_subparsers(dest='release', required=True)
    for name, unit in RELEASES.items():
        add = subparsers.add_parser(name).add_argument
        add(f'--{unit}', type=positive, nargs='+', default=SIZES[name], dest='sizes', metavar='N',
            help='of the input; several are measured one after the other')  # fmt: skip
        add('--repeats', type=positive, default=5, help='rounds')
        add('--workers', type=positive, default=default_workers(), help='of the baseline, too')
        add('--out', type=Path, help='JSON file for the figures')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    module = importlib.import_module(f'benchmarks.speed.converter.{args.release}')
    options = dict(workers=args.workers, repeats=args.repeats)
    results = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory(prefix='benchmark_') as folder:
            results.append(module.measure(size, Path(folder), **options))
    from benchmarks.common.records import write_figures

    write_figures(args.out, release=args.release, **options, results=results)


if __name__ == '__main__':
    run_tool(main)
