"""The precision of matrix products is set for a run, and only for it."""

from __future__ import annotations

import torch

from mmdet_multigrain.engine import MatmulPrecisionHook


def test_set_for_a_run_only():
    before = torch.get_float32_matmul_precision()
    hook = MatmulPrecisionHook('high')
    hook.before_run(None)
    assert torch.get_float32_matmul_precision() == 'high'
    hook.after_run(None)
    assert torch.get_float32_matmul_precision() == before != 'high'
