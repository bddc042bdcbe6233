"""One run of an experiment: draw its data, train, test, pack and score.

`queue` starts it from the pinned checkout, as its own process; what a killed run left is used:
training resumes exactly where its last checkpoint is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common.activity import ActivityError, locked, note, pause_file
from benchmarks.common.arguments import make_parser, positive
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.errors import MultigrainError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole

from .added import BASE
from .choice import condense
from .coarse import coarse_name
from .data import RunData, images_of, prepare
from .plan import RUNS, Experiment, Run, load_experiment

REPOSITORY = Path(__file__).resolve().parents[2]
POLL = 0.5  # seconds
ONE_THREAD = ('OMP', 'MKL', 'OPENBLAS', 'NUMEXPR', 'RAYON')


class RunError(MultigrainError):
    """A step of a run that failed."""


@dataclass
class Worker:
    """Starts the steps of a run as process groups of their own, and stops them while paused.

    Attributes:
        folder: Of the run; `log.txt` and `seconds.txt` are there.
        lock: File descriptor of the run's lock, which the steps inherit.
        device: `cpu` or `cuda`.
        stopping: Whether this process was asked to stop.
        seconds: Spent on the run, over all its attempts, without pauses.
        turns: File descriptors of further locks (`turn`), which the steps inherit, too.
    """

    folder: Path
    lock: int
    device: str
    stopping: bool = False
    seconds: float = 0.0
    turns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        path = self.folder / 'seconds.txt'
        self.seconds = float(path.read_text()) if path.exists() else 0.0
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: Any) -> None:
        self.stopping = True

    def call(self, *command: object) -> None:
        """Run a step to its end.

        Raises:
            RunError: It failed.
            SystemExit: This process was asked to stop (SIGTERM); the step has saved and ended.
        """
        own = {key: value for key, value in os.environ.items() if key[:11] != 'MULTIGRAIN_'}
        environment = {**own, 'PYTHONPATH': str(REPOSITORY)}  # the file of runs alone decides
        environment.update({f'{name}_NUM_THREADS': '1' for name in ONE_THREAD})
        if self.device == 'cpu':
            environment['CUDA_VISIBLE_DEVICES'] = ''
        with open(self.folder / 'log.txt', 'ab') as log:
            child = subprocess.Popen(
                [*map(str, command)],
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=environment,
                pass_fds=[self.lock, *self.turns],
                start_new_session=True,
            )
            keep_niceness(child.pid)
            note(self.lock, child=child.pid)
            status = self._watch(child)
        note(self.lock)
        if self.stopping:
            sys.exit(128 + signal.SIGTERM)
        if status:
            raise RunError(f'{command[1]} failed with status {status}; see {log.name}')

    @contextlib.contextmanager
    def turn(self, lock: str) -> Iterator[None]:
        """Hold another lock for the block, and wait for it without counting the time.

        Raises:
            SystemExit: This process was asked to stop.
        """
        with contextlib.ExitStack() as stack:
            while True:
                if self.stopping:
                    sys.exit(128 + signal.SIGTERM)
                with contextlib.suppress(ActivityError):
                    self.turns.append(stack.enter_context(locked(lock)))
                    stack.callback(self.turns.pop)
                    break
            yield

    def _watch(self, child: subprocess.Popen) -> int:
        """Wait for a step; stop and continue it as the pause file comes and goes."""
        paused, told = False, False
        last = time.monotonic()
        while (status := child.poll()) is None:
            time.sleep(POLL)
            now = time.monotonic()
            if not paused:
                self.seconds += now - last
                write_whole(self.folder / 'seconds.txt', f'{self.seconds:.1f}'.encode())
            last = now
            wanted = pause_file().exists() and not self.stopping
            if wanted != paused and child.poll() is None:
                paused = wanted
                os.killpg(child.pid, signal.SIGSTOP if paused else signal.SIGCONT)
                note(self.lock, child=child.pid, state='paused' if paused else 'running')
            if self.stopping and not told:
                told = True
                child.terminate()  # the trainer saves and ends
        return status


def keep_niceness(session: int) -> None:
    """Give a new session this process's niceness, too: Linux may weigh sessions before processes."""
    with contextlib.suppress(OSError):  # no autogroups here
        Path(f'/proc/{session}/autogroup').write_text(str(os.nice(0)))


def cfg_options(values: Mapping[str, Any]) -> list[str]:
    """The --cfg-options of a mapping of dotted keys."""
    return ['--cfg-options', *(f'{key}={_text(value)}' for key, value in values.items())]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f'[{",".join(map(_text, value))}]'
    return str(value)


def train(
    experiment: Experiment, run: Run, worker: Worker, folder: Path, *, source: Path
) -> tuple[RunData, list[str], Path]:
    """Data, --cfg-options and last checkpoint of a run; what is done is not repeated."""
    variant = experiment.variant(run.variant)
    data = prepare(experiment, run, source=source, folder=folder / 'data')
    recipe = experiment.recipe(variant.name)
    values = {**recipe['options'], **data.options}
    if variant.shots:
        values |= add_class(experiment, run, worker, data, folder, source=source)
    options = cfg_options(values)
    checkpoint = folder / 'training' / f'iter_{recipe["options"]["max_iters"]}.pth'
    # Locks of this name do not count as runs, so that a pause does not wait for them.
    with worker.turn(f'queue.training.{run.lock}'):
        if not checkpoint.exists():
            common = [variant.config, '--work-dir', checkpoint.parent, '--seed', run.replicate]
            speed = ['--speed', *recipe['speed']] if 'speed' in recipe else []
            worker.call(sys.executable, 'tools/train.py', *common, '--resume', *speed, *options)
    return data, options, checkpoint


def base_folder(worker: Worker, name: str) -> Path:
    """Where a detector is kept that classes are added to; runs of one commit share it."""
    return worker.folder.parent / 'bases' / name


def add_class(
    experiment: Experiment,
    run: Run,
    worker: Worker,
    data: RunData,
    folder: Path,
    *,
    source: Path,
) -> dict[str, Path]:
    """Add the held-out class to the base, which is trained first; where training starts from."""
    variant = experiment.variant(run.variant)
    grown = folder / 'grown.pth'
    if not grown.exists():
        base = Run(run.experiment, variant.base, BASE)
        place = base_folder(worker, base.variant)
        before, _, checkpoint = train(experiment, base, worker, place, source=source)
        known = load_json(data.folder / 'val.json')['categories']
        group_of = {item['name']: item['supercategory'] for item in known}
        group = group_of[variant.held_out]
        group = coarse_name(group) if variant.superclass_known else group
        worker.call(
            *(sys.executable, 'tools/add_class.py', '--ckpt', checkpoint, '--out', grown),
            *('--add', f'{variant.held_out}:{group}', '--force'),
            *('--shots', data.folder / 'train.json', '--counts', before.folder / 'train.json'),
        )
    return dict(load_from=grown, taxonomy=grown.with_suffix('.yaml'))


def what_was_added(data: RunData, checkpoint: Path) -> dict[str, Any]:
    """Photos and boxes that a class was added from, and the seconds of training."""
    from mmdet_multigrain.engine.checkpoint.added_classes import added_by
    from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

    shots = load_json(data.folder / 'train.json')
    seconds = added_by(read_checkpoint(checkpoint))[-1]['seconds']
    return dict(
        photos=len(shots['images']), boxes=len(shots['annotations']), seconds=round(seconds, 1)
    )


def sweep_scores(
    experiment: Experiment, worker: Worker, config: str, checkpoint: Path, options: list[str]
) -> dict[str, Any]:
    """The scores of a detector with each fusion of its levels."""
    out = worker.folder / 'sweep'
    if not (out / 'sweep.json').exists():
        gammas = [
            text
            for name in ('gammas', 'count_gammas')
            for text in (f'--{name.replace("_", "-")}', *experiment.sweep[name])
        ]
        tool = 'tools/analysis_tools/sweep_scores.py'
        sets = {f'test_evaluator.class_sets.{k}': v for k, v in experiment.class_sets.items()}
        options = [*options, *cfg_options(sets)[1:]]
        worker.call(sys.executable, tool, config, checkpoint, '--out', out, *gammas, *options)
    return condense(load_json(out / 'sweep.json'), experiment.sweep['measure'])


def carry_out(
    experiment: Experiment, run: Run, worker: Worker, *, source: Path, out: Path, commit: str
) -> None:
    """All steps of a run; those that are done are not repeated."""
    from .results import make_result, source_digest

    variant = experiment.variant(run.variant)
    is_base = any(one.base == variant.name for one in experiment.variants)
    folder = base_folder(worker, variant.name) if is_base else worker.folder
    data, options, checkpoint = train(experiment, run, worker, folder, source=source)
    tested = worker.folder / 'tested' / 'result.json'
    if not tested.exists():
        common = [variant.config, checkpoint, '--work-dir', tested.parent]
        worker.call(sys.executable, 'tools/test.py', *common, '--out', tested, *options)
    facts = dict(coarse=data.coarse) if data.coarse else {}
    if variant.shots:
        facts['added'] = what_was_added(data, checkpoint)
    if variant.name in experiment.sweep.get('variants', ()):
        facts['sweep'] = sweep_scores(experiment, worker, variant.config, checkpoint, options)
    result = make_result(
        experiment,
        run,
        folder=data.folder,
        detections=tested.with_name('result.bbox.json'),
        seeds=dict(data=run.replicate, training=run.replicate),
        commit=commit,
        digest=source_digest(REPOSITORY),
        recipe=experiment.recipe(variant.name),
        labels=variant.labels,
        groups=data.groups,
        **facts,
        data=data.digests,
        device=worker.device,
        minutes=round(worker.seconds / 60, 2),
    )
    write_whole(out, dump_json(result) + b'\n', sync=True)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('experiment')
    parser.add_argument('variant')
    parser.add_argument('replicate', type=positive)
    parser.add_argument('--fold', type=positive, default=0, help='number of the fold')
    parser.add_argument('--runs', type=Path, default=RUNS, help='file of runs')
    parser.add_argument('--data', type=Path, required=True, help="the data set's folder")
    parser.add_argument('--folder', type=Path, required=True, help='for all that the run writes')
    parser.add_argument('--out', type=Path, required=True, help='the result file')
    parser.add_argument('--commit', default='', help='of the checkout')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    args = parser.parse_args()
    experiment = load_experiment(args.experiment, args.runs)
    run = Run(args.experiment, args.variant, args.replicate, args.fold)
    experiment.variant(args.variant)  # refused before a folder is made, as is missing data
    images_of(experiment, args.data)
    with locked(run.lock) as lock:
        args.folder.mkdir(parents=True, exist_ok=True)
        worker = Worker(args.folder.resolve(), lock, args.device)
        places = dict(source=args.data.resolve(), out=args.out.resolve())
        carry_out(experiment, run, worker, commit=args.commit, **places)
        shutil.rmtree(args.folder)  # weights and detections; the result has what is kept


if __name__ == '__main__':
    run_tool(main)
