"""Parts of a backbone that training leaves as they are, and that no weights were loaded for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from mmdet.registry import WEIGHT_INITIALIZERS
from mmengine.model import PretrainedInit
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_multigrain.utils.nested import kind_of


def frozen_at_random(model: nn.Module, loaded: Collection[str]) -> list[str]:
    """Frozen tensors of the backbone that still have their initial values.

    Statistics of batch norm in evaluation count: what nothing has measured does not normalize.
    `loaded` are the tensors that a checkpoint gave. The bare model is switched to training.
    """
    model.train()
    return [name for name in _frozen(model) if name not in loaded]


def _frozen(model: nn.Module) -> Iterator[str]:
    """Names of the frozen tensors that no `init_cfg` brings weights for."""
    parts = {'': model, **dict(model.named_modules())}
    brought = tuple(
        f'{name}.' if name else ''
        for name, part in parts.items()
        if _brings_weights(getattr(part, 'init_cfg', None))
    )
    for name, part in parts.items():
        if not f'{name}.'.startswith('backbone.') or f'{name}.'.startswith(brought):
            continue
        for key, parameter in part.named_parameters(recurse=False):
            if not parameter.requires_grad:
                yield f'{name}.{key}'
        if isinstance(part, _BatchNorm) and part.track_running_stats and not part.training:
            yield from (f'{name}.running_mean', f'{name}.running_var')


def _brings_weights(init_cfg: Any) -> bool:
    """Whether an `init_cfg` loads weights: MMEngine's `Pretrained`, or an initializer of others."""
    configs = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]
    kinds = [kind_of(config, WEIGHT_INITIALIZERS) for config in configs if config]
    return any(
        not getattr(kind, '__module__', '').startswith('mmengine.')
        or (isinstance(kind, type) and issubclass(kind, PretrainedInit))
        for kind in kinds
    )
