"""Compile the parts of a detector whose shapes a compiler can follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..data_access import bare_model


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile modules of the model with torch.compile, in place.

    Backbone and neck are plain tensor code. RPN and RoI head are not: their shapes depend on the
    proposals. Names of weights stay as they are. The first iterations compile.

    Args:
        modules: Dotted names. Defaults to ('backbone', 'neck').
        **options: Arguments of torch.compile, such as `dynamic`, `mode`, `backend`.
    """

    def __init__(self, modules: Sequence[str] = ('backbone', 'neck'), **options: Any) -> None:
        self.modules = tuple(modules)
        self.options = options

    def before_train(self, runner: Runner) -> None:
        """Compile once everything else about the model is settled."""
        model = bare_model(runner.model)
        for name in self.modules:
            model.get_submodule(name).compile(**self.options)
        runner.logger.info(f'Compiled: {", ".join(self.modules)}; the first iterations are slow')
