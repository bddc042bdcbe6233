"""RoI features are those of the stock extractor on contiguous maps in single precision."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

from mmdet_multigrain.models import PlainRoIExtractor

ARGUMENTS = dict(
    roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
    out_channels=4,
    featmap_strides=[4, 8],
)


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(2, 4, size, size, generator=generator, requires_grad=True) for size in (40, 20)
    )


@pytest.fixture
def rois():
    boxes = [[0, 3.2, 5.1, 40.7, 60.3], [1, 10, 20, 155, 140.5], [1, 0, 0, 9, 8]]
    return torch.tensor(boxes)


def features(kind, maps, rois):
    return kind(**ARGUMENTS)(maps, rois)


def test_plain_maps_give_the_stock_features_and_gradients(maps, rois):
    found = features(PlainRoIExtractor, maps, rois)
    expected = features(SingleRoIExtractor, maps, rois)
    assert torch.equal(found, expected)
    for left, right in zip(
        torch.autograd.grad(found.square().sum(), maps),
        torch.autograd.grad(expected.square().sum(), maps),
        strict=True,
    ):
        assert torch.equal(left, right)


def test_channels_last_maps_give_the_same_features(maps, rois):
    expected = features(SingleRoIExtractor, maps, rois)
    turned = tuple(one.to(memory_format=torch.channels_last) for one in maps)
    found = features(PlainRoIExtractor, turned, rois)
    assert torch.equal(found, expected)
    found.sum().backward()
    assert all(one.grad.abs().sum() > 0 for one in maps)
    # Why there is this class: mmcv reads the storage as if it were contiguous.
    assert not torch.allclose(features(SingleRoIExtractor, turned, rois), expected, atol=0.1)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_maps_are_read_in_single_precision(dtype, maps, rois):
    low = tuple(one.to(dtype) for one in maps)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = features(PlainRoIExtractor, low, rois)
    assert found.dtype == torch.float32
    assert torch.equal(found, features(SingleRoIExtractor, [one.float() for one in low], rois))


def test_no_rois(maps):
    found = features(PlainRoIExtractor, maps, torch.zeros(0, 5))
    assert found.shape == (0, 4, 3, 3)


def test_rois_can_be_enlarged(maps, rois):
    found, expected = (
        kind(**ARGUMENTS)(maps, rois, roi_scale_factor=1.5)
        for kind in (PlainRoIExtractor, SingleRoIExtractor)
    )
    assert torch.equal(found, expected)
    assert not torch.equal(found, features(PlainRoIExtractor, maps, rois))


def test_its_layers_run_without_mixed_precision(maps, rois):
    extractor, seen = PlainRoIExtractor(**ARGUMENTS), []
    for layer in extractor.roi_layers:
        layer.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled('cpu')))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        extractor(maps, rois)
        assert torch.is_autocast_enabled('cpu')
    assert seen and not any(seen)
