"""How fast the converters are, against merely reading what they read:

python -m benchmarks.speed.converters deepfashion2 --files 5000 20000 --out speed.json

The benchmark writes its own input of the release's shape, then times baseline and conversion in
turn (A B A B ...), each run in a fresh process; it prints medians, ratios and peak memory. What
is run for a release is in converter/, one module each.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.files import dump_json, write_whole
from mmdet_multigrain.utils.parallel import default_workers
from mmdet_multigrain.version import __version__

# Modules of converter/, imported in this process only: those that it starts begin with this file,
# too, and are to load no more than they need. Each has a docstring, whose first line --help shows,
# add_arguments(parser), and run(args, folder) that returns the results for --out.
BENCHMARKS = ('deepfashion2', 'openimages')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time the converters against bare reading')
    subparsers = parser.add_subparsers(dest='release', required=True)
    for name in BENCHMARKS:
        module = importlib.import_module(f'benchmarks.speed.converter.{name}')
        part = subparsers.add_parser(name, help=module.__doc__.splitlines()[0])
        part.add_argument(
            '--dir',
            type=Path,
            help='folder of the input; kept and used again (default: a temporary '
            'one, removed at the end)',
        )
        part.add_argument(
            '--repeats',
            type=int,
            default=5,
            help='runs of each kind; medians are printed (default: %(default)s)',
        )
        part.add_argument(
            '--workers',
            type=int,
            default=default_workers(),
            help='processes, of the baseline too (default: all cores)',
        )
        part.add_argument('--out', type=Path, help='JSON file for the figures')
        module.add_arguments(part)
        part.set_defaults(run=module.run)
    return parser.parse_args()


@contextlib.contextmanager
def input_folder(kept: Path | None) -> Iterator[Path]:
    """The folder given, or one that is removed."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix='benchmark_converters_') as folder:
        yield Path(folder)


def main() -> None:
    args = parse_args()
    with input_folder(args.dir) as folder:
        report = args.run(args, folder)
    if args.out:
        machine = {
            'python': platform.python_version(),
            'cores': default_workers(),
            'machine': platform.machine(),
        }
        write_whole(
            args.out,
            dump_json(
                {
                    'release': args.release,
                    'version': __version__,
                    'workers': args.workers,
                    'repeats': args.repeats,
                    **machine,
                    'results': report,
                }
            ),
        )


if __name__ == '__main__':
    run_tool(main)
