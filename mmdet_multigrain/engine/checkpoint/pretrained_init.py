"""Weights that a config names for a part of the model (`init_cfg`): loaded as checkpoints are."""

from __future__ import annotations

import mmengine.model
from mmdet.registry import WEIGHT_INITIALIZERS
from torch import nn

from .read import loading


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class PretrainedInit(mmengine.model.PretrainedInit):
    """MMEngine's, which mmdet's registry now finds here: no code in the file is run.

    Raises:
        CheckpointError: The file cannot be read or downloaded, or would run code.
    """

    def __call__(self, module: nn.Module) -> None:
        """Give the module its weights."""
        with loading(self.checkpoint):
            super().__call__(module)
