"""The fine branch as a stock model: which tensors, which losses, bit-equal outputs, refusals."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.losses import SeesawLoss
from mmdet.models.roi_heads import CascadeRoIHead, SingleRoIExtractor, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead, Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from mmdet_multigrain.export.stock_model import check_added, stock_model
from mmdet_multigrain.utils.errors import ExportError

from .conftest import build

HEAD = 'model.roi_head.bbox_head.'


def exported(config):
    model = build(config)
    stock_config, tensors = stock_model(config.to_dict(), model)
    stock = MODELS.build(ConfigDict(copy.deepcopy(stock_config)))
    stock.load_state_dict(tensors)
    return model, stock.eval(), stock_config, tensors


def same_head_outputs(model, stock):
    features = torch.randn(50, 128, 7, 7)
    with torch.no_grad():
        ours, theirs = model.roi_head.bbox_head(features), stock.roi_head.bbox_head(features)
    assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    return ours


@pytest.mark.parametrize('variant', ['wgroup', 'wogroup'])
def test_the_fine_branch_becomes_shared2fc(variant, small_config):
    model, stock, config, tensors = exported(small_config(variant).model)
    head, trained = stock.roi_head.bbox_head, model.roi_head.bbox_head
    assert type(head) is Shared2FCBBoxHead
    assert config['roi_head']['bbox_head']['num_classes'] == 13
    assert torch.equal(head.shared_fcs[0].weight, trained.branch_in.weight[32:])
    assert torch.equal(head.shared_fcs[1].bias, trained.branch_fcs[1][0].bias)
    same_head_outputs(model, stock)
    coarse = 32 * 128 * 49 + 32 + 14 * 32 + 14
    counts = [sum(value.numel() for value in part.parameters()) for part in (model, stock)]
    assert counts[0] - counts[1] == coarse
    # A slice of `branch_in` would take its other half along into the file.
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in tensors.values())


def test_fusion_has_no_stock_equal(small_config):
    config = small_config().model
    config.roi_head.bbox_head.fusion = dict(type='ProductFusion', gamma=0.5)
    with pytest.raises(
        ExportError, match='scores .fusion: ProductFusion., which no stock head does; leave'
    ):
        exported(config)
    config.roi_head.bbox_head.fusion.gamma = 0
    assert 'fusion' not in exported(config)[2]['roi_head']['bbox_head']


def test_added_classes_apart_cannot_be_exported(small_config):
    config = small_config().model
    config.roi_head.bbox_head.added = dict(classes=1)
    model = build(config)
    for export in (partial(stock_model, config.to_dict()), check_added):
        with pytest.raises(ExportError, match='added classes apart from the old ones .added., whi'):
            export(model)


def test_a_stock_detector_of_one_stage_is_not_exported():
    config = dict(
        type='RetinaNet',
        backbone=dict(type='ResNet', depth=18, out_indices=(2, 3)),
        neck=dict(type='FPN', in_channels=[256, 512], out_channels=8, num_outs=2),
        bbox_head=dict(
            type='RetinaHead',
            num_classes=5,
            in_channels=8,
            feat_channels=8,
            anchor_generator=dict(
                type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.0],
                strides=[16, 32],
            ),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
            loss_cls=dict(type='FocalLoss', use_sigmoid=True),
            loss_bbox=dict(type='L1Loss'),
        ),
    )  # fmt: skip
    with pytest.raises(ExportError, match='.RetinaNet. has no RoI head; only two-stage'):
        stock_model(config, build(ConfigDict(config)))


def test_the_model_given_stays_as_it_is(small_config):
    config = small_config().model
    model = build(config)
    before, text = {k: v.clone() for k, v in model.state_dict().items()}, str(config)
    _, tensors = stock_model(config.to_dict(), model)
    for value in tensors.values():
        value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert str(config) == text


def test_losses_keep_their_weights(small_config):
    options = {
        HEAD + 'reg_weights': [0.5, 2.0],
        HEAD + 'loss_cls.level_weights': [1.0, 3.0],
        HEAD + 'loss_cls.fine_loss': dict(type='CrossEntropyLoss', loss_weight=0.5),
    }
    model, stock, *_ = exported(small_config(**options).model)
    assert stock.roi_head.bbox_head.loss_cls.loss_weight == 1.5
    assert stock.roi_head.bbox_head.loss_bbox.loss_weight == 2.0
    deltas = torch.randn(50, 128, 7, 7)
    with torch.no_grad():
        assert model.roi_head.bbox_head(deltas)[1].shape == (50, 52)


def test_losses_of_other_weights_only_are_scaled(small_config):
    options = {
        HEAD + 'loss_cls.level_weights': [9.0, 1.0],
        HEAD + 'reg_weights': [0, 3.0],
        HEAD + 'loss_bbox': dict(type='SmoothL1Loss', loss_weight=2.0),
    }
    given = small_config(**options).model
    _, stock, config, _ = exported(given)
    head = config['roi_head']['bbox_head']
    assert head['loss_cls'] == dict(type='CrossEntropyLoss')
    assert head['loss_bbox']['loss_weight'] == 6.0
    assert given.roi_head.bbox_head.loss_bbox.loss_weight == 2.0
    assert not {'taxonomy', 'grouped', 'branch_fcs', 'coarse_width', 'reg_weights'} & {*head}
    assert stock.roi_head.bbox_head.fc_out_channels == 32


@pytest.mark.parametrize('depth', [1, 2, 3])
def test_seesaw_loss_and_other_depths(depth, small_config):
    options = {
        HEAD + 'branch_fcs': [1, depth],
        HEAD + 'loss_cls.fine_loss': dict(type='SeesawLoss'),
        HEAD + 'reg_class_agnostic': True,
    }
    config = small_config(**options).model
    model = build(config)
    model.roi_head.bbox_head.loss_cls.fine_loss.cum_samples[:] = torch.arange(14)
    stock_config, tensors = stock_model(config.to_dict(), model)
    stock = MODELS.build(ConfigDict(copy.deepcopy(stock_config)))
    stock.load_state_dict(tensors)
    head = stock.eval().roi_head.bbox_head
    assert isinstance(head, ConvFCBBoxHead) and len(head.shared_fcs) == depth
    assert isinstance(head.loss_cls, SeesawLoss) and head.loss_cls.cum_samples.sum() == 91
    scores, deltas = same_head_outputs(model, stock)
    assert scores.shape[1] == 15 and deltas.shape[1] == 4
    activation = model.roi_head.bbox_head.loss_cls.get_activation(scores)
    assert torch.equal(activation, head.loss_cls.get_activation(scores))


def test_three_levels(small_config, three_levels):
    options = {
        HEAD + 'taxonomy': three_levels.to_dict(),
        HEAD + 'branch_fcs': [1, 1, 2],
        HEAD + 'reg_weights': [0, 1, 1],
        HEAD + 'loss_cls.level_weights': [1.0, 1.0, 1.0],
    }
    model, stock, *_ = exported(small_config(**options).model)
    head = stock.roi_head.bbox_head
    assert head.num_classes == 5
    assert torch.equal(head.shared_fcs[0].weight, model.roi_head.bbox_head.branch_in.weight[64:])
    same_head_outputs(model, stock)


@pytest.mark.parametrize('variant', ['wgroup', 'wogroup'])
def test_regressors_of_groups_become_those_of_classes(variant, small_config):
    config = small_config(variant, **{HEAD + 'reg_per': 'group'}).model
    model, stock, config, tensors = exported(config)
    head = model.roi_head.bbox_head
    groups = head.reg_taxonomy.group_index(0)
    assert head.fc_reg.out_features == 4 * (1 + max(groups)) < 52
    assert not {'reg_per', 'reg_class_agnostic'} & {*config['roi_head']['bbox_head']}
    weight = tensors['roi_head.bbox_head.fc_reg.weight'].view(13, 4, -1)
    assert torch.equal(weight, head.fc_reg.weight.view(-1, 4, 32)[list(groups)])
    assert same_head_outputs(model, stock)[1].shape == (50, 52)


@pytest.mark.parametrize('reg_per', ['group', 'agnostic'])
def test_one_regressor_for_all_classes(reg_per, small_config):
    everything = {'everything': ['shirt', 'skirt', 'hat']}
    options = {'taxonomy': everything, 'allow_one_group': True, 'reg_per': reg_per}
    config = small_config(**{HEAD + key: value for key, value in options.items()}).model
    model, stock, config, _ = exported(config)
    assert stock.roi_head.bbox_head.reg_class_agnostic
    assert same_head_outputs(model, stock)[1].shape == (50, 4)


@pytest.mark.parametrize('own_head_each', [False, True])
def test_the_stages_of_a_cascade(own_head_each, small_config):
    """With a head config for all stages, or one for each; a mask head stays as it is."""
    config = small_config(**{HEAD + 'reg_class_agnostic': True}).model
    roi_head, rcnn = config.roi_head, config.train_cfg.rcnn
    roi_head.update(type='FederatedCascadeRoIHead', num_stages=2, stage_loss_weights=[1, 0.5])
    roi_head.mask_head = dict(
        type='FCNMaskHead', num_convs=1, in_channels=128, conv_out_channels=4, num_classes=13
    )
    config.train_cfg.rcnn = [rcnn, rcnn]
    config.test_cfg.rcnn.mask_thr_binary = 0.5
    if own_head_each:
        seesaw = copy.deepcopy(roi_head.bbox_head)
        seesaw.loss_cls.fine_loss = dict(type='SeesawLoss')
        roi_head.bbox_head = [seesaw, copy.deepcopy(seesaw)]
    model, stock, _, _ = exported(config)
    assert type(stock.roi_head) is CascadeRoIHead
    features = torch.randn(50, 128, 7, 7)
    for ours, theirs in zip(model.roi_head.bbox_head, stock.roi_head.bbox_head, strict=True):
        assert type(theirs) is Shared2FCBBoxHead
        assert isinstance(theirs.loss_cls, SeesawLoss) == own_head_each
        with torch.no_grad():
            pairs = zip(ours(features), theirs(features), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)
    masks = model.roi_head.mask_head[1].state_dict(), stock.roi_head.mask_head[1].state_dict()
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


def test_a_stage_without_a_stock_equal_is_refused(small_config):
    config = small_config(**{HEAD + 'reg_class_agnostic': True}).model
    own = config.roi_head.bbox_head
    merged = dict(own, type='MergedBBoxHead', loss_cls=dict(type='CrossEntropyLoss'))
    merged.pop('coarse_width')
    config.roi_head.update(
        type='CascadeRoIHead', num_stages=2, stage_loss_weights=[1, 1], bbox_head=[own, merged]
    )
    config.train_cfg.rcnn = [config.train_cfg.rcnn] * 2
    with pytest.raises(ExportError, match='bbox_head.1 is a MergedBBoxHead of mmdet_multigrain'):
        exported(config)
    own.added = dict(classes=1)
    with pytest.raises(ExportError, match='leave added out'):
        stock_model(config.to_dict(), build(config))


def test_stock_models_stay_as_they_are(small_config):
    model, stock, config, tensors = exported(small_config('baseline').model)
    assert tensors.keys() == model.state_dict().keys()
    assert config['roi_head']['bbox_head']['type'] == 'ConvFCBBoxHead'


def test_parts_of_the_options_for_speed_become_stock(small_config):
    config = small_config().model
    config.roi_head.bbox_roi_extractor.type = 'PlainRoIExtractor'
    config.rpn_head.update(type='Float32RPNHead', unannotated_thr=0.5)
    config.roi_head.type = 'FederatedStandardRoIHead'
    model, stock, _, _ = exported(config)
    assert type(stock.roi_head.bbox_roi_extractor) is SingleRoIExtractor
    assert type(stock.rpn_head) is RPNHead
    assert type(stock.roi_head) is StandardRoIHead
    same_head_outputs(model, stock)


def test_what_has_no_stock_equal_is_refused(small_config):
    with pytest.raises(ExportError, match='bbox_head is a MergedBBoxHead of mmdet_multigrain'):
        exported(small_config('merged').model)
    with pytest.raises(ExportError, match='with_avg_pool=True'):
        exported(small_config(**{HEAD + 'with_avg_pool': True}).model)
