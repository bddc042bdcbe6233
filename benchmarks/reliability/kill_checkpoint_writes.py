"""Kill training runs while they save checkpoints, and see what is left:

python -m benchmarks.reliability.kill_checkpoint_writes --rounds 50 --every-step

Each round is a separate run, killed (SIGKILL) one to three times: after a random piece of a file
that the run writes, or at a random moment. After each kill a whole checkpoint must be found that is
at most one interval of saving behind, the pointer must name a whole file, and the best checkpoint
so far must exist. Then the run resumes the last checkpoint; at its end its weights must be those of
a run that was never killed, and its folder must hold the same files and no others. The run trains
a linear layer instead of a detector: hook, files and runner are those of a real run.

--every-step adds a round for every single step by which a short run changes a file.
--hook CheckpointHook does the same with MMEngine's own hook, to see that damage would be detected.

Prints the counts; the exit status is 1 if a round failed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Process
from pathlib import Path

import setuptools  # noqa: F401 (what runs import late; once here, not in each child)
import torch._dynamo
import yapf  # noqa: F401
from tqdm import tqdm

from benchmarks.common.arguments import count, make_parser
from mmdet_multigrain.launch import one_line, quiet_imports, run_tool
from mmdet_multigrain.utils.errors import MultigrainError

with quiet_imports():
    import mmdet.models  # noqa: F401

    from benchmarks.reliability.tiny_run import METRIC, events, in_child, noted, train, weights
    from mmdet_multigrain.engine.checkpoint.find import (
        POINTER,
        check_archive,
        check_whole,
        find_last_checkpoint,
    )
    from mmdet_multigrain.utils.errors import CheckpointError

LONG, SHORT = 9, 2  # iterations of a run
PIECES = 33  # of a checkpoint
SLOW = 0.0002  # seconds per piece that is written, so that random moments meet writing

Expected = Mapping[int, torch.Tensor]  # weights of a whole run, by its iterations


@dataclass(frozen=True)
class Plan:
    """What a round tries."""

    interval: int
    max_keep: int
    scores: tuple[float, ...]
    hook: str = 'SafeCheckpointHook'
    iterations: int = LONG

    @property
    def options(self) -> dict:
        """For `tiny_run.train`."""
        saving = dict(type=self.hook, interval=self.interval, max_keep_ckpts=self.max_keep)
        return dict(saving, iterations=self.iterations, scores=self.scores)

    @property
    def last(self) -> str:
        """The checkpoint that the run ends with."""
        return f'iter_{self.iterations}.pth'

    @property
    def saves(self) -> list[int]:
        """Iterations after which it saves."""
        numbers = range(1, self.iterations + 1)
        return [n for n in numbers if n % self.interval == 0 or n == self.iterations]

    @property
    def kept(self) -> set[str]:
        """Checkpoints that it ends with, without the best."""
        return {f'iter_{number}.pth' for number in self.saves[-self.max_keep :]}


@dataclass
class Counts:
    """Totals of all rounds."""

    kills: Counter = field(default_factory=Counter)
    survived: int = 0
    stray: int = 0
    worst_loss: int = 0
    worst_intervals: float = 0.0


class Failure(MultigrainError):
    """A broken guarantee, in words."""


def run(work_dir: Path, plan: Plan, *, kill_at: tuple[str, int] | None = None) -> Process:
    """Start a run that resumes the last checkpoint.

    `kill_at` ('piece', 7) kills it after the 7th piece that it writes, ('step', 7) at the 7th step
    by which a file changes, all pieces of a file being one.
    """
    counts, before = Counter(), None

    def event(stage: str, path: Path) -> None:
        nonlocal before
        if stage == 'write':
            time.sleep(SLOW)
        counts['piece'] += stage == 'write'
        counts['step'] += (stage, path) != before
        before = stage, path
        if kill_at is not None and counts[kill_at[0]] == kill_at[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        with events(event):
            train(work_dir, resume='auto', **plan.options)

    return in_child(work)


def was_killed(process: Process) -> bool:
    """Wait for a run; whether it was killed. It must not fail by itself."""
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise Failure(f'a run ended by itself with status {process.exitcode}')
    return process.exitcode != 0


def kill_once(work_dir: Path, plan: Plan, *, rng: random.Random) -> str | None:
    """Run and kill; how, or None if the run ended before."""
    if rng.random() < 0.5:
        piece = 'piece', rng.randint(1, PIECES * len(plan.saves))
        return 'at a piece' if was_killed(run(work_dir, plan, kill_at=piece)) else None
    before = len(noted(work_dir, 'trained'))
    process = run(work_dir, plan)
    # The first iteration that it finishes, however long building the run takes.
    wait_until = before + rng.randint(0, 2)
    while len(noted(work_dir, 'trained')) < wait_until and process.is_alive():
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.3))
    process.kill()
    return 'at a moment' if was_killed(process) else None


def check_after_kill(work_dir: Path, plan: Plan, counts: Counts) -> None:
    """What must be true at every moment."""
    counts.kills['writing'] += any(work_dir.glob('.*.tmp'))
    broken = []
    last = find_last_checkpoint(work_dir, warn=broken.append)
    if broken:
        raise Failure(broken[0])
    trained = max(noted(work_dir, 'trained'), default=0)
    at = 0 if last is None else check_whole(last)
    lost = trained + 1 - at  # with the unfinished one
    counts.worst_loss = max(counts.worst_loss, lost)
    counts.worst_intervals = max(counts.worst_intervals, lost / plan.interval)
    if lost > plan.interval:
        raise Failure(f'{lost} iterations lost where every {plan.interval} are saved')
    pointer = work_dir / POINTER
    if pointer.exists():
        check_archive(pointer.read_text())
    for path in work_dir.glob('*.pth'):
        check_archive(path)
    check_best(work_dir, plan)
    counts.survived += 1


def check_best(work_dir: Path, plan: Plan) -> None:
    """The best checkpoint of all finished validations must exist."""
    validated = noted(work_dir, 'validated')
    if not validated:
        return
    files = [int(re.search(r'iter_(\d+)', path.name)[1]) for path in work_dir.glob('best_*.pth')]
    best = max((plan.scores[number - 1] for number in files), default=None)
    if best is None or best < max(plan.scores[number - 1] for number in validated):
        raise Failure(f'the best checkpoint is gone; {files} of {sorted({*validated})} exist')


def check_end(work_dir: Path, plan: Plan, expected: torch.Tensor, counts: Counts) -> None:
    """What must be true after the run has finished."""
    if not torch.equal(weights(work_dir, plan.last), expected):
        raise Failure('the weights are not those of a run that was never killed')
    check_best(work_dir, plan)
    names = {path.name for path in work_dir.iterdir() if path.is_file() and path.suffix != '.py'}
    stray = names - plan.kept - {POINTER, 'best_checkpoints.json'}
    best = {name for name in stray if name.startswith(f'best_{METRIC.replace("/", "_")}_iter_')}
    counts.stray += len(stray - best) + len(best) - 1
    if len(best) != 1 or stray != best or not plan.kept <= names:
        raise Failure(f'the folder holds {sorted(names)}')


def play_random(
    work_dir: Path, *, hook: str, rng: random.Random, expected: Expected, counts: Counts
) -> bool:
    """One round of random kills."""
    plan = Plan(
        interval=rng.randint(1, 3),
        max_keep=rng.randint(1, 3),
        scores=tuple(rng.sample(range(1, 100), LONG)),
        hook=hook,
    )
    for _ in range(rng.randint(1, 3)):
        how = kill_once(work_dir, plan, rng=rng)
        if how is None:
            break
        counts.kills[how] += 1
        check_after_kill(work_dir, plan, counts)
    finish(work_dir, plan, expected=expected, counts=counts)
    return True


def play_step(work_dir: Path, *, hook: str, step: int, expected: Expected, counts: Counts) -> bool:
    """Kill a short run at one step; False if it has fewer."""
    plan = Plan(interval=1, max_keep=1, scores=(1, 2), hook=hook, iterations=SHORT)
    if not was_killed(run(work_dir, plan, kill_at=('step', step))):
        return False
    counts.kills['at a step'] += 1
    check_after_kill(work_dir, plan, counts)
    finish(work_dir, plan, expected=expected, counts=counts)
    return True


def finish(work_dir: Path, plan: Plan, *, expected: Expected, counts: Counts) -> None:
    """Resume a run and let it finish."""
    if was_killed(run(work_dir, plan)):
        raise Failure('something else killed a run')
    check_end(work_dir, plan, expected[plan.iterations], counts)


def undisturbed(work_dir: Path, *, iterations: int) -> torch.Tensor:
    """Weights of a run that is not killed."""
    plan = Plan(interval=1, max_keep=1, scores=(1,), iterations=iterations)
    was_killed(run(work_dir, plan))
    return weights(work_dir, plan.last)


def show(rounds: int, counts: Counts, failures: list[str]) -> None:
    """Print the counts."""
    ways = {way: number for way, number in counts.kills.items() if way != 'writing'}
    how = ', '.join(f'{number} {way}' for way, number in sorted(ways.items()))
    writing = f'{counts.kills["writing"]} left a temporary file'
    print(f'rounds        {rounds}, failed {len(failures)}')
    print(f'kills         {sum(ways.values())} ({how}); {writing}')
    print(f'survived      {counts.survived}')
    print(f'stray files   {counts.stray}')
    print(
        f'worst loss    {counts.worst_loss} iterations, {counts.worst_intervals:g} intervals of '
        'saving, including the unfinished iteration'
    )
    for failure in failures:
        print(failure)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--rounds', type=count, default=50, help='with random kills')
    parser.add_argument('--every-step', action='store_true', help='kill at each step, too')
    parser.add_argument('--seed', type=int, default=0, help='of the kills')
    parser.add_argument('--hook', default='SafeCheckpointHook', help='what saves')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    numbers = range(args.rounds)
    rounds = [partial(play_random, rng=random.Random(f'{args.seed} {n}')) for n in numbers]
    if args.every_step:
        rounds = itertools.chain(rounds, (partial(play_step, step=n) for n in itertools.count(1)))
    counts, failures, number = Counts(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        expected = {n: undisturbed(Path(folder, f'whole_{n}'), iterations=n) for n in (LONG, SHORT)}
        for number, play in enumerate(tqdm(rounds, unit='round', disable=None), start=1):
            work_dir = Path(folder, f'round_{number}')
            try:
                if not play(work_dir, hook=args.hook, expected=expected, counts=counts):
                    number -= 1
                    break
            except (Failure, CheckpointError, OSError) as error:
                failures.append(f'round {number}: {one_line(error)}')
    show(number, counts, failures)
    sys.exit(bool(failures))


if __name__ == '__main__':
    run_tool(main)
