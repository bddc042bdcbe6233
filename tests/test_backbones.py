"""Other backbones and necks under the multi-grained head: the configs of docs/compositions.md."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_multigrain.configs import config_folder
from mmdet_multigrain.engine.checkpoint.frozen import frozen_at_random
from mmdet_multigrain.launch import load_config

from .doc_blocks import block

# A small head and few proposals; no weights to download.
SMALL = {
    'taxonomy': 'deepfashion2',
    'max_iters': 9,
    'model.roi_head.bbox_head.fc_out_channels': 8,
    'model.train_cfg.rpn_proposal.nms_pre': 20,
    'model.train_cfg.rcnn.sampler.num': 8,
}
NO_INIT = {'model.backbone.init_cfg': None}
R50 = "_base_ = 'CONFIGS/multigrain/wgroup_r50_fpn_custom.py'\n"


def built(tmp_path, text, options):
    """The detector of a config, from random values."""
    path = tmp_path / 'mine.py'
    path.write_text(text.replace('CONFIGS', str(config_folder())))
    cfg = load_config(path, {**SMALL, **options})
    torch.manual_seed(0)
    return cfg, MODELS.build(cfg.model)


def check(tmp_path, text, options):
    """The loss of one image has gradients down to the first layer of the backbone that learns."""
    cfg, model = built(tmp_path, text, options)
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[4.0, 4, 40, 40], [20, 10, 60, 50]]), labels=torch.tensor([1, 4])
    )
    inputs = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)]
    model.train()
    batch = model.data_preprocessor(dict(inputs=inputs, data_samples=[sample]), training=True)
    losses = model(**batch, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert loss.isfinite() and {'loss_cls_fine', 'loss_cls_coarse', 'loss_bbox'} <= losses.keys()
    learns = [p for p in model.backbone.parameters() if p.requires_grad]
    assert learns[0].grad is not None and learns[0].grad.abs().sum() > 0
    return cfg, model


def test_resnet_50(tmp_path):
    _, model = check(tmp_path, R50, NO_INIT)
    assert model.backbone.depth == 50


def test_resnet_101(tmp_path):
    cfg, model = check(tmp_path, block('docs/compositions.md', 'depth=101'), NO_INIT)
    assert model.backbone.depth == 101 and 'r101' in cfg.load_from


def test_swin_t(tmp_path):
    cfg, model = check(tmp_path, block('docs/compositions.md', 'SwinTransformer'), NO_INIT)
    assert type(model.backbone).__name__ == 'SwinTransformer'
    assert type(model.neck).__name__ == 'PAFPN'
    assert cfg.load_from is None and frozen_at_random(model, ()) == []


def test_convnext_t(tmp_path):
    pytest.importorskip('mmpretrain')
    cfg, model = check(tmp_path, block('docs/compositions.md', 'mmpretrain.ConvNeXt'), NO_INIT)
    assert type(model.backbone).__name__ == 'ConvNeXt' and frozen_at_random(model, ()) == []


def test_timm(tmp_path):
    pytest.importorskip('mmpretrain')
    pytest.importorskip('timm')
    options = {'model.backbone.pretrained': False}
    _, model = check(tmp_path, block('docs/compositions.md', 'TIMMBackbone'), options)
    assert type(model.backbone).__name__ == 'TIMMBackbone'
