"""Train for long and watch what a run holds on to: python -m benchmarks.reliability.long_run

A small detector is trained on drawn garments through tools/train.py, with validations, checkpoints
and loader workers. Every few iterations the script records what the main process has allocated and
not freed, the memory that the system reports (of the main process, and of all), open files, threads
and child processes. After a warm-up none of them may grow: for memory the interval of the slope has
to lie below a limit, for the others no later count may exceed all earlier ones. Nothing may be left
at the end.

The allocator is told to return at once what is freed: else its cache changes by tens of MB at each
validation, which hides small leaks.

Prints a table and the verdict; the exit status is 1 if something grows or is left.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from tqdm import tqdm

from benchmarks.common.arguments import make_parser, positive
from benchmarks.common.records import write_figures
from benchmarks.reliability.small_training import CONFIGS, MODEL, REPOSITORY, draw_data, environment
from benchmarks.reliability.trend import NONE, trend
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.errors import ConfigError

BASE = CONFIGS / 'wgroup_r18_fpn_synthetic.py'
WARM_UP = 0.25  # of the iterations: caches fill, the allocator finds its size
WORKERS = 2  # of the loader
SHARED_MEMORY = Path('/dev/shm')
HEAP = 'heap.csv'
CONFIG = """
_base_ = [{base!r}]
custom_imports = dict(
    imports=[*_base_.custom_imports.imports, 'benchmarks.reliability.heap_probe'],
    allow_failed_imports=False)
default_hooks = dict(
    heap=dict(type='HeapProbeHook', out={heap!r}, interval={every}),
    checkpoint=dict(interval={interval}, max_keep_ckpts=2),
    logger=dict(interval={every}))
train_cfg = dict(max_iters={iterations}, val_interval={interval})
train_dataloader = dict(batch_size=2, num_workers={workers}, persistent_workers=True)
val_dataloader = dict(num_workers=1, persistent_workers=False)
"""
_ALLOCATOR = {
    'MALLOC_ARENA_MAX': '1',
    'MALLOC_TRIM_THRESHOLD_': '65536',
    'MALLOC_MMAP_THRESHOLD_': '65536',
}  # of glibc
_ITERATION = re.compile(r'Iter\(train\) +\[ *(\d+)/\d+\]')


@dataclass(frozen=True)
class Sample:
    """What a run holds at an iteration."""

    iteration: int  # of the training
    heap_mb: float  # what the main process has allocated and not freed, in 10^6 bytes
    blocks: float  # small objects of Python in the main process, in thousands
    # Resident memory (RSS) of the main process, in 10^6 bytes. Its memory alone (USS) would grow by
    # what it stops sharing with forked workers, which is not new memory.
    main_mb: float
    # of all processes, what they share counted once; without libraries and other mapped files,
    # whose share depends on what else runs on the machine
    all_mb: float
    files: int  # open files of all
    threads: int  # of the main process
    children: int  # processes that it started


# Heading, and the largest slope in 1,000 iterations that does not count as growth. MMEngine keeps
# each logged value, 0.2 MB; what the system reports changes with what allocators keep, and with
# pages that forked workers copy.
MEMORY = {
    'heap_mb': ('allocated, MB', 0.5),
    'blocks': ('Python blocks, 1,000', 2.0),
    'main_mb': ('main process, MB', 5.0),
    'all_mb': ('all processes, MB', 5.0),
}
COUNTS = {'files': 'open files', 'threads': 'threads', 'children': 'child processes'}


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--iterations', type=positive, default=2000, help='of the training')
    parser.add_argument('--every', type=positive, default=10, metavar='N', help='between samples')
    parser.add_argument('--out', type=Path, metavar='FILE', help='JSON file for the samples')
    return parser.parse_args(arguments)


def prepare(folder: Path, args: argparse.Namespace) -> list[str]:
    """Draw data and write the config; the call of train.py on them."""
    draw_data(folder, num_train=32, num_val=8)
    text = CONFIG.format(
        base=str(BASE),
        heap=str(folder / HEAP),
        every=args.every,
        iterations=args.iterations,
        interval=max(args.iterations // 10, 1),
        workers=WORKERS,
    )
    (folder / 'long_run.py').write_text(text + MODEL)
    return [
        sys.executable, '-u', str(REPOSITORY / 'tools' / 'train.py'), str(folder / 'long_run.py'),
        '--seed', '0', '--work-dir', str(folder / 'run'),
        '--cfg-options', f'data_root={folder / "data"}']  # fmt: skip


def last_probe(heap: Path) -> tuple[float, float]:
    """MB in use and thousands of blocks, as last recorded."""
    lines = heap.read_text().splitlines() if heap.exists() else []
    if not lines:
        return math.nan, math.nan
    mb, blocks = lines[-1].split(',')
    return float(mb), int(blocks) / 1000


def own_mb(pid: int) -> float:
    """Anonymous and shared memory of a process; what others hold too counts in proportion."""
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    own = [line.split()[1] for line in lines if line.startswith(('Pss_Anon:', 'Pss_Shmem:'))]
    return sum(map(int, own)) * 1024 / 1e6


def watch(
    process: subprocess.Popen, heap: Path, children: set[int], log: list[str]
) -> Iterator[Sample]:
    """A sample at each iteration that the run prints; `heap` is the file of its probe.

    The processes that it started are added to `children`, the lines that it prints to `log`.
    """
    main = psutil.Process(process.pid)
    for line in process.stdout:
        log.append(line)
        if found := _ITERATION.search(line):
            with contextlib.suppress(psutil.NoSuchProcess, OSError):  # a worker that just ended
                workers = main.children(recursive=True)
                children.update(worker.pid for worker in workers)
                yield Sample(
                    int(found[1]),
                    *last_probe(heap),
                    main.memory_info().rss / 1e6,
                    sum(own_mb(one.pid) for one in (main, *workers)),
                    sum(one.num_fds() for one in (main, *workers)),
                    main.num_threads(),
                    len(workers),
                )


def run(folder: Path, args: argparse.Namespace) -> tuple[list[Sample], list[str]]:
    """Train; the samples, and what is left of the run, one line each.

    Raises:
        ConfigError: The run failed.
    """
    samples: list[Sample] = []
    children: set[int] = set()
    log: list[str] = []
    shared = _shared_memory()
    with (
        subprocess.Popen(
            prepare(folder, args),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_ALLOCATOR | environment(),
        ) as process,
        contextlib.ExitStack() as stack,
        tqdm(total=args.iterations, unit='iteration') as bar,
    ):
        stack.callback(process.kill)
        for sample in watch(process, folder / HEAP, children, log):
            samples.append(sample)
            bar.update(sample.iteration - bar.n)
        if process.wait():
            raise ConfigError(f'the run failed: {log[-1].strip() if log else "without a message"}')
    own = tuple(f'torch_{pid}_' for pid in (process.pid, *children))
    left = [f'process {pid}' for pid in sorted(children) if psutil.pid_exists(pid)]
    left += [
        f'{SHARED_MEMORY}/{name}' for name in _shared_memory() - shared if name.startswith(own)
    ]
    left += [f'unfinished file {path.name}' for path in (folder / 'run').rglob('*.tmp')]
    return samples, left


def _shared_memory() -> set[str]:
    return set(os.listdir(SHARED_MEMORY)) if SHARED_MEMORY.is_dir() else set()


def judge(samples: Sequence[Sample]) -> Iterator[tuple[str, bool]]:
    """Lines of the table, and whether each is as it should be."""
    start = WARM_UP * samples[-1].iteration
    warm = [sample for sample in samples if sample.iteration > start]
    steps = [sample.iteration for sample in warm]
    for key, (title, limit) in MEMORY.items():
        values = [getattr(sample, key) for sample in warm]
        found = trend(steps, values)
        verdict = found.verdict(limit)
        line = (
            f'{title:<22}{values[0]:>9.1f}{values[-1]:>9.1f}{max(values):>9.1f}   '
            f'{found.slope:+.2f} ({found.low:+.2f} to {found.high:+.2f}) in 1,000 iterations; '
            f'growth above {limit:g}: {verdict}'
        )
        yield line, verdict == NONE
    half = len(warm) // 2
    for key, title in COUNTS.items():
        values = [getattr(sample, key) for sample in warm]
        grown = max(values[half:]) > max(values[:half])
        more = 'more' if grown else 'none more'
        line = (
            f'{title:<22}{values[0]:>9}{values[-1]:>9}{max(values):>9}   {more} in the second half'
        )
        yield line, not grown


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix='long_run') as folder:
        samples, left = run(Path(folder), args)
    write_figures(args.out, samples=[dataclasses.asdict(sample) for sample in samples])
    print(
        f'{len(samples)} samples of {samples[-1].iteration:,} iterations; from '
        f'{WARM_UP:.0%} on:\n{"":<22}{"first":>9}{"last":>9}{"most":>9}'
    )
    passed = not left
    for line, is_good in judge(samples):
        print(line)
        passed &= is_good
    print('left at the end: ' + ('; '.join(left) or 'nothing'))
    print('passed' if passed else 'FAILED')
    sys.exit(not passed)


if __name__ == '__main__':
    run_tool(main)
