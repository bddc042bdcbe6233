"""Train for long and watch what a run holds on to: python -m benchmarks.reliability.long_run

A small detector is trained on drawn garments through tools/train.py, with validations, checkpoints
and loader workers, 2,000 iterations by default. Every few iterations is noted what the main process
has allocated and not freed, the memory that the system sees (of the main process, and of all),
open files, threads and child processes. After a warm-up none of them may grow: of memory the
interval of the slope has to lie below a limit, of the others no later count may exceed all earlier
ones. Nothing may be left at the end.

The allocator is told to give back at once what is freed: else its own store moves by tens of MB
at each validation, which hides small leaks.

Prints a table and the verdict; the exit status is 1 if something grows or is left. --out keeps the
samples (CSV) and a figure (PNG).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import io
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from benchmarks.reliability.trend import NONE, trend
from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.converters.synthetic_deepfashion2 import SyntheticSpec, generate
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import write_whole

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'
WARM_UP = 0.25  # of the iterations: caches fill, the allocator finds its size
SHARED_MEMORY = Path('/dev/shm')
HEAP = 'heap.csv'
_CONFIG = """
_base_ = [{base!r}]
custom_imports = dict(
    imports=[*_base_.custom_imports.imports, 'benchmarks.reliability.heap_probe'],
    allow_failed_imports=False)
default_hooks = dict(heap=dict(type='HeapProbeHook', out={out!r}, interval={every}))
"""
_ALLOCATOR = {
    'MALLOC_ARENA_MAX': '1',
    'MALLOC_TRIM_THRESHOLD_': '65536',
    'MALLOC_MMAP_THRESHOLD_': '65536',
}  # of glibc
_ITERATION = re.compile(r'Iter\(train\) +\[ *(\d+)/\d+\]')
_SMALL = (
    'model.backbone.base_channels=8', 'model.neck.in_channels=[8,16,32,64]',
    'model.roi_head.bbox_head.fc_out_channels=32', 'train_dataloader.batch_size=2',
    'default_hooks.checkpoint.max_keep_ckpts=2')  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """What a run holds at an iteration.

    Attributes:
        iteration: Of the training.
        heap_mb: What the main process has allocated and not freed, in 10^6 bytes.
        blocks: Small objects of Python in the main process, in thousands.
        main_mb: Resident memory (RSS) of the main process, in 10^6 bytes. Its memory alone (USS)
            would grow by what it stops sharing with forked workers, which is no new memory.
        all_mb: Of all processes, what they share counted once; without libraries and other mapped
            files, whose share depends on what else runs on the machine.
        files: Open files of all.
        threads: Of the main process.
        children: Processes that it started.
    """

    iteration: int
    heap_mb: float
    blocks: float
    main_mb: float
    all_mb: float
    files: int
    threads: int
    children: int


# Heading, and the slope in 1,000 iterations that is none. MMEngine keeps each logged value, 0.2 MB;
# what the system sees moves with what allocators keep, and with pages that forked workers copy.
MEMORY = {
    'heap_mb': ('allocated, MB', 0.5),
    'blocks': ('Python blocks, 1,000', 2.0),
    'main_mb': ('main process, MB', 5.0),
    'all_mb': ('all processes, MB', 5.0),
}
COUNTS = {'files': 'open files', 'threads': 'threads', 'children': 'child processes'}


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Watch the memory and the files of a long run')
    parser.add_argument('--iterations', type=int, default=2000, help='default: %(default)s')
    parser.add_argument(
        '--every',
        type=int,
        default=10,
        metavar='N',
        help='iterations between samples (default: %(default)s)',
    )
    parser.add_argument('--workers', type=int, default=2, help='of the loader')
    parser.add_argument('--out', type=Path, metavar='DIR', help='for samples.csv and memory.png')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='further ones of train.py')
    return parser.parse_args(arguments)


def command(folder: Path, args: argparse.Namespace) -> list[str]:
    """The call of train.py on data that are drawn in the folder."""
    generate(folder / 'data', SyntheticSpec(num_train=32, num_val=8, width=64, height=80),
             progress=False)  # fmt: skip
    for split in ('train', 'validation'):
        convert(folder / 'data', split, progress=False)
    config = folder / 'long_run.py'
    config.write_text(_CONFIG.format(base=str(CONFIG), out=str(folder / HEAP), every=args.every))
    interval = max(args.iterations // 10, 1)
    return [
        sys.executable, '-u', str(REPOSITORY / 'tools' / 'train.py'), str(config), '--seed', '0',
        '--work-dir', str(folder / 'run'), '--cfg-options', *_SMALL,
        f'data_root={folder / "data"}', f'train_cfg.max_iters={args.iterations}',
        f'train_cfg.val_interval={interval}', f'default_hooks.checkpoint.interval={interval}',
        f'default_hooks.logger.interval={args.every}',
        f'train_dataloader.num_workers={args.workers}',
        f'train_dataloader.persistent_workers={args.workers > 0}',
        f'val_dataloader.num_workers={min(args.workers, 1)}',
        'val_dataloader.persistent_workers=False', *args.cfg_options]  # fmt: skip


def last_probe(heap: Path) -> tuple[float, float]:
    """MB in use and thousands of blocks, as last noted."""
    lines = heap.read_text().splitlines() if heap.exists() else []
    if not lines:
        return math.nan, math.nan
    _, mb, blocks = lines[-1].split(',')
    return float(mb), int(blocks) / 1000


def own_mb(pid: int) -> float:
    """Anonymous and shared memory of a process, its proportional part of what others hold too."""
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    return sum(
        int(line.split()[1]) * 1024 / 1e6
        for line in lines
        if line.startswith(('Pss_Anon:', 'Pss_Shmem:'))
    )


def watch(
    process: subprocess.Popen, heap: Path, children: set[int], log: list[str]
) -> Iterator[Sample]:
    """A sample at each iteration that is told on the screen.

    Args:
        process: The run.
        heap: Where it notes what it has allocated.
        children: The processes that it started are added.
        log: The lines of its screen are added.
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
                    sum(map(own_mb, (main.pid, *(worker.pid for worker in workers)))),
                    sum(one.num_fds() for one in (main, *workers)),
                    main.num_threads(),
                    len(workers),
                )


def run(folder: Path, args: argparse.Namespace) -> tuple[list[Sample], list[str]]:
    """Train; the samples, and what is left of the run, one line each.

    Raises:
        ValueError: The run failed.
    """
    paths = [str(REPOSITORY), os.environ.get('PYTHONPATH', '')]
    environment = {**_ALLOCATOR, **os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))}
    samples: list[Sample] = []
    children: set[int] = set()
    log: list[str] = []
    shared = set(os.listdir(SHARED_MEMORY)) if SHARED_MEMORY.is_dir() else set()
    process = subprocess.Popen(
        command(folder, args),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    try:
        with tqdm(total=args.iterations, unit='iteration') as bar:
            for sample in watch(process, folder / HEAP, children, log):
                samples.append(sample)
                bar.update(sample.iteration - bar.n)
        if process.wait():
            raise ConfigError(f'the run failed: {log[-1].strip() if log else "without a word"}')
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    left = [f'process {pid}' for pid in sorted(children) if psutil.pid_exists(pid)]
    if SHARED_MEMORY.is_dir():
        names = {f'torch_{pid}_' for pid in (process.pid, *children)}
        left += [
            f'{SHARED_MEMORY}/{name}'
            for name in set(os.listdir(SHARED_MEMORY)) - shared
            if name.startswith(tuple(names))
        ]
    left += [f'unfinished file {path.name}' for path in (folder / 'run').rglob('*.tmp')]
    return samples, left


def judge(samples: Sequence[Sample]) -> Iterator[tuple[str, bool]]:
    """Lines of the table, and whether each is as it should be."""
    start = WARM_UP * samples[-1].iteration
    warm = [sample for sample in samples if sample.iteration > start]
    steps = [sample.iteration for sample in warm]
    for key, (title, limit) in MEMORY.items():
        values = [getattr(sample, key) for sample in warm]
        found = trend(steps, values)
        verdict = found.verdict(limit)
        yield (
            (
                f'{title:<22}{values[0]:>9.1f}{values[-1]:>9.1f}{max(values):>9.1f}   '
                f'{found.slope:+.2f} ({found.low:+.2f} to {found.high:+.2f}) in 1,000 iterations; '
                f'growth above {limit:g}: {verdict}'
            ),
            verdict == NONE,
        )
    half = len(warm) // 2
    for key, title in COUNTS.items():
        values = [getattr(sample, key) for sample in warm]
        grown = max(values[half:]) > max(values[:half])
        yield (
            f'{title:<22}{values[0]:>9}{values[-1]:>9}{max(values):>9}   '
            f'{"more in the second half" if grown else "none more in the second half"}',
            not grown,
        )


def save(samples: Sequence[Sample], out: Path) -> None:
    """The samples as CSV, memory over iterations as a figure."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([field.name for field in dataclasses.fields(Sample)])
    writer.writerows(dataclasses.astuple(sample) for sample in samples)
    write_whole(out / 'samples.csv', text.getvalue().encode())

    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout='constrained')
    axes = figure.subplots()
    steps = np.array([sample.iteration for sample in samples])
    for key in ('heap_mb', 'main_mb', 'all_mb'):
        title = MEMORY[key][0].removesuffix(', MB')
        axes.plot(steps, [getattr(sample, key) for sample in samples], label=title, linewidth=1)
    axes.axvspan(0, WARM_UP * steps[-1], alpha=0.1, color='black', label='warm-up')
    axes.set(xlabel='iteration', ylabel='MB', ylim=(0, None))
    axes.legend(loc='lower right')
    image = io.BytesIO()
    figure.savefig(image, format='png', dpi=120)
    write_whole(out / 'memory.png', image.getvalue())


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix='long_run') as folder:
        samples, left = run(Path(folder), args)
    if args.out:
        save(samples, args.out)
    print(
        f'{len(samples)} samples of {samples[-1].iteration:,} iterations; from '
        f'{WARM_UP:.0%} on:\n{"":<22}{"first":>9}{"last":>9}{"most":>9}'
    )
    passed = True
    for line, is_good in judge(samples):
        print(line)
        passed &= is_good
    print('left at the end: ' + ('; '.join(left) or 'nothing'))
    print('passed' if passed and not left else 'FAILED')
    sys.exit(not passed or bool(left))


if __name__ == '__main__':
    run_tool(main)
