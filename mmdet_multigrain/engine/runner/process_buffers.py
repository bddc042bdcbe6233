"""The buffers of each process in a checkpoint, which otherwise holds only those of the first.

Gradients keep parameters equal in all processes, but each counts its own running statistics
(batch norm) or classes (Seesaw loss), and some of that is used in training.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.dist import all_gather_object
from mmengine.model import is_model_wrapper
from torch import nn

Buffers = dict[str, torch.Tensor]


def gather_buffers(model: nn.Module) -> list[Buffers]:
    """What the buffers of each process have beyond the first one's; to be called by all.

    Returns:
        By rank, the buffers that differ from the first process's, on the CPU.
    """
    own = {name: buffer.detach().cpu() for name, buffer in _saved_buffers(model).items()}
    first, *others = all_gather_object(own)
    return [{}] + [
        {name: buffer for name, buffer in buffers.items() if not torch.equal(buffer, first[name])}
        for buffers in others
    ]


def set_buffers(model: nn.Module, buffers: Mapping[str, torch.Tensor]) -> None:
    """Give a model, loaded from the checkpoint, what one process had beyond it."""
    own = _saved_buffers(model)
    for name, buffer in buffers.items():
        own[name].copy_(buffer)


def _saved_buffers(model: nn.Module) -> Buffers:
    model = model.module if is_model_wrapper(model) else model
    saved = model.state_dict()
    return {name: buffer for name, buffer in model.named_buffers() if name in saved}
