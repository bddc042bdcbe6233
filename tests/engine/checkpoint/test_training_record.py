"""The record of what a model is trained as: plain, and seen where only the meaning changes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.checkpoint.training_record import (
    is_missed,
    keep_record,
    other_training,
    record_of,
    recorded,
)
from mmdet_multigrain.engine.hooks import CheckpointReportHook
from mmdet_multigrain.evaluation.training_record import record_text
from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError

from ...models.dense_heads.made_node_heads import RTMDET, of_nodes

SIZE = dict(in_channels=2, roi_feat_size=1, fc_out_channels=4)


class Model(nn.Module):
    """The parts of a detector that have a record."""

    def __init__(self, bbox_head, *, scales=(8,), mean=(1.0, 2.0, 3.0)):
        super().__init__()
        self.data_preprocessor = MODELS.build(
            dict(type='DetDataPreprocessor', mean=mean, std=[1, 1, 1], bgr_to_rgb=True)
        )
        anchors = dict(type='AnchorGenerator', scales=scales, ratios=[0.5, 1.0], strides=[4, 8])
        self.rpn_head = MODELS.build(
            dict(type='RPNHead', in_channels=2, feat_channels=2, anchor_generator=anchors)
        )
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = bbox_head


def grained(taxonomy, **kwargs):
    return MultiGrainedBBoxHead(taxonomy=taxonomy, **SIZE, **kwargs)


@pytest.fixture
def regrouped(garments):
    """The same classes in other groups of the same sizes."""
    paths = [('top',), ('top',), ('bottom',), ('hat',), ('bottom',)]
    return Taxonomy('random', garments.classes, paths)


def saved(model, path):
    """What a checkpoint of the model holds, read as weights only."""
    checkpoint = dict(state_dict=model.state_dict(), meta=dict(iter=1))
    keep_record(model, checkpoint)
    torch.save(checkpoint, path)
    return torch.load(path, weights_only=True)


def test_the_same_model_agrees(garments, tmp_path):
    checkpoint = saved(Model(grained(garments)), tmp_path / 'a.pth')
    record = recorded(checkpoint)
    assert other_training(record, Model(grained(garments))) is None
    head = record['roi_head.bbox_head']
    assert head['type'] == 'MultiGrainedBBoxHead' and head['grouped'] is True
    assert head['taxonomy'] == garments.to_dict() and head['level_weights'] == [1, 1]


def test_what_differs_is_told_with_both_values(garments, regrouped):
    record = record_of(Model(grained(garments)))
    stds = dict(type='DeltaXYWHBBoxCoder', target_stds=[1.0] * 4)
    weights = dict(type='HierarchicalCrossEntropyLoss', level_weights=(0.25, 1))
    for model, difference in (
        (Model(grained(garments, grouped=False)), 'bbox_head.grouped is True in the checkpoint but '
         'False in the config'),
        (Model(grained(regrouped)), "in roi_head.bbox_head, 'skirt' is in group 1 ('bottom') in "),
        (Model(grained(garments, loss_cls=weights)), 'bbox_head.level_weights is [1.0, 1.0] in the '
         'checkpoint but [0.25, 1.0] in the config'),
        (Model(grained(garments, bbox_coder=stds)), 'bbox_head.box_stds is '),
        (Model(grained(garments), scales=[4]), 'rpn_head.anchor_scales is [8.0] in the checkpoint '),
        (Model(grained(garments), mean=[3.0, 2.0, 1.0]), 'data_preprocessor.mean is [1.0, 2.0, 3.0] in '),
    ):  # fmt: skip
        assert difference in other_training(record, model)


def test_groups_play_no_part_in_the_merged_head(garments, regrouped):
    record = record_of(Model(MergedBBoxHead(taxonomy=garments, **SIZE)))
    assert other_training(record, Model(MergedBBoxHead(taxonomy=regrouped, **SIZE))) is None
    assert "is 'MergedBBoxHead' in" in other_training(record, Model(grained(garments)))


@pytest.mark.parametrize('kind', [MultiGrainedBBoxHead, MergedBBoxHead])
def test_regressors_of_other_groups_are_told(kind, garments, regrouped, tmp_path):
    def model(taxonomy=garments, reg_per='group'):
        return Model(kind(taxonomy=taxonomy, grouped=False, reg_per=reg_per, **SIZE))

    record = recorded(saved(model(), tmp_path / 'a.pth'))
    assert other_training(record, model()) is None
    assert "'skirt' is in group 1 ('bottom') in " in other_training(record, model(regrouped))
    assert "bbox_head.reg_per is 'group' in the checkpoint but 'class' in the config" in (
        other_training(record, model(reg_per='class'))
    )
    # Records of earlier versions do not name it: shapes tell.
    del record['roi_head.bbox_head']['reg_per']
    assert other_training(record, model(reg_per='agnostic')) is None
    assert record_text(record).count('garments') == (2 if kind is MultiGrainedBBoxHead else 1)


def test_only_our_heads_miss_a_record(garments):
    stock = MODELS.build(dict(type='Shared2FCBBoxHead', num_classes=5, **SIZE))
    assert is_missed(Model(grained(garments)), None)
    assert not is_missed(Model(stock), None)
    assert not is_missed(Model(grained(garments)), {})
    assert recorded({}) is recorded(dict(meta=None)) is None
    assert other_training(None, Model(stock)) is None


@pytest.mark.parametrize('resume', [False, True])
def test_a_config_of_another_variant_is_refused(garments, tmp_path, resume):
    lines, ours = [], Model(grained(garments))
    dataset = SimpleNamespace(metainfo=taxonomy_metainfo(garments))

    def runner(model):
        return SimpleNamespace(
            model=model,
            _load_from='wgroup.pth',
            _resume=resume,
            train_dataloader=SimpleNamespace(dataset=dataset),
            test_dataloader=SimpleNamespace(dataset=dataset),
            logger=SimpleNamespace(info=lines.append, warning=lines.append),
        )

    def load(model, checkpoint):
        hook = CheckpointReportHook()
        hook.after_load_checkpoint(runner(model), checkpoint)
        hook.before_test(runner(model))
        return hook

    checkpoint = dict(state_dict=ours.state_dict(), meta={}, message_hub={}, optimizer={})
    without = dict(checkpoint, meta={})
    CheckpointReportHook().before_save_checkpoint(runner(ours), checkpoint)
    load(ours, checkpoint)
    assert len(lines) == 1  # no warning
    purpose = 'resume' if resume else 'test'
    with pytest.raises(CheckpointError) as caught:
        load(Model(grained(garments, grouped=False)), checkpoint)
    assert str(caught.value) == (
        f'wgroup.pth: cannot {purpose} with this config: roi_head.bbox_head.grouped is True in the '
        'checkpoint but False in the config; use the config that the checkpoint was trained with'
    )
    lines.clear()
    hook = load(Model(grained(garments, grouped=False)), without)
    hook.before_test(runner(ours))
    assert [line for line in lines if 'does not say how it was trained' in line] == lines[1:]
    assert len(lines) == 2 and lines[1].startswith('wgroup.pth: ')


def test_heads_with_outputs_for_groups(garments, regrouped, tmp_path):
    def model(taxonomy=garments, **arguments):
        part = nn.Module()
        part.bbox_head = of_nodes(RTMDET, taxonomy, **arguments)
        return part

    record = recorded(saved(model(), tmp_path / 'a.pth'))
    assert record['bbox_head']['type'] == 'NodeRTMDetSepBNHead'
    assert other_training(record, model()) is None and is_missed(model(), None)
    assert "in bbox_head, 'skirt' is in group 1 ('bottom') in " in (
        other_training(record, model(regrouped))
    )
    assert 'bbox_head.coarse_weight is 1.0 in the checkpoint but 0.5 in the config' in (
        other_training(record, model(coarse_weight=0.5))
    )
    assert record_text(record) == "NodeRTMDetSepBNHead(coarse_weight=1.0, taxonomy='garments')"
