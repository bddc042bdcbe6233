"""Frozen parts of backbones with and without weights."""

from __future__ import annotations

import pytest
from mmdet.registry import MODELS
from mmengine.model import PretrainedInit
from torch import nn

import mmdet_multigrain.register  # noqa: F401
from mmdet_multigrain.engine.checkpoint.frozen import frozen_at_random

RESNET = dict(type='ResNet', depth=18)
PRETRAINED = dict(type='Pretrained', checkpoint='nowhere.pth')
RANDOM = [dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', val=1, layer='BatchNorm2d')]


class Detector(nn.Module):
    """A backbone under the name that it has in a detector, and a neck."""

    def __init__(self, **backbone):
        super().__init__()
        self.backbone = MODELS.build(dict(RESNET, **backbone))
        self.neck = nn.Conv2d(1, 1, 1).requires_grad_(False)


def test_nothing_frozen():
    # A model that was loaded for a test trains its batch norm later.
    assert frozen_at_random(Detector(frozen_stages=-1, norm_eval=False).eval(), ()) == []
    assert frozen_at_random(nn.Linear(1, 1).requires_grad_(False), ()) == []


@pytest.mark.parametrize('init_cfg', [None, RANDOM, dict(type='Xavier', layer='Conv2d')])
def test_frozen_stages(init_cfg):
    model = Detector(frozen_stages=0, norm_eval=False, init_cfg=init_cfg)
    parameters = [f'backbone.{name}' for name in ('conv1.weight', 'bn1.weight', 'bn1.bias')]
    statistics = ['backbone.bn1.running_mean', 'backbone.bn1.running_var']
    assert frozen_at_random(model, ()) == parameters + statistics
    assert frozen_at_random(model, model.state_dict().keys()) == []
    assert frozen_at_random(model, {'backbone.conv1.weight'}) == parameters[1:] + statistics


def test_batch_norm_in_evaluation():
    names = frozen_at_random(Detector(frozen_stages=-1, norm_eval=True), ())
    assert {name.rsplit('.')[-1] for name in names} == {'running_mean', 'running_var'}
    assert len(names) == 2 * 20  # batch norms of ResNet-18


@pytest.mark.parametrize(
    'init_cfg',
    [
        PRETRAINED,
        [*RANDOM, PRETRAINED],
        dict(type=PretrainedInit, checkpoint='nowhere.pth'),
        dict(type='PackagedEfficientNetLite0'),
    ],
)
def test_weights_by_init_cfg(init_cfg):
    assert frozen_at_random(Detector(frozen_stages=1, init_cfg=init_cfg), ()) == []
    whole = Detector(frozen_stages=1)
    whole.init_cfg = init_cfg
    assert frozen_at_random(whole, ()) == []


def test_weights_of_another_part():
    model = Detector(frozen_stages=1)
    model.neck.init_cfg = PRETRAINED
    model.backbone.layer1.init_cfg = PRETRAINED
    names = frozen_at_random(model, ())
    assert 'backbone.conv1.weight' in names
    assert not any(name.startswith('backbone.layer1.') for name in names)
