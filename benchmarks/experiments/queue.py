"""Run experiments in the background, one run per process: python -m benchmarks.experiments.queue

plan NAME     the ledger: runs, minutes, process-hours spent and left
run NAME      run what has no result yet, from a checkout of a pinned commit
status NAME   what runs, what failed, and the ledger
pause         stop all runs of this machine, in mid-iteration, and start none
resume        let them go on

What is left follows from the result files alone. A queue or run that is killed is started again by
the same `run` command; SIGTERM or Ctrl-C lets the runs save and end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common.activity import (
    active_runs,
    activity_folder,
    holder,
    locked,
    pause_file,
)
from benchmarks.common.arguments import make_parser, positive
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import show_list

from .comparable import check_addition
from .data import images_of
from .plan import (
    RESULTS,
    RUNS,
    Experiment,
    Run,
    due,
    ledger,
    load_experiment,
    read_results,
    result_path,
    runs_before,
    stopped_by_gate,
)

REPOSITORY = Path(__file__).resolve().parents[2]
STATE = Path('work_dirs/experiments')
PAUSED = 'paused; nothing runs until: python -m benchmarks.experiments.queue resume'
POLL = 1.0  # seconds
TRIES = 3  # of a run that fails or is killed
SECONDS_TO_SAVE = 120  # a trainer finishes its iteration first
SECONDS_TO_PAUSE = 60


@dataclass
class Queue:
    """Starts the runs of an experiment that have no result.

    Attributes:
        experiment: The experiment.
        start: Starts the process of a run.
        results: Folder of result files.
        jobs: Runs at a time.
        failures: Failed tries of each run.
    """

    experiment: Experiment
    start: Callable[[Run], subprocess.Popen]
    results: Path
    jobs: int
    failures: Counter[Run] = field(default_factory=Counter)
    stopping: bool = False
    _own: dict[Run, subprocess.Popen] = field(default_factory=dict)

    def left(self) -> list[Run]:
        """Runs without a result, in order."""
        return [
            run
            for run in due(self.experiment, self.results)
            if not result_path(run, self.results).exists() and self.failures[run] < TRIES
        ]

    def run(self) -> None:
        """Run until nothing is left, or until `stop`."""
        if pause_file().exists():
            say(PAUSED)
        while (left := self.left()) and not self.stopping:
            for run in left:
                end_orphan(run)
            busy = [run for run in left if run in self._own or holder(run.lock)]
            waiting = [run for run in left if run not in busy]
            if len(busy) < self.jobs and waiting and not pause_file().exists():
                run = waiting[0]
                self._own[run] = self.start(run)
                say(f'{run.name} began')
            else:
                time.sleep(POLL)
            self._collect()
        everything = self.experiment.runs()  # also those that an earlier queue started
        for who in filter(None, (holder(run.lock) for run in everything)):
            if self.stopping and who['pid']:
                os.kill(who['pid'], signal.SIGTERM)
        deadline = time.monotonic() + SECONDS_TO_SAVE
        while time.monotonic() < deadline and (
            self._own or any(holder(run.lock) for run in everything)
        ):
            time.sleep(POLL)
            self._collect()

    def _collect(self) -> None:
        for run, process in list(self._own.items()):
            if process.poll() is None:
                continue
            del self._own[run]
            if result_path(run, self.results).exists():
                say(f'{run.name} done')
            elif not self.stopping:
                self.failures[run] += 1
                say(f'{run.name} failed with status {process.returncode}')

    def stop(self, *_: Any) -> None:
        """Let the runs save and end (a signal handler)."""
        self.stopping = True


def end_orphan(run: Run) -> None:
    """End the step of a run whose main process was killed; it would have no one to go on."""
    who = holder(run.lock)
    if who is None or who['pid'] is None or _is_alive(who['pid']) or who['child'] is None:
        return
    say(f'{run.name}: its process {who["pid"]} was killed; its step {who["child"]} is ended')
    for number in (signal.SIGTERM, signal.SIGCONT):
        _signal_group(who['child'], number)
    deadline = time.monotonic() + SECONDS_TO_SAVE
    while holder(run.lock) and time.monotonic() < deadline:
        time.sleep(POLL)
    if holder(run.lock):
        _signal_group(who['child'], signal.SIGKILL)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def say(line: str) -> None:
    """Print a line with the time."""
    print(f'{time.strftime("%m/%d %H:%M:%S")}  {line}', flush=True)


# ------------------------------------------------------------------ the pinned checkout


def git(*arguments: str, folder: Path | None = None) -> str:
    """The output of git.

    Raises:
        ConfigError: It failed.
    """
    done = subprocess.run(
        ['git', '-C', str(folder or REPOSITORY), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigError(f'git {" ".join(arguments)}: {done.stderr.strip()}')
    return done.stdout.strip()


def pin(state: Path, done: Mapping[Any, Mapping[str, Any]], wanted: str | None) -> str:
    """The commit to run: the wanted one, else that of the results or of the last start, else HEAD.

    Args:
        state: Folder of the experiment, which keeps the commit.
        done: Results.
        wanted: Any name of a commit.
    """
    path = state / 'commit.txt'
    known = Counter(result['commit'] for result in done.values()).most_common(1)
    if wanted is None and known:
        wanted = known[0][0]
    elif wanted is None and path.exists():
        wanted = path.read_text()
    commit = git('rev-parse', '--verify', f'{wanted or "HEAD"}^{{commit}}')
    state.mkdir(parents=True, exist_ok=True)
    path.write_text(commit)
    return commit


def checkout(commit: str, folder: Path) -> Path:
    """A worktree of a commit, made or repaired if need be."""
    path = folder.resolve() / commit[:12]
    with contextlib.suppress(ConfigError):
        if git('rev-parse', 'HEAD', folder=path) == commit:
            if not git('status', '--porcelain', folder=path):
                return path
    shutil.rmtree(path, ignore_errors=True)
    git('worktree', 'prune')
    git('worktree', 'add', '--detach', str(path), commit)
    return path


def check_committed(experiment: Experiment, runs: Path) -> None:
    """Refuse a number of replicates that could still be changed after a look at results.

    The pilot's runs may begin without; its number is the rule's.

    Args:
        experiment: The experiment.
        runs: File of runs; one outside the repository is not checked.

    Raises:
        ConfigError: The file has changes that are not committed.
    """
    path = runs.resolve()
    if experiment.replicates > experiment.pilot and path.is_relative_to(REPOSITORY):
        if git('status', '--porcelain', '--', str(path)):
            raise ConfigError(
                f'{runs} has changes; commit its `replicates: {experiment.replicates}` for '
                f'{experiment.name} before the runs'
            )


# ------------------------------------------------------------------ commands


def run_queue(args: argparse.Namespace) -> None:
    """`queue run`."""
    experiment = load_experiment(args.experiment, args.runs)
    state = args.state / experiment.name
    check_committed(experiment, args.runs)
    if before := runs_before(experiment, args.runs, args.results):
        raise ConfigError(
            f'{experiment.name} comes after {len(before)} other runs ({show_list(before)}); run them '
            'first'
        )
    images_of(experiment, args.data)  # else every run would fail, three times
    with locked(f'queue.{experiment.name}'):
        done = read_results(experiment, args.results)
        commit = pin(state, done, args.commit)
        tree = checkout(commit, args.state / 'checkouts')
        folder = args.results / experiment.name
        check_addition(experiment, done.values(), tree=tree, device=args.device, folder=folder)
        show_ledger(experiment, args)
        say(f'commit {commit[:12]}, {args.jobs} runs at a time')

        def start(run: Run) -> subprocess.Popen:
            module = ['nice', '-n', str(args.nice), sys.executable, '-m', f'{__package__}.run']
            what = [run.experiment, run.variant, str(run.replicate), '--commit', commit]
            places = dict(
                runs=args.runs,
                data=args.data,
                folder=state / commit[:12] / run.name,
                out=result_path(run, args.results),
            )
            options = [f'--{key}={Path(path).resolve()}' for key, path in places.items()]
            options += [f'--fold={run.fold}'] * (run.fold > 0)
            return subprocess.Popen(
                [*module, *what, *options, f'--device={args.device}'],
                cwd=tree,
                env={**os.environ, 'PYTHONPATH': str(tree)},
                start_new_session=True,  # Ctrl-C reaches the queue alone
            )

        queue = Queue(experiment, start, args.results, args.jobs)
        signal.signal(signal.SIGTERM, queue.stop)
        signal.signal(signal.SIGINT, queue.stop)
        queue.run()
        show_ledger(experiment, args)
        if stopped := stopped_by_gate(experiment, args.results):
            say(stopped)
    failed = [run.name for run, tries in queue.failures.items() if tries >= TRIES]
    if failed:
        raise ConfigError(
            f'{len(failed)} runs failed {TRIES} times: {", ".join(failed)}; see log.txt in their '
            f'folders in {state / commit[:12]}'
        )


def show_ledger(experiment: Experiment, args: argparse.Namespace) -> None:
    """Print what was and will be spent."""
    done = read_results(experiment, args.results)
    begun = minutes_begun(args.state / experiment.name) / 60
    print(ledger(experiment, done, jobs=args.jobs, begun=begun), flush=True)


def minutes_begun(state: Path, run: str = '*') -> float:
    """Spent on a run, or on all, without a result."""
    return sum(float(path.read_text()) for path in state.glob(f'*/{run}/seconds.txt')) / 60


def show_status(args: argparse.Namespace) -> None:
    """`queue status`."""
    experiment = load_experiment(args.experiment, args.runs)
    show_ledger(experiment, args)
    if holder(f'queue.{experiment.name}') is None:
        print('no queue runs')
    for run in experiment.runs():
        if who := holder(run.lock):
            minutes = minutes_begun(args.state / experiment.name, run.name)
            print(f'{run.name}: {who["state"]}, {minutes:.1f} min')
    if pause_file().exists():
        print('paused')


def pause(args: argparse.Namespace) -> None:
    """`queue pause`: returns when all runs are stopped.

    Raises:
        ConfigError: A run does not stop.
    """
    activity_folder().mkdir(exist_ok=True)
    pause_file().touch()
    deadline = time.monotonic() + SECONDS_TO_PAUSE
    while names := active_runs():
        if time.monotonic() > deadline:
            raise ConfigError(f'still active after {SECONDS_TO_PAUSE} s: {", ".join(names)}')
        time.sleep(0.2)
    print(PAUSED)


def resume(args: argparse.Namespace) -> None:
    """`queue resume`."""
    pause_file().unlink(missing_ok=True)
    print('resumed')


COMMANDS = dict(plan=show_status, status=show_status, run=run_queue, pause=pause, resume=resume)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__, epilog=__doc__.partition('\n')[2])
    parser.add_argument('command', choices=COMMANDS)
    parser.add_argument('experiment', nargs='?', default='rbc12', help='name in the file of runs')
    parser.add_argument('--runs', type=Path, default=RUNS, help='file of runs')
    parser.add_argument('--data', type=Path, help="run: the data set's folder")
    parser.add_argument('--results', type=Path, default=RESULTS, help='folder of results')
    parser.add_argument('--state', type=Path, default=STATE, help='folder of checkouts and runs')
    parser.add_argument('--commit', help='run: commit to pin (default: as begun, or HEAD)')
    parser.add_argument('--jobs', type=positive, default=2, help='runs at a time')
    parser.add_argument('--nice', type=int, default=10, help='run: niceness of the runs')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    args = parser.parse_args(arguments)
    if args.command == 'run' and args.data is None:
        parser.error("run needs --data, the data set's folder")
    COMMANDS[args.command](args)


if __name__ == '__main__':
    run_tool(main)
