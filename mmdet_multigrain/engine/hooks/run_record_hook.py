"""Give the metric a record of the test, for the result file."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmdet_multigrain
from mmdet_multigrain.evaluation import RunRecord
from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric
from mmdet_multigrain.evaluation.training_record import TrainingRecord

from ..checkpoint.training_record import recorded
from ..data_access import inner_datasets
from ..fingerprints import versions


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Give every `MultiGrainedCocoMetric` of a test a `RunRecord`, with what the checkpoint tells.

    Args:
        config: Path of the config. Defaults to None.
        command: The command line. Defaults to None.
        options: What of it changes the numbers. Defaults to None.
    """

    def __init__(
        self, *, config: str | None = None, command: str | None = None, options: str | None = None
    ) -> None:
        self.config, self.command, self.options = config, command, options
        self._meta: Mapping[str, Any] = {}
        self._trained_as: TrainingRecord | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the checkpoint's record of its training."""
        meta = checkpoint.get('meta')
        self._meta = meta if isinstance(meta, Mapping) else {}
        self._trained_as = recorded(checkpoint)

    def before_test(self, runner: Runner) -> None:
        """Hand the record over."""
        dataset = next(inner_datasets(runner.test_dataloader.dataset))
        prefix = getattr(dataset, 'data_prefix', None) or {}
        record = RunRecord(
            config=self.config,
            checkpoint=runner._load_from,
            iteration=_whole(self._meta.get('iter')),
            seed=_whole(self._meta.get('seed')),
            command=self.command,
            options=self.options,
            image_folder=prefix.get('img'),
            git_revision=git_revision(Path(mmdet_multigrain.__file__).parent),
            versions=versions(),
            trained_as=self._trained_as,
        )
        for metric in runner.test_evaluator.metrics:
            if isinstance(metric, MultiGrainedCocoMetric):
                metric.run = record


def git_revision(folder: Path) -> str | None:
    """Revision of the checkout of a folder, "+" behind it if files changed; None without one."""

    def git(*arguments: str) -> str:
        command = ['git', '-C', str(folder), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # An installed package may lie within a checkout of something else.
        if not git('ls-files', '--', '__init__.py'):
            return None
        changed = git('status', '--porcelain', '--untracked-files=no')
        return git('rev-parse', 'HEAD') + ('+' if changed else '')
    except (OSError, subprocess.SubprocessError):
        return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
