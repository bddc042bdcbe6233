"""Give every reader thousands of broken files: python -m benchmarks.reliability.fuzz_readers [READER]

A file is drawn, then damaged (fuzzing/mutations.py); the reader does with it what a command line
does. The table counts what was accepted, what was refused with one line, and what failed: another
error, a hang, unbounded memory, a file left behind. The smallest files of each kind of failure are
kept. The exit status is 1 if there was one.

--giants gives readers a few huge files instead: lines of 1 GB, values nested 10,000 deep, a YAML
file of a billion aliases, a million columns, compressed zeros.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from benchmarks.common.arguments import make_parser, positive
from benchmarks.common.processes import Measured, measure
from benchmarks.reliability.fuzzing.harness import Tally, fuzz
from benchmarks.reliability.fuzzing.oversized import GIANTS, run_giant
from benchmarks.reliability.fuzzing.readers import READERS
from mmdet_multigrain.launch import run_tool

CRASH = 'crash or hang: the process died, see its last words above'


def parse_args() -> argparse.Namespace:
    readers = '\n'.join(f'  {name:<25}{reader.what}' for name, reader in READERS.items())
    parser = make_parser(__doc__, epilog=readers)
    add = parser.add_argument
    add('readers', nargs='*', metavar='READER', help='default: all of them')
    add('--cases', type=positive, default=10_000, metavar='N', help='of each reader')
    add('--seed', type=int, default=0, help='of the files')
    add('--keep', type=Path, default=Path('work_dirs/fuzzing'), metavar='DIR',
        help='folder for files that made a reader fail')  # fmt: skip
    add('--giants', action='store_true', help='a few huge files instead; READER names them')
    add('--size-mb', type=positive, default=1000, metavar='MB', help='of a giant line')
    args = parser.parse_args()
    known = GIANTS if args.giants else READERS
    if unknown := [name for name in args.readers if name not in known]:
        parser.error(f'no reader {unknown[0]!r}; there are {", ".join(known)}')
    return args


def fuzz_reader(name: str, *, cases: int, seed: int, keep: Path) -> Tally:
    """Fuzz a reader in this process, which a watchdog ends if it hangs."""
    with tqdm(total=cases, desc=name, unit='case', leave=False, disable=None) as bar:
        options = dict(cases=cases, random_seed=seed, keep=keep / name)
        return fuzz(READERS[name], watchdog=True, each=bar.update, **options)


def fuzz_all(args: argparse.Namespace) -> bool:
    """Fuzz each reader in a separate process and print a line for it; whether one failed."""
    os.environ.update(POLARS_MAX_THREADS='1', OMP_NUM_THREADS='1')  # files are small
    failed = False
    print(f'{"reader":<25}{"cases":>8}{"accepted":>10}{"refused":>9}{"failures":>10}{"seconds":>9}')
    for name in args.readers or READERS:
        options = dict(cases=args.cases, seed=args.seed, keep=args.keep)
        try:
            run = measure(functools.partial(fuzz_reader, name, **options))
        except BrokenProcessPool:
            run = Measured(Tally(failures={CRASH: None}), *[float('nan')] * 4)
        tally = run.value
        print(
            f'{name:<25}{tally.cases:>8,}{tally.accepted:>10,}{tally.refused:>9,}'
            f'{len(tally.failures):>10}{run.seconds:>9.0f}',
            *(f'  {what} -> {path}' for what, path in tally.failures.items()),
            sep='\n',
            flush=True,
        )
        failed |= bool(tally.failures)
    return failed


def read_giants(args: argparse.Namespace) -> bool:
    """Read the giants and print a line for each; whether one failed."""
    failed = False
    print(f'{"giant":<31}{"file MB":>8}{"peak MB":>9}{"bound":>7}{"seconds":>9}{"bound":>7}  said')
    for name in args.readers or GIANTS:
        row = run_giant(name, size=args.size_mb * 10**6)
        failed |= not row.passed
        print(
            f'{name:<31}{row.file_mb:>8.0f}{row.peak_mb:>9.0f}{row.bound_mb:>7.0f}'
            f'{row.seconds:>9.1f}{row.bound_seconds:>7.0f}  '
            f'{"" if row.passed else "FAILED: "}{row.said}',
            flush=True,
        )
    return failed


def main() -> None:
    args = parse_args()
    sys.exit(read_giants(args) if args.giants else fuzz_all(args))


if __name__ == '__main__':
    run_tool(main)
