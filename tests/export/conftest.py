"""Detectors with random weights that see plenty, in pictures with something to see."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict

from mmdet_multigrain.launch import load_config

SMALL = {
    'model.backbone.base_channels': 8,
    'model.neck.in_channels': [8, 16, 32, 64],
    'model.roi_head.bbox_head.fc_out_channels': 32,
}


@pytest.fixture(scope='session', autouse=True)
def one_thread() -> None:
    """No fight for cores."""
    torch.set_num_threads(1)


@pytest.fixture
def small_config(repository):
    """Loads a small config of a variant, with further options."""

    def load(variant: str = 'wgroup', **options) -> Config:
        path = repository / 'configs' / 'multigrain' / f'{variant}_r18_fpn_synthetic.py'
        return load_config(path, {**SMALL, **options})

    return load


def build(config: ConfigDict) -> torch.nn.Module:
    """A detector in evaluation mode whose scores and boxes differ from RoI to RoI."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ('fc_cls', 'fc_reg', 'rpn_cls')):
                parameter.mul_(400 if 'fc_cls' in name else 20)
        for name, buffer in model.named_buffers():
            if name.endswith('running_var'):
                buffer.uniform_(0.5, 2)
    return model.eval()


@pytest.fixture(scope='session')
def pictures() -> list[np.ndarray]:
    """Blurred noise of four shapes, none a multiple of the padding but one."""
    random = np.random.default_rng(0)
    shapes = ((100, 75), (64, 96), (33, 190), (131, 131))
    return [
        cv2.GaussianBlur(random.integers(0, 256, (*shape, 3), dtype=np.uint8), (0, 0), 4) * 3
        for shape in shapes
    ]
