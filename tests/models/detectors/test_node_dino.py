"""A small DINO trains on boxes of any granularity; its denoising queries are of classes."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from mmdet_multigrain.engine.incomplete_labels import _check_heads
from mmdet_multigrain.models import NodeDINO
from mmdet_multigrain.utils.errors import ConfigError

from ..dense_heads.made_node_heads import DINO, META, truth

K, TOP, BOTTOM, OBJECT = 5, 6, 7, 8
SIDE = 64
LAYER = dict(ffn_cfg=dict(embed_dims=16, feedforward_channels=16, ffn_drop=0.0))
SELF = dict(embed_dims=16, num_heads=2, dropout=0.0)
ACROSS = dict(embed_dims=16, num_heads=2, num_levels=2, dropout=0.0)
MODEL = ConfigDict(
    type='NodeDINO',
    num_queries=12,
    num_feature_levels=2,
    with_box_refine=True,
    as_two_stage=True,
    backbone=dict(type='ResNet', depth=18, base_channels=8, out_indices=(2, 3)),
    neck=dict(
        type='ChannelMapper',
        in_channels=[32, 64],
        kernel_size=1,
        out_channels=16,
        act_cfg=None,
        norm_cfg=dict(type='GN', num_groups=4),
        num_outs=2,
    ),
    encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=ACROSS, **LAYER)),
    decoder=dict(
        num_layers=2,
        return_intermediate=True,
        layer_cfg=dict(self_attn_cfg=SELF, cross_attn_cfg=ACROSS, **LAYER),
        post_norm_cfg=None,
    ),
    positional_encoding=dict(num_feats=8, normalize=True),
    bbox_head={
        key: value
        for key, value in DINO.items()
        if key not in ('num_pred_layer', 'as_two_stage', 'train_cfg', 'test_cfg')
    }
    | dict(type='NodeDINOHead', embed_dims=16),
    dn_cfg=dict(
        label_noise_scale=0.5,
        box_noise_scale=1.0,
        group_cfg=dict(dynamic=True, num_groups=None, num_dn_queries=8),
    ),
    train_cfg=DINO.train_cfg,
    test_cfg=dict(max_per_img=20),
)


@pytest.fixture
def build(garments):
    def build(**arguments):
        config = MODEL | arguments
        if config['bbox_head']['type'] == 'NodeDINOHead':
            config['bbox_head'] = config['bbox_head'] | dict(taxonomy=garments)
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(config))
        model.init_weights()
        return model

    return build


def samples(*objects):
    meta = META | dict(batch_input_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE))
    return [DetDataSample(metainfo=meta, gt_instances=one) for one in objects]


@pytest.mark.parametrize('coarse', [True, False])
def test_a_step(build, coarse):
    model = build().train()
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    objects = (truth(TOP, OBJECT), truth(1, BOTTOM)) if coarse else (truth(0, 3), truth())
    losses = model.loss(images, samples(*objects))
    assert {'loss_cls', 'enc_loss_cls', 'dn_loss_cls', 'd0.loss_bbox'} <= losses.keys()
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    model.eval()
    for found in model.predict(images, samples(truth(), truth())):
        assert len(found.pred_instances) == 20 and found.pred_instances.labels.max() < K


def test_denoising_queries_are_of_classes(build):
    model = build()
    (sample,) = samples(truth(3, TOP, BOTTOM, OBJECT))
    drawn = torch.stack([model._of_classes(sample).gt_instances.labels for _ in range(100)])
    assert [sorted({*column.tolist()}) for column in drawn.T] == [[3], [0, 2], [1, 4], [*range(5)]]
    assert sample.gt_instances.labels.tolist() == [3, TOP, BOTTOM, OBJECT]
    assert torch.equal(model._of_classes(sample).gt_instances.bboxes, sample.gt_instances.bboxes)
    (sample,) = samples(truth(3, 0))
    assert model._of_classes(sample) is sample  # as stock, without a draw


def test_only_nodedino_takes_coarse_labels(build, garments):
    _check_heads(build(), 'train.json', 1, garments)
    with pytest.raises(ConfigError, match='the NodeDINOHead of model.bbox_head cannot learn'):
        _check_heads(build(type='DINO'), 'train.json', 1, garments)
    head = dict(MODEL['bbox_head'], type='DINOHead', num_classes=K)
    with pytest.raises(ConfigError, match='of type DINOHead: NodeDINO needs NodeDINOHead'):
        build(bbox_head=head)
    assert NodeDINO.__name__ == MODEL.type
