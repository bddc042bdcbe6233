"""The precision of matrix products is set for a run, and only for it."""

from __future__ import annotations

import pytest
import torch

from mmdet_multigrain.engine.hooks import MatmulPrecisionHook


@pytest.mark.parametrize(
    ('arguments', 'expected'), [((), 'high'), (('high',), 'high'), (('medium',), 'medium')]
)
def test_set_for_a_run_only(arguments, expected):
    before = torch.get_float32_matmul_precision()
    hook = MatmulPrecisionHook(*arguments)
    hook.before_run(None)
    assert torch.get_float32_matmul_precision() == expected
    hook.after_run(None)
    assert torch.get_float32_matmul_precision() == before != expected
