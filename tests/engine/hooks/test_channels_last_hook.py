"""Weights turn to NHWC, numbers stay, and operators that would misread them are refused."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmdet.models.backbones import ResNet
from mmdet.models.necks import FPN
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import nn

from mmdet_multigrain.engine.hooks import ChannelsLastHook
from mmdet_multigrain.models import PlainRoIExtractor

EXTRACTOR = dict(
    roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
    out_channels=64,
    featmap_strides=[4, 8, 16, 32],
)


class Body(nn.Module):
    """Backbone, neck, and RoI features.

    As wide as a real ResNet-18: with fewer than 8 channels in channels-last, oneDNN's AVX2 kernels
    for 1x1 convolutions of stride 2 give wrong numbers or crash. With the statistics of batch norm
    fixed, as detectors train: those of two small images turn rounding into large differences.
    """

    def __init__(self, extractor=PlainRoIExtractor):
        super().__init__()
        self.backbone = ResNet(18, norm_eval=True)
        self.neck = FPN([64, 128, 256, 512], 64, 4)
        self.roi_extractor = extractor(**EXTRACTOR)
        self.train()

    def forward(self, images, rois):
        return self.roi_extractor(self.neck(self.backbone(images)), rois)


def turned(model):
    ChannelsLastHook().before_train(SimpleNamespace(model=model))
    return model


def test_features_and_gradients_agree_to_rounding():
    torch.manual_seed(0)
    plain = Body()
    other = turned(copy.deepcopy(plain))
    weight = other.backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    images = torch.randn(2, 3, 64, 96)
    rois = torch.tensor([[0, 2.0, 3, 50, 60], [1, 10, 5, 90, 40]])
    outputs = [model(images, rois) for model in (plain, other)]
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4)
    for output in outputs:
        output.square().sum().backward()
    for (name, left), right in zip(plain.named_parameters(), other.parameters(), strict=True):
        scale = left.grad.abs().max().item() if left.grad is not None else 0
        if scale:
            difference = (left.grad - right.grad).abs().max().item()
            assert difference < 1e-3 * scale, name


def test_checkpoints_go_both_ways(tmp_path):
    plain, other = Body(), turned(Body())
    for source, target in ((plain, other), (other, plain)):
        torch.save(source.state_dict(), tmp_path / 'weights.pth')
        strides = [tensor.stride() for tensor in target.parameters()]
        target.load_state_dict(torch.load(tmp_path / 'weights.pth', weights_only=True))
        assert [tensor.stride() for tensor in target.parameters()] == strides
        for left, right in zip(source.parameters(), target.parameters(), strict=True):
            assert torch.equal(left, right)


def test_an_operator_that_would_misread_them_is_refused():
    with pytest.raises(ValueError, match=r'model\.roi_extractor\.roi_layers\.0: RoIAlign') as error:
        turned(Body(SingleRoIExtractor))
    assert '\n' not in str(error.value)
