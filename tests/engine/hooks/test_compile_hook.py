"""Compiled parts give the same numbers for every shape, and keep their names."""

from __future__ import annotations

import copy
import logging
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmdet.models.necks import FPN
from torch import nn

from mmdet_multigrain.engine.hooks import CompileHook


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 64, 3, stride=2, padding=1), nn.ReLU())
        self.neck = FPN([64, 64], 64, 2)

    def forward(self, images):
        first = self.backbone(images)
        return self.neck([first, nn.functional.max_pool2d(first, 2)])


def compiled(model, **options):
    runner = SimpleNamespace(model=model, logger=logging.getLogger('test'))
    CompileHook(**options).before_train(runner)
    return model


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    'backend',
    [
        'aot_eager',
        pytest.param(
            'inductor',
            marks=pytest.mark.skipif(
                shutil.which('g++') is None, reason='inductor needs a C++ compiler on a CPU'
            ),
        ),
    ],
)
def test_numbers_agree_for_shapes_that_vary(backend):
    torch.manual_seed(0)
    plain = Body()
    # The neck takes inductor a minute on a busy CPU.
    modules = ('backbone', 'neck') if backend == 'aot_eager' else ('backbone',)
    other = compiled(copy.deepcopy(plain), modules=modules, backend=backend, dynamic=True)
    assert list(other.state_dict()) == list(plain.state_dict())
    for shape in ((32, 48), (48, 32), (64, 64)):
        images = torch.randn(2, 3, *shape)
        for left, right in zip(plain(images), other(images), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)
    for model in (plain, other):
        sum(output.square().sum() for output in model(images)).backward()
    for left, right in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-3, atol=1e-3)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(AttributeError, match='nek'):
        compiled(Body(), modules=('nek',))
