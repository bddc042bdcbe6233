"""Processes that train or test together."""

from __future__ import annotations

import os
import warnings
from typing import Any

from mmdet_multigrain.utils.errors import ConfigError


def start_processes(cfg: Any, launcher: str) -> None:
    """Join the distributed group when mmengine cannot: it needs CUDA devices even on a CPU.

    On a machine without CUDA the group uses gloo, and DDP gets no device ids. Elsewhere this only
    notes the launcher; the Runner does the rest.
    """
    import torch

    cfg.launcher = launcher
    if launcher == 'none':
        return
    cfg.custom_hooks = [*cfg.get('custom_hooks', ()), dict(type='SameBuffersHook')]
    # mmengine hands over an argument that newer versions of torch call otherwise.
    warnings.filterwarnings('ignore', message='`broadcast_buffers`', category=FutureWarning)
    if torch.cuda.is_available():
        return
    if launcher != 'pytorch':
        raise ConfigError(f'--launcher {launcher} needs GPUs; on CPUs use --launcher pytorch')
    torch.distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )


def set_local_rank(local_rank: int) -> None:
    """Make the launcher's rank known to mmengine."""
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
