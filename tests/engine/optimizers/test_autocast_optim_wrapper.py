"""Mixed precision without loss scaling: what is lowered, what is learned, what is refused."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mmdet_multigrain.engine.optimizers.autocast_optim_wrapper import AutocastOptimWrapper


def wrapper(model, **arguments):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return OPTIM_WRAPPERS.build(dict(type='AutocastOptimWrapper', optimizer=optimizer, **arguments))


def test_layers_run_in_bfloat16_and_weights_stay():
    torch.manual_seed(0)
    model = nn.Linear(4, 4)
    before = model.weight.detach().clone()
    optim = wrapper(model)
    assert type(optim) is AutocastOptimWrapper
    x = torch.randn(3, 4)
    with optim.optim_context(model):
        output = model(x)
    assert output.dtype == torch.bfloat16
    assert model(x).dtype == torch.float32  # outside
    exact = nn.functional.linear(x, before, model.bias)
    torch.testing.assert_close(output.float(), exact, rtol=0.02, atol=0.02)
    optim.update_params(output.float().square().mean())
    assert model.weight.dtype == torch.float32 and not torch.equal(model.weight, before)


def test_accumulation_and_clipping_are_those_of_mmengine():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    optim = wrapper(model, accumulative_counts=2, clip_grad=dict(max_norm=1e-3))
    optim.initialize_count_status(model, 0, 4)
    before = model.weight.detach().clone()
    steps = []
    for _ in range(2):
        with optim.optim_context(model):
            loss = model(torch.ones(1, 2)).float().sum()
        optim.update_params(loss)
        steps.append((model.weight - before).norm().item())
    assert steps[0] == 0 and 0 < steps[1] <= 0.1 * 1e-3 * 1.01


def test_a_type_that_needs_scaling_is_refused():
    with pytest.raises(ValueError, match='AmpOptimWrapper for float16'):
        wrapper(nn.Linear(1, 1), dtype='float16')
