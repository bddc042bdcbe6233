"""How fast the converters are, compared with only reading their input:

python -m benchmarks.speed.converters deepfashion2 --files 5000 20000 --out speed.json

The benchmark writes its own input of the release's shape, then times baseline and conversion in
rounds, each run in a fresh process, and prints medians, ratios and peak memory.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import tempfile
from pathlib import Path

from benchmarks.common.arguments import make_parser, positive
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.parallel import default_workers

# Modules of converter/, imported in this process only: the processes that it starts import this
# file, too, and must load no more than they need. Each has `add_arguments` and `run`.
RELEASES = ('deepfashion2', 'openimages')


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    subparsers = parser.add_subparsers(dest='release', required=True)
    for name in RELEASES:
        module = importlib.import_module(f'benchmarks.speed.converter.{name}')
        part = subparsers.add_parser(name, help=module.__doc__.splitlines()[0])
        part.add_argument('--dir', type=Path, help='keep the input here and use it again')
        part.add_argument('--repeats', type=positive, default=5, help='rounds')
        part.add_argument(
            '--workers', type=positive, default=default_workers(), help='of the baseline, too'
        )
        part.add_argument('--out', type=Path, help='JSON file for the figures')
        module.add_arguments(part)
        part.set_defaults(run=module.run)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with contextlib.ExitStack() as stack:
        folder = args.dir or stack.enter_context(tempfile.TemporaryDirectory(prefix='benchmark_'))
        results = args.run(args, Path(folder))
    from benchmarks.common.records import write_figures

    write_figures(
        args.out,
        release=args.release,
        workers=args.workers,
        repeats=args.repeats,
        results=results,
    )


if __name__ == '__main__':
    run_tool(main)
