"""A training run of one second whose outcome is known, and which can be stopped at any file access.

A linear layer instead of a detector: files and processes are tested here. The data are the same at
every iteration, so a resumed run must end with the weights of an undisturbed one, whatever happened
in between. Validation scores are given in advance: it is known which checkpoint is the best, and
when.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.fileio.backends import local_backend
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import DataLoader

from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.utils import files

METRIC = 'tiny/score'
PIECE = 4096  # bytes; a file that is written in a damaged run is written in such pieces
WIDTH = 128  # of the layer: checkpoints of 0.2 MB

_count = itertools.count()
Event = Callable[[str, Path], None]


class Tiny(BaseModel):
    """One layer with momentum."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> Any:
        """The loss, or one prediction."""
        out = self.layer(inputs)
        return dict(loss=out.square().mean()) if mode == 'loss' else [out]


class Score(BaseMetric):
    """Scores given for iteration 1, 2, ... instead of measurements; the last for all further ones."""

    default_prefix = 'tiny'

    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__()
        self._scores = scores
        self.iteration = 0

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Nothing depends on the data."""
        self.results.append(0)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """The score of the current iteration, and one of which smaller is better."""
        score = self._scores[min(self.iteration, len(self._scores)) - 1]
        return dict(score=score, opposite=-score)


class NoteHook(Hook):
    """Tell the metric the iteration, and append steps to a file: 'trained 3' or 'validated 3'."""

    priority = 'LOWEST'

    def __init__(self, metric: Score, notes: Path) -> None:
        self._metric, self._notes = metric, notes

    def after_train_iter(self, runner: MultigrainRunner, *_: Any, **__: Any) -> None:
        """Note an iteration whose checkpoint, if it has one, is saved."""
        self._note(f'trained {runner.iter + 1}\n')

    def before_val(self, runner: MultigrainRunner) -> None:
        """Set the iteration."""
        self._metric.iteration = runner.iter

    def after_val_epoch(self, runner: MultigrainRunner, metrics: Any) -> None:
        """Note a validation whose checkpoint, if it is the best, is saved."""
        self._note(f'validated {runner.iter}\n')

    def _note(self, line: str) -> None:
        with open(self._notes, 'a') as file:
            file.write(line)


def build(
    work_dir: Path,
    *,
    iterations: int = 6,
    epochs: int | None = None,
    scores: Sequence[float] = (0.1, 0.2, 0.1, 0.4, 0.3, 0.5),
    **checkpoint: Any,
) -> MultigrainRunner:
    """A runner that validates after every iteration; `noted` reads what it notes.

    It ends after so many iterations, or epochs of two iterations. Options of the checkpoint hook
    replace the defaults here.
    """
    torch.manual_seed(0)
    # MMEngine waits for two seconds whenever it begins a loader again.
    sample = dict(inputs=torch.linspace(-1, 1, WIDTH))
    loader = DataLoader([sample] * (2 if epochs else iterations), batch_size=1)
    by_iteration = dict(by_epoch=False, max_iters=iterations, val_interval=1)
    train_cfg = dict(by_epoch=True, max_epochs=epochs) if epochs else by_iteration
    metric = Score(scores)
    hook = dict(
        type='SafeCheckpointHook',
        by_epoch=False,
        interval=1,
        max_keep_ckpts=1,
        save_best=METRIC,
        rule='greater',
    )
    return MultigrainRunner(
        model=Tiny(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=train_cfg,
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=Evaluator(metric),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(checkpoint={**hook, **checkpoint}, logger=None),
        custom_hooks=[NoteHook(metric, notes_of(work_dir))],
        default_scope='mmdet',
        experiment_name=f'{work_dir}_{os.getpid()}_{next(_count)}',
        log_level='WARNING',
    )


def train(work_dir: Path, *, resume: str | None = None, **options: Any) -> MultigrainRunner:
    """Train, from the last checkpoint with `resume='auto'`; the runner when it has ended."""
    runner = build(work_dir, **options)
    runner._resume = resume or False
    runner.train()
    return runner


def notes_of(work_dir: Path) -> Path:
    """The file with the steps that the runs in a folder have finished."""
    return work_dir.with_name(f'{work_dir.name}.notes')


def noted(work_dir: Path, step: str) -> list[int]:
    """Iterations that are 'trained', or 'validated', in order of time."""
    path = notes_of(work_dir)
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(step)]


class _InPieces:
    """A file that reports every piece that is written."""

    def __init__(self, file: BinaryIO, target: Path, event: Event) -> None:
        self._file, self._target, self._event = file, target, event

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self._file.write(data[start : start + PIECE])
            self._file.flush()
            self._event('write', self._target)

    def __enter__(self) -> _InPieces:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextlib.contextmanager
def events(event: Event) -> Iterator[None]:
    """Call `event(stage, path)` at each step by which a file changes; what it raises counts.

    Stages: 'open' before a file is made, 'write' after each piece, 'rename' before it gets its
    name, 'remove' before a file is removed. The path is the final one, not the temporary.
    """
    replace, unlink = os.replace, Path.unlink

    def open_(path: str | Path, mode: str) -> _InPieces:
        path = target = Path(path)
        if path.suffix == '.tmp':
            target = path.with_name(path.name[1:].rsplit('.', 2)[0])
        event('open', target)
        return _InPieces(open(path, mode), target, event)

    def replace_(source: Path, target: Path) -> None:
        event('rename', Path(target))
        replace(source, target)

    def unlink_(path: Path, missing_ok: bool = False) -> None:
        if path.suffix != '.tmp' and path.exists():
            event('remove', path)
        unlink(path, missing_ok=missing_ok)

    with (
        mock.patch.object(files, 'open', open_, create=True),
        mock.patch.object(local_backend, 'open', open_, create=True),  # MMEngine's own hook
        mock.patch.object(os, 'replace', replace_),
        mock.patch.object(Path, 'unlink', unlink_),
    ):
        yield


def in_child(function: Callable[[], object]) -> multiprocessing.Process:
    """Start a function in a forked process without standard output.

    Only for processes that have not trained themselves: what they imported need not be imported
    again.
    """

    def work() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        logging.disable(logging.INFO)
        function()

    process = multiprocessing.get_context('fork').Process(target=work)
    process.start()
    return process


def weights(work_dir: Path, name: str) -> torch.Tensor:
    """The layer of a checkpoint."""
    content = torch.load(work_dir / name, map_location='cpu', weights_only=False)
    return content['state_dict']['layer.weight']
