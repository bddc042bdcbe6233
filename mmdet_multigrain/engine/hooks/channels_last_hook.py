"""Keep images and convolutions in the memory format that tensor cores read."""

from __future__ import annotations

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmdet_multigrain.models import PlainRoIExtractor
from mmdet_multigrain.utils.errors import ConfigError

from ..data_access import bare_model


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Store the weights of all convolutions as NHWC; their outputs follow.

    The numbers stay the same but for rounding. Checkpoints load into either format.

    Raises:
        ConfigError: A module of the model would misread such outputs.
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the model once its weights are there: drawn in NHWC they would be others."""
        check_operators(runner.model)
        runner.model.to(memory_format=torch.channels_last)

    before_val = before_test = before_train


def check_operators(model: nn.Module) -> None:
    """Raise a one-line ConfigError for operators of mmcv, which read storage as it lies."""
    modules = dict(bare_model(model).named_modules())
    safe = tuple(f'{name}.' for name, one in modules.items() if isinstance(one, PlainRoIExtractor))
    for name, module in modules.items():
        if type(module).__module__.startswith('mmcv.ops.') and not name.startswith(safe):
            raise ConfigError(
                f'model.{name}: {type(module).__name__} of mmcv misreads channels-last features; '
                'leave channels-last out, or use a PlainRoIExtractor around it'
            )
