"""Options for faster training: what they merge, what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmcv.image.geometric import rescale_size
from mmdet.models.backbones import ResNet
from mmdet.registry import HOOKS, MODELS, OPTIM_WRAPPERS
from mmengine.config import Config
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval

from mmdet_multigrain.engine.runner.resolver import resolve
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.models import Float32RPNHead, PlainRoIExtractor
from mmdet_multigrain.speed import describe_options, merge_options, option_names

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'multigrain'
SMALL = CONFIGS / 'wgroup_r18_fpn_synthetic.py'
ALL = option_names()


@pytest.mark.parametrize('name', ALL)
def test_each_option_changes_a_config_that_still_builds(name):
    plain, fast = load_config(SMALL), load_config(SMALL, speed=[name])
    assert fast.to_dict() != plain.to_dict()
    model = MODELS.build(fast.model)
    if name.startswith('amp'):
        assert isinstance(model.rpn_head, Float32RPNHead)
    if name.startswith('amp') or name == 'channels-last':
        assert isinstance(model.roi_head.bbox_roi_extractor, PlainRoIExtractor)
    assert [hook['type'] for hook in fast.custom_hooks[: len(plain.custom_hooks)]] == [
        hook['type'] for hook in plain.custom_hooks
    ]
    assert all(hook['type'] in HOOKS for hook in fast.custom_hooks)
    assert fast.optim_wrapper.type in OPTIM_WRAPPERS
    assert fast.optim_wrapper.optimizer.lr == plain.optim_wrapper.optimizer.lr


def test_all_that_agree_go_together_and_hooks_add_up():
    names = [name for name in ALL if name != 'amp-fp16']
    cfg = load_config(SMALL, speed=names)
    kinds = [hook['type'] for hook in cfg.custom_hooks]
    assert {'ChannelsLastHook', 'CompileHook', 'MatmulPrecisionHook'} <= set(kinds)
    assert cfg.efficient_conv_bn_eval == ['backbone']
    assert cfg.optim_wrapper.optimizer.fused and cfg.env_cfg.cudnn_benchmark
    assert cfg.optim_wrapper.type == 'AutocastOptimWrapper'
    twice = load_config(SMALL, speed=['tf32', 'tf32'])
    assert [hook['type'] for hook in twice.custom_hooks].count('MatmulPrecisionHook') == 1


@pytest.mark.parametrize('name', ALL)
def test_an_active_option_is_described(name):
    def described(*names, device='cuda', norm_eval=True, **more):
        cfg = load_config(SMALL, more, speed=names)
        resolve(cfg)
        return describe_options(cfg.to_dict(), device=device, norm_eval=norm_eval)

    assert described() == []
    assert described(name) == [name]
    (on_cpu,) = described(name, device='cpu')
    idle = {'cudnn-benchmark', 'pinned-loading', 'tf32'}
    assert (on_cpu == name) is (name not in idle) and on_cpu.startswith(name)
    (learning,) = described(name, norm_eval=False)
    assert learning == (
        f'{name} (does nothing where batch norm learns (norm_eval=False))'
        if name == 'efficient-conv-bn'
        else name
    )


def test_an_option_that_is_overridden_is_not_active():
    cfg = load_config(
        SMALL, {'optim_wrapper.optimizer.fused': False}, speed=['fused-optimizer', 'tf32']
    )
    assert describe_options(cfg.to_dict(), device='cuda', norm_eval=True) == ['tf32']
    other = dict(efficient_conv_bn_eval='backbone')  # a list in the option
    assert describe_options(other, device='cuda', norm_eval=True) == []


def test_overrides_come_after_options():
    cfg = load_config(SMALL, {'optim_wrapper.optimizer.fused': False}, speed=['fused-optimizer'])
    assert cfg.optim_wrapper.optimizer.fused is False


def test_a_config_can_name_its_options(tmp_path):
    path = tmp_path / 'fast.py'
    path.write_text(f"_base_ = '{SMALL}'\nspeed = ['tf32', 'channels_last']\n")
    cfg = load_config(path)
    assert 'speed' not in cfg
    assert [hook['type'] for hook in cfg.custom_hooks][-2:] == [
        'MatmulPrecisionHook',
        'ChannelsLastHook',
    ]
    cfg.dump(tmp_path / 'dumped.py')  # what a run writes into its folder
    assert load_config(tmp_path / 'dumped.py').custom_hooks == cfg.custom_hooks


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['amp-bf'], "--speed amp-bf: no such option; did you mean 'amp-bf16'?"),
        (['quick'], 'there are amp-bf16, amp-fp16, channels-last'),
        (['amp-fp16', 'amp-bf16'], 'amp-fp16 and amp-bf16 both set optim_wrapper.type'),
    ],
)
def test_what_cannot_be_is_said_in_one_line(names, message):
    with pytest.raises(ValueError) as error:
        merge_options(Config(), names)
    assert message in str(error.value) and '\n' not in str(error.value)


def resnet(frozen_stages: int) -> ResNet:
    """One with all statistics of batch norm fixed, but not the trivial ones."""
    torch.manual_seed(0)
    model = ResNet(18, frozen_stages=frozen_stages, norm_eval=True)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    model.train()
    return model


def test_frozen_stages_take_no_part_in_the_backward_pass_as_it_is():
    first, second, *_ = resnet(frozen_stages=1)(torch.randn(1, 3, 64, 64))
    assert first.grad_fn is None and second.grad_fn is not None


def test_batch_norm_in_the_convolution_gives_the_same_to_rounding():
    plain, other = resnet(frozen_stages=1), resnet(frozen_stages=1)
    turn_on_efficient_conv_bn_eval(torch.nn.ModuleDict({'backbone': other}), ['backbone'])
    images = torch.randn(2, 3, 64, 64)
    results = [model(images) for model in (plain, other)]
    for left, right in zip(*results, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-4)
    for outputs in results:
        sum(output.square().sum() for output in outputs[1:]).backward()
    for left, right in zip(plain.parameters(), other.parameters(), strict=True):
        assert (left.grad is None) == (right.grad is None)
        if left.grad is not None:
            assert (left.grad - right.grad).norm() <= 1e-3 * left.grad.norm() + 1e-6


def test_padding_further_leaves_few_shapes():
    """Every shape that photos of 1:2 to 2:1 can get from six short edges."""
    cfg = load_config(CONFIGS / 'wgroup_r101_fpn_df2.py', speed=['cudnn-benchmark'])
    scales = cfg.train_pipeline[2]['scales']
    counts = {}
    for divisor in (32, cfg.model.data_preprocessor.pad_size_divisor):
        padded = {
            tuple(-(-edge // divisor) * divisor for edge in rescale_size((width, 1000), scale))
            for width in range(500, 2001)
            for scale in scales
        }
        counts[divisor] = len(padded)
    assert counts == {32: 236, 64: 78}  # docs/speed.md
