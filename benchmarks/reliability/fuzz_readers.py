"""Give every reader thousands of broken files: python -m benchmarks.reliability.fuzz_readers [READER]

A file is drawn whole, then damaged (fuzzing/mutations.py); the reader does with it what a command
line does. Counted is what was accepted, what was refused with one line, and what failed: another
error, a hang, memory without bound, a file left behind. Of each kind of failure the smallest files
are kept. Exit status 1 if there was one.

--giants gives readers few, but endless files in place of many: lines of 1 GB, values nested 10,000
deep, a YAML file of a billion aliases, a million columns, compressed zeros.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.reliability.fuzzing.harness import Tally, fuzz
from benchmarks.reliability.fuzzing.oversized import GIANTS, run_giant
from benchmarks.reliability.fuzzing.readers import READERS
from mmdet_multigrain.launch import run_tool

STEP = 20  # cases between two reports of a process


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Fuzz the readers of data files',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='\n'.join(f'  {name:<25}{reader.what}' for name, reader in READERS.items()),
    )
    parser.add_argument('readers', nargs='*', metavar='READER', help='default: all of them')
    parser.add_argument(
        '--cases',
        type=int,
        default=10_000,
        metavar='N',
        help='of each reader (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the files')
    parser.add_argument(
        '--keep',
        type=Path,
        default=Path('work_dirs/fuzzing'),
        metavar='DIR',
        help='folder for files that made a reader fail (default: %(default)s)',
    )
    parser.add_argument('--giants', action='store_true', help='endless files in place of many')
    parser.add_argument(
        '--size-mb',
        type=int,
        default=1000,
        metavar='MB',
        help='of a giant line (default: %(default)s)',
    )
    parser.add_argument('--child', help=argparse.SUPPRESS)
    args = parser.parse_args()
    known = GIANTS if args.giants else READERS
    unknown = [name for name in args.readers if name not in known]
    if unknown:
        parser.error(f'no reader {unknown[0]!r}; there are {", ".join(known)}')
    return args


def child(args: argparse.Namespace) -> None:
    """Fuzz one reader, telling the parent of it in lines of JSON."""
    real_out, sys.stdout = sys.stdout, sys.stderr

    def tell(tally: Tally) -> None:
        print(
            json.dumps(
                [
                    tally.accepted,
                    tally.refused,
                    {what: str(path) for what, path in tally.failures.items()},
                ]
            ),
            file=real_out,
            flush=True,
        )

    def each(tally: Tally) -> None:
        if tally.cases % STEP == 0:
            tell(tally)

    tell(
        fuzz(
            READERS[args.child],
            cases=args.cases,
            random_seed=args.seed,
            keep=args.keep / args.child,
            watchdog=sys.stderr,
            each=each,
        )
    )


def reports(name: str, args: argparse.Namespace, log: Any) -> Iterator[list[Any]]:
    """What a process that fuzzes one reader tells; its own process, for it may hang or crash."""
    process = subprocess.Popen(
        [
            sys.executable,
            '-m',
            'benchmarks.reliability.fuzz_readers',
            '--child',
            name,
            '--cases',
            str(args.cases),
            '--seed',
            str(args.seed),
            '--keep',
            str(args.keep),
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, 'POLARS_MAX_THREADS': '1', 'OMP_NUM_THREADS': '1'},
    )  # files are small
    last: list[Any] = [0, 0, {}]
    try:
        for line in process.stdout:
            last = json.loads(line)
            yield last
    finally:
        process.kill()
        status = process.wait()
    if status:
        log.seek(0)
        lines = log.read().strip().splitlines() or [f'exit status {status}']
        yield [*last[:2], {**last[2], f'crash or hang: {lines[-1]}': 'the next case of this seed'}]


def fuzz_all(args: argparse.Namespace) -> int:
    """Fuzz and print a line for each reader; the number of those that failed."""
    failed = 0
    print(f'{"reader":<25}{"cases":>8}{"accepted":>10}{"refused":>9}{"failures":>10}{"seconds":>9}')
    for name in args.readers or READERS:
        started = time.perf_counter()
        with (
            tempfile.TemporaryFile('w+') as log,
            tqdm(total=args.cases, desc=name, unit='case', leave=False) as bar,
        ):
            last: list[Any] = [0, 0, {}]
            for last in reports(name, args, log):
                bar.update(last[0] + last[1] - bar.n)
        accepted, refused, failures = last
        print(
            f'{name:<25}{accepted + refused:>8,}{accepted:>10,}{refused:>9,}{len(failures):>10}'
            f'{time.perf_counter() - started:>9.0f}',
            flush=True,
        )
        for what, path in failures.items():
            print(f'  {what} -> {path}', flush=True)
        failed += bool(failures)
    return failed


def giants(args: argparse.Namespace) -> int:
    """Read the giants, each in a process of its own, and print the table."""
    failed = 0
    print(f'{"giant":<31}{"file MB":>8}{"peak MB":>9}{"bound":>7}{"seconds":>9}{"bound":>7}  said')
    for name in tqdm(args.readers or GIANTS, unit='giant', leave=False):
        row = run_giant(name, size=args.size_mb * 10**6)
        failed += not row.passed
        tqdm.write(
            f'{name:<31}{row.file_mb:>8.0f}{row.peak_mb:>9.0f}{row.bound_mb:>7.0f}'
            f'{row.seconds:>9.1f}{row.bound_seconds:>7.0f}  '
            + ('' if row.passed else 'FAILED: ')
            + row.said
        )
    return failed


def main() -> None:
    args = parse_args()
    if args.child:
        child(args)
    else:
        sys.exit(bool(giants(args) if args.giants else fuzz_all(args)))


if __name__ == '__main__':
    run_tool(main)
