"""Kill training runs at random moments, resume them, and compare the results bit for bit:

python -m benchmarks.reliability.kill_training --kills 20 --workers 2

A small detector is trained on drawn garments (random sizes and flips, two epochs, validations)
through tools/train.py, once without interruption. Then rounds follow: the same run, killed
(SIGKILL, with all its workers) one to three times at random moments of its training, each time
started again with --resume. At the end all that the last checkpoint holds (weights, optimizer,
schedules, losses so far), the logged losses and the order, size and flip of all images must be
those of the first run.

--processes 2 trains with two processes and kills either all of them or one: then the other one has
to end within 60 seconds with a non-zero status, and the lost one has to be named.

Prints a line for each round and the counts; the exit status is 1 if a round failed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tqdm import tqdm

from benchmarks.common.arguments import make_parser, positive
from benchmarks.reliability.small_training import CONFIGS, MODEL, REPOSITORY, draw_data, environment
from mmdet_multigrain.launch import quiet_imports, run_tool
from mmdet_multigrain.utils.errors import ConfigError

IMAGES, BATCH, ITERATIONS = 24, 2, 24
SECONDS_TO_END = 60  # for the remaining processes when one is lost
SECONDS_PER_RUN = 1800
SAMPLES = 'samples_{}.txt'
RECORDER = '''
"""Note which images each iteration was trained on, and how they were changed."""

import os
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class SamplesHook(Hook):
    priority = 'VERY_HIGH'

    def before_train(self, runner):
        Path(runner.work_dir, f'pid_{get_rank()}').write_text(str(os.getpid()))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(Path(runner.work_dir, f'samples_{get_rank()}.txt'), 'a') as notes:
            for place, sample in enumerate(data_batch['data_samples']):
                print(runner.iter, place, sample.img_id, sample.img_shape, sample.flip, file=notes)
'''
CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=_base_.custom_imports.imports + ['samples_hook'])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomChoiceResize', scales=[(96, 64), (120, 80), (144, 96)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size={batch}, num_workers={workers}, persistent_workers={workers} > 0,
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
{loop}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=6),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=6, end={iterations}),
]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=3))
log_processor = dict(window_size=5)
custom_hooks = _base_.custom_hooks + [dict(type='EMAHook'), dict(type='SamplesHook')]
"""
BY_ITERATION = 'train_cfg = dict(max_iters={iterations}, val_interval=8)'
BY_EPOCH = """
train_cfg = dict(_delete_=True, type='ExactEpochBasedTrainLoop', max_epochs=2)
train_dataloader.update(sampler=dict(type='ExactSampler'))
"""


@dataclass
class Trainer:
    """How runs are started, watched and killed."""

    folder: Path  # where data, config and work folders are
    processes: int  # processes of a run
    seconds: float = 0.0  # how long the training of a whole run takes, without its start
    kills: int = 0  # runs killed so far
    # seconds until the other process ended, each time that one of two was killed
    survivors: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # what was wrong, one line each

    @contextlib.contextmanager
    def started(self, work_dir: Path) -> Iterator[subprocess.Popen]:
        """A started run; whatever is left of it after the block is killed."""
        several = self.processes > 1
        tool = ['dist_launch.py', 'train.py'] if several else ['train.py']
        command = [
            sys.executable, str(REPOSITORY / 'tools' / tool[0]), *tool[1:],
            str(self.folder / 'config.py'), *([str(self.processes)] if several else []),
            '--work-dir', str(work_dir), '--seed', '5', '--resume',
            '--cfg-options', f'data_root={self.folder / "data"}',
        ]  # fmt: skip
        variables = environment(self.folder, OMP_NUM_THREADS='1')
        work_dir.mkdir(exist_ok=True)
        with open(work_dir / 'screen.txt', 'ab') as screen:
            process = subprocess.Popen(
                command, stdout=screen, stderr=screen, env=variables, start_new_session=True
            )
        try:
            yield process
        finally:
            kill_all(process.pid)
            process.wait()

    def finish(self, work_dir: Path) -> None:
        """Start a run and wait for its end."""
        with self.started(work_dir) as process:
            status = process.wait(timeout=SECONDS_PER_RUN)
        if status != 0:
            last = screen_of(work_dir).rstrip().rpartition('\n')[2]
            raise ConfigError(f'a run that was not killed ended with status {status}: {last}')

    def interrupt(self, work_dir: Path, chance: random.Random) -> None:
        """Start a run and kill it at a random moment of one of the iterations that are left."""
        before = len(shown_iterations(work_dir))
        target = None
        with self.started(work_dir) as process:
            while process.poll() is None:
                shown = shown_iterations(work_dir)[before:]
                if shown and target is None:
                    target = chance.randint(shown[0], ITERATIONS)
                if shown and shown[-1] >= target:
                    break
                time.sleep(0.01)
            try:
                process.wait(timeout=chance.random() * 2 * self.seconds / ITERATIONS)
                return  # it had already ended
            except subprocess.TimeoutExpired:
                self.kills += 1
            if self.processes > 1 and chance.random() < 0.5:
                self._kill_one(process, work_dir, chance.randrange(self.processes))

    def _kill_one(self, process: subprocess.Popen, work_dir: Path, rank: int) -> None:
        """Kill one process of a run; see how the others end."""
        pids = [int((work_dir / f'pid_{number}').read_text()) for number in range(self.processes)]
        start = time.monotonic()
        os.kill(pids[rank], signal.SIGKILL)
        left = [pid for number, pid in enumerate(pids) if number != rank]
        while any(map(is_running, left)) or process.poll() is None:
            if time.monotonic() > start + SECONDS_TO_END:
                self.problems.append(f'the others still ran {SECONDS_TO_END} s after a kill')
                return
            time.sleep(0.05)
        self.survivors.append(time.monotonic() - start)
        if process.returncode == 0:
            self.problems.append('status 0 although a process was killed')
        if f'process {rank} ' not in screen_of(work_dir).rpartition('Iter(train)')[2]:
            self.problems.append(f'process {rank} was killed but is not named')


def screen_of(work_dir: Path) -> str:
    """What the runs in a folder have shown so far."""
    path = work_dir / 'screen.txt'
    return path.read_text(errors='replace') if path.is_file() else ''


def shown_iterations(work_dir: Path) -> list[int]:
    """The iterations that the runs in a folder have finished, in the order of their lines."""
    return [int(number) for number in re.findall(r'Iter\(train\) +\[ *(\d+)/', screen_of(work_dir))]


def kill_all(pid: int) -> None:
    """SIGKILL to a process and all below it, at once."""
    with contextlib.suppress(psutil.NoSuchProcess):
        above = psutil.Process(pid)
        for process in [above, *above.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def is_running(pid: int) -> bool:
    """Whether a process runs, and is not a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def last_notes(work_dir: Path, rank: int) -> dict[tuple[str, str], str]:
    """Image, size and flip by iteration and place in the batch, as recorded last."""
    found = {}
    for line in (work_dir / SAMPLES.format(rank)).read_text().splitlines():
        parts = line.split(' ', 2)
        if line.endswith(('True', 'False')):  # else it was being written when the run was killed
            found[parts[0], parts[1]] = parts[2]
    return found


def compare(work_dir: Path, reference: Path, processes: int) -> list[str]:
    """In what a run differs from the one that was not interrupted."""
    with quiet_imports():
        from benchmarks.common.run_equality import differences, log_entries
        from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

    paths = [path / f'iter_{ITERATIONS}.pth' for path in (reference, work_dir)]
    found = list(differences(*(read_checkpoint(str(path)) for path in paths)))
    (expected, _), (entries, own) = log_entries(reference), log_entries(work_dir)
    found += [f'log {place}' for place in [*own, *differences(expected, entries)]]
    for rank in range(processes):
        notes = [last_notes(path, rank) for path in (reference, work_dir)]
        if notes[0] != notes[1] or len(notes[0]) != ITERATIONS * BATCH // processes:
            found.append(f'samples of process {rank}')
    return found


def prepare(folder: Path, args: argparse.Namespace) -> None:
    """Draw the garments and write the config."""
    draw_data(folder, num_train=IMAGES, num_val=6)
    (folder / 'samples_hook.py').write_text(RECORDER)
    head = 'baseline' if args.epochs else 'wgroup'
    config = CONFIG.format(
        base=str(CONFIGS / f'{head}_r18_fpn_synthetic.py'),
        batch=BATCH // args.processes,
        workers=args.workers,
        iterations=ITERATIONS,
        loop=(BY_EPOCH if args.epochs else BY_ITERATION).format(iterations=ITERATIONS),
    )
    (folder / 'config.py').write_text(config + MODEL)


def run_rounds(trainer: Trainer, args: argparse.Namespace) -> int:
    """Kill until that many kills are done; the number of rounds that failed."""
    reference = trainer.folder / 'reference'
    trainer.finish(reference)
    times = re.findall(r'^[\d/]+ (\d+):(\d+):(\d+) .*Iter', screen_of(reference), re.MULTILINE)
    first, last = (int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in (times[0], times[-1]))
    trainer.seconds = (last - first) % 86400 + 1.0
    print(f'uninterrupted: {trainer.seconds:.0f} s of training')
    chance = random.Random(args.seed)
    failed = 0
    with tqdm(total=args.kills, unit='kill') as bar:
        for number in itertools.count(1):
            if trainer.kills >= args.kills:
                return failed
            work_dir = trainer.folder / f'round_{number}'
            before = trainer.kills
            for _ in range(min(chance.randint(1, 3), args.kills - trainer.kills)):
                trainer.interrupt(work_dir, chance)
            trainer.finish(work_dir)
            found = [*compare(work_dir, reference, args.processes), *trainer.problems]
            trainer.problems.clear()
            failed += bool(found)
            kills = trainer.kills - before
            tqdm.write(f'round {number}: {kills} kills, {"; ".join(found[:3]) or "equal"}')
            bar.update(kills)
            shutil.rmtree(work_dir)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('--kills', type=positive, default=20, help='kills in all')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--workers', type=int, choices=[0, 1, 2], default=0, help='of the loader')
    parser.add_argument('--processes', type=int, choices=[1, 2], default=1, help='of the training')
    parser.add_argument('--epochs', action='store_true', help='train by epoch, with the flat head')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        trainer = Trainer(folder=Path(name), processes=args.processes)
        prepare(trainer.folder, args)
        failed = run_rounds(trainer, args)
    print(f'{trainer.kills} kills, {failed} rounds that differed')
    if times := trainer.survivors:
        print(
            f'{len(times)} times one of two processes was killed; the other ended within '
            f'{max(times):.1f} s'
        )
    sys.exit(bool(failed))


if __name__ == '__main__':
    run_tool(main)
