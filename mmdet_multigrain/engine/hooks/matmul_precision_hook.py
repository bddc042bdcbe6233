"""Let matrix products of single precision round their factors, where hardware gains by it."""

from __future__ import annotations

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class MatmulPrecisionHook(Hook):
    """Set PyTorch's precision of float32 matrix products for the time of a run.

    `MultigrainRunner` calls `after_run` after a run that raises, too.

    Args:
        precision: 'highest', 'high' (TF32, the default) or 'medium', as PyTorch names them.
    """

    def __init__(self, precision: str = 'high') -> None:
        self.precision = precision
        self._before: str | None = None

    def before_run(self, runner: Runner) -> None:
        """Set it."""
        self._before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.precision)

    def after_run(self, runner: Runner) -> None:
        """Set what was before, once."""
        if self._before is not None:
            torch.set_float32_matmul_precision(self._before)
            self._before = None
