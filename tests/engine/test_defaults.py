"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.engine.checkpoint import atomic_backend
from mmdet_multigrain.engine.hooks import exact_resume_hook, matmul_precision_hook, preflight_hook
from mmdet_multigrain.engine.optimizers import autocast_optim_wrapper

from ..signatures import defaults

DEFAULTS = {
    atomic_backend.AtomicLocalBackend.put_text: dict(encoding='utf-8'),
    exact_resume_hook.ExactResumeHook: dict(
        allow_world_size_change=False, allow_data_change=False, allow_length_change=False
    ),
    matmul_precision_hook.MatmulPrecisionHook: dict(precision='high'),
    preflight_hook.check_data: dict(with_groups=True),
    preflight_hook.check_heads: dict(with_groups=True),
    autocast_optim_wrapper.AutocastOptimWrapper: dict(dtype='bfloat16'),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
