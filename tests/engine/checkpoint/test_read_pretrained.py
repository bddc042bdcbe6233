"""Weights by `init_cfg`: loaded as checkpoints are, whatever asks for them."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import WEIGHT_INITIALIZERS
from mmengine.model import BaseModule
from torch import nn

from mmdet_multigrain.engine.checkpoint.read import PretrainedInit
from mmdet_multigrain.utils.errors import CheckpointError, UntrustedCheckpointError

from .payloads import Evaluate


class Layer(BaseModule):
    """One layer with weights from a file."""

    def __init__(self, path):
        super().__init__(dict(type='Pretrained', checkpoint=str(path)))
        self.layer = nn.Linear(2, 1)


def test_weights_of_a_file(tmp_path):
    assert WEIGHT_INITIALIZERS.get('Pretrained') is PretrainedInit
    path = tmp_path / 'a.pth'
    torch.save({'layer.weight': torch.tensor([[3.0, 4.0]]), 'layer.bias': torch.ones(1)}, path)
    module = Layer(path)
    PretrainedInit(str(path))(module)
    assert module.layer.weight.tolist() == [[3, 4]] and module.layer.bias.item() == 1


def test_files_that_cannot_be_used(tmp_path):
    marker, path = tmp_path / 'ran', tmp_path / 'bad.pth'
    torch.save({'layer.weight': Evaluate(marker)}, path)
    with pytest.raises(UntrustedCheckpointError, match=f'^{path}: holds more than weights'):
        PretrainedInit(str(path))(Layer(path))
    assert not marker.exists()
    with pytest.raises(CheckpointError, match='gone.pth: '):
        PretrainedInit(str(tmp_path / 'gone.pth'))(Layer('x'))
