"""Mixed precision that needs no loss scaling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast
from torch import nn

from mmdet_multigrain.utils.errors import ConfigError


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """OptimWrapper whose forward pass runs under autocast, on a GPU as on a CPU.

    MMEngine's AmpOptimWrapper scales the loss, as float16 needs, and works on GPUs only. bfloat16
    has the exponents of float32: its gradients need no scaling.

    Args:
        dtype: Of the operations that autocast lowers. Defaults to 'bfloat16'.
        **kwargs: See OptimWrapper.

    Raises:
        ConfigError: `dtype` needs loss scaling.
    """

    def __init__(self, *, dtype: str = 'bfloat16', **kwargs) -> None:
        if dtype != 'bfloat16':
            raise ConfigError(
                f'dtype={dtype!r}: {type(self).__name__} does not scale the loss; only bfloat16 '
                'can do without (AmpOptimWrapper for float16)'
            )
        super().__init__(**kwargs)
        self.dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of the forward pass."""
        with super().optim_context(model), autocast(dtype=self.dtype):
            yield
