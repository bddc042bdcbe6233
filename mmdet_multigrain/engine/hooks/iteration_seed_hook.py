"""Make what the model draws in an iteration a function of seed, iteration and process."""

from __future__ import annotations

from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet_multigrain.utils.seeding import Stream, seed_generators

from ..runner.positions import run_seed


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed all generators before each iteration: a restarted model draws what it would have."""

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed random, NumPy and torch on all devices."""
        seed_generators((run_seed(runner), Stream.MODEL, runner.iter, runner.rank))
