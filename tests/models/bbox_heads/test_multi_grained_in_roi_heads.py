"""The multi-grained head in the stock RoI heads, with their assigners and samplers."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from .made_heads import SMALL, make_head, total


def roi_head_config(kind, bbox_head, with_mask=False):
    extractor = dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
        out_channels=4,
        featmap_strides=[4],
    )
    rcnn = dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.5,
            ignore_iof_thr=-1,
        ),
        sampler=dict(type='RandomSampler', num=16, pos_fraction=0.5, add_gt_as_proposals=True),
        pos_weight=-1,
        mask_size=6,
    )
    config = dict(
        type=kind,
        bbox_roi_extractor=extractor,
        bbox_head=bbox_head,
        train_cfg=rcnn,
        test_cfg=dict(
            score_thr=0.0,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=10,
            mask_thr_binary=0.5,
        ),
    )
    if with_mask:
        config['mask_roi_extractor'] = extractor
        config['mask_head'] = dict(
            type='FCNMaskHead',
            num_convs=1,
            in_channels=4,
            conv_out_channels=4,
            num_classes=5,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        )
    if kind.endswith('CascadeRoIHead'):
        config.update(
            num_stages=2,
            stage_loss_weights=[1, 0.5],
            train_cfg=[rcnn, copy.deepcopy(rcnn)],
        )
    return ConfigDict(config)


def one_image(with_mask=False):
    import numpy as np
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[4.0, 4.0, 40.0, 40.0], [20.0, 10.0, 60.0, 50.0]]),
        labels=torch.tensor([1, 4]),
    )
    if with_mask:
        sample.gt_instances.masks = BitmapMasks(np.ones((2, 64, 64), dtype=np.uint8), 64, 64)
        sample.set_metainfo(dict(ori_shape=(64, 64)))
    sample.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
    )
    proposals = InstanceData(
        bboxes=torch.tensor([[2.0, 2.0, 42.0, 38.0], [22.0, 8.0, 58.0, 52.0], [0, 30, 10, 60.0]]),
        scores=torch.tensor([0.9, 0.8, 0.3]),
    )
    return sample, proposals


@pytest.mark.parametrize('reg_weights', [(0, 1), (1, 1)])
def test_hard_rois_are_mined_by_the_fine_loss(reg_weights, garments):
    bbox_head = dict(
        type='MultiGrainedBBoxHead', taxonomy=garments.to_dict(), reg_weights=reg_weights, **SMALL
    )
    config = roi_head_config('StandardRoIHead', bbox_head)
    sampler = dict(type='OHEMSampler', loss_key='loss_cls_fine', num=2, pos_fraction=0.5)
    config.train_cfg.sampler = sampler
    roi_head = MODELS.build(config)
    sample, proposals = one_image()
    losses = roi_head.loss((torch.randn(1, 4, 16, 16),), [proposals], [sample])
    assert losses['loss_cls_fine'] > 0 and losses['loss_bbox'] > 0


@pytest.mark.parametrize('with_mask', [False, True])
@pytest.mark.parametrize('kind', ['StandardRoIHead', 'CascadeRoIHead'])
@pytest.mark.parametrize('reg_weights', [(0, 1), (1, 1)])
def test_stock_roi_heads_train_and_predict(kind, with_mask, reg_weights, garments):
    bbox_head = dict(
        type='MultiGrainedBBoxHead', taxonomy=garments.to_dict(), reg_weights=reg_weights, **SMALL
    )
    torch.manual_seed(0)
    roi_head = MODELS.build(roi_head_config(kind, bbox_head, with_mask))
    roi_head.init_weights()
    sample, proposals = one_image(with_mask)
    features = (torch.randn(1, 4, 16, 16, requires_grad=True),)
    losses = roi_head.loss(features, [copy.deepcopy(proposals)], [sample])
    total(losses).backward()
    for name, parameter in roi_head.named_parameters():
        assert parameter.grad is not None, name
    assert any(key.endswith('loss_cls_coarse') for key in losses)

    roi_head.eval()
    with torch.no_grad():
        results = roi_head.predict(features, [proposals], [sample], rescale=False)
    assert len(results[0]) > 0
    assert results[0].labels.max() < 5
    assert ('masks' in results[0]) == with_mask


def test_random_sampling_results_are_understood(garments):
    """Targets from mmdet's own sampler, through loss_and_target."""
    head = make_head(garments)
    sampling = SamplingResult.random(rng=10)
    sampling.pos_gt_labels = sampling.pos_gt_labels % 5
    num = len(sampling.priors)
    rois = torch.cat([torch.zeros(num, 1), sampling.priors], 1)
    cls_score, bbox_pred = head(torch.randn(num, 4, 3, 3))
    result = head.loss_and_target(cls_score, bbox_pred, rois, [sampling], ConfigDict(pos_weight=-1))
    assert total(result['loss_bbox']).isfinite()
