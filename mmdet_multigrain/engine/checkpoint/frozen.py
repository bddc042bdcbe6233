"""Parts of a backbone that training leaves as they are, and that no weights were loaded for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mmdet.registry import WEIGHT_INITIALIZERS
from mmengine.model import PretrainedInit
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_multigrain.utils.nested import is_kind, kind_of


def frozen_at_random(model: nn.Module, loaded: Collection[str]) -> list[str]:
    """Frozen tensors of the backbone that still have their initial values.

    Parts that an `init_cfg` brings weights for do not count. Statistics of batch norm in evaluation
    do: what nothing has measured does not normalize. `loaded` are the tensors that a checkpoint
    gave. The bare model is switched to training.
    """
    model.train()
    parts = dict(model.named_modules())
    brought = tuple(
        f'{name}.' if name else ''
        for name, part in parts.items()
        if _brings_weights(getattr(part, 'init_cfg', None))
    )
    frozen = []
    for name, part in parts.items():
        if not f'{name}.'.startswith('backbone.') or f'{name}.'.startswith(brought):
            continue
        own = part.named_parameters(recurse=False)
        frozen += [f'{name}.{key}' for key, parameter in own if not parameter.requires_grad]
        if isinstance(part, _BatchNorm) and part.track_running_stats and not part.training:
            frozen += [f'{name}.running_mean', f'{name}.running_var']
    return [name for name in frozen if name not in loaded]


def _brings_weights(init_cfg: Any) -> bool:
    """Whether an `init_cfg` loads weights: MMEngine's `Pretrained`, or an initializer of others."""
    configs = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]
    return any(
        not getattr(kind_of(config, WEIGHT_INITIALIZERS), '__module__', '').startswith('mmengine.')
        or is_kind(config, WEIGHT_INITIALIZERS, PretrainedInit)
        for config in filter(None, configs)
    )
