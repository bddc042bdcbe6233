"""Small one-stage heads, and a stock one with the same values."""

from __future__ import annotations

import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

META = dict(img_shape=(64, 64), pad_shape=(64, 64), scale_factor=(1.0, 1.0))
RTMDET = ConfigDict(
    type='RTMDetSepBNHead',
    in_channels=4,
    feat_channels=4,
    stacked_convs=1,
    share_conv=True,
    with_objectness=False,
    exp_on_reg=True,
    anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16]),
    bbox_coder=dict(type='DistancePointBBoxCoder'),
    loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
    loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    train_cfg=dict(
        assigner=dict(type='DynamicSoftLabelAssigner', topk=13), allowed_border=-1, pos_weight=-1
    ),
    test_cfg=dict(
        nms_pre=300, score_thr=0.001, nms=dict(type='nms', iou_threshold=0.65), max_per_img=500
    ),
)
DINO = ConfigDict(
    type='DINOHead',
    embed_dims=8,
    num_pred_layer=3,
    as_two_stage=True,
    sync_cls_avg_factor=True,
    loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    loss_bbox=dict(type='L1Loss', loss_weight=5.0),
    loss_iou=dict(type='GIoULoss', loss_weight=2.0),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='FocalLossCost', weight=2.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=20),
)


def of_nodes(config, taxonomy, **arguments):
    """The head with outputs for the nodes of a taxonomy."""
    more = dict(type=f'Node{config.type}', taxonomy=taxonomy)
    if config is RTMDET:
        assigner = dict(type='NodeSoftLabelAssigner', topk=13)
        more['train_cfg'] = dict(config.train_cfg, assigner=assigner)
    torch.manual_seed(0)
    head = MODELS.build(ConfigDict({**config, **more, **arguments}))
    head.init_weights()
    return head


def stock_of(head, config, num_classes):
    """The stock head with the values of its outputs for classes."""
    stock = MODELS.build(ConfigDict({**config, 'num_classes': num_classes}))
    values = head.state_dict()
    stock.load_state_dict(
        {
            name: values[name][: len(own)] if own.dim() else values[name]
            for name, own in stock.state_dict().items()
        }
    )
    return stock


def truth(*labels):
    """An object for each label, in two places by turns."""
    boxes = torch.tensor([[2.0, 2, 30, 34], [30, 20, 60, 58]])
    rows = torch.arange(len(labels)) % 2
    return InstanceData(bboxes=boxes[rows], labels=torch.tensor(labels, dtype=torch.long))
