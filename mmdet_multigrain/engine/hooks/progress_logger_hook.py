"""Log lines for those who watch a run: early losses, no long silence, metrics once."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from mmdet.registry import HOOKS
from mmengine.evaluator import Evaluator
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric

from ..console import console_from

_EARLY = (1, 2, 5, 10)  # training iterations of this process
_SECONDS = 30.0  # without a line, after which there is one


@HOOKS.register_module()
class ProgressLoggerHook(LoggerHook):
    """MMEngine's `LoggerHook`, with more lines where a run would be silent, and fewer at its end.

    Lines in addition to those of each `interval` follow iterations 1, 2, 5 and 10 of a process, and
    30 seconds without any, in training, validation and test. They are for readers only: what
    visualizers and JSON files get is MMEngine's. Metrics that `MultiGrainedCocoMetric` has just
    shown as a table are not repeated on the console. Arguments are MMEngine's.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._iterations = 0
        self._last_line = time.monotonic()

    def before_train(self, runner: Runner) -> None:
        """Begin to count."""
        self._iterations = 0
        self._last_line = time.monotonic()

    def before_val(self, runner: Runner) -> None:
        """Begin to wait."""
        self._last_line = time.monotonic()

    before_test = before_val

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log as MMEngine does, and early lines."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._iterations += 1
        ends = self.end_of_epoch(runner.train_dataloader, batch_idx)
        self._add_line(runner, batch_idx, 'train', ends or self._iterations not in _EARLY)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log as MMEngine does, but not too seldom."""
        super().after_val_iter(runner, batch_idx, data_batch, outputs)
        self._add_line(runner, batch_idx, 'val')

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log as MMEngine does, but not too seldom."""
        super().after_test_iter(runner, batch_idx, data_batch, outputs)
        self._add_line(runner, batch_idx, 'test')

    def _add_line(self, runner: Runner, batch_idx: int, mode: str, can_wait: bool = True) -> None:
        """Log a line unless there was one just now, or it can wait."""
        if not self.every_n_inner_iters(batch_idx, self.interval):
            if can_wait and time.monotonic() - self._last_line < _SECONDS:
                return
            _, line = runner.log_processor.get_log_after_iter(runner, batch_idx, mode)
            runner.logger.info(line)
        self._last_line = time.monotonic()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Log as MMEngine does; the console leaves out what it has in a table."""
        with console_from(_level(runner.val_evaluator), runner.logger):
            super().after_val_epoch(runner, metrics)
        self._last_line = time.monotonic()

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Log as MMEngine does; the console leaves out what it has in a table."""
        with console_from(_level(runner.test_evaluator), runner.logger):
            super().after_test_epoch(runner, metrics)


def _level(evaluator: Evaluator) -> int:
    """The level from which the console shows metrics: none of those that all are in a table."""
    in_table = all(
        isinstance(metric, MultiGrainedCocoMetric) and metric.metrics == ['bbox']
        for metric in evaluator.metrics
    )
    return logging.WARNING if in_table else logging.NOTSET
