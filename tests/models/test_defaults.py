"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.models.backbones import efficientnet_lite
from mmdet_multigrain.models.bbox_heads import multi_branch_bbox_head, multi_grained_bbox_head
from mmdet_multigrain.models.losses import hierarchical_cross_entropy_loss
from mmdet_multigrain.models.task_modules import ignore_region_assigner

from ..signatures import defaults

DEFAULTS = {
    efficientnet_lite.EfficientNetLite: dict(
        out_indices=(0, 1, 2, 3), frozen_stages=-1, norm_eval=True
    ),
    efficientnet_lite.EfficientNetLite.train: dict(mode=True),
    multi_branch_bbox_head.MultiBranchBBoxHead: dict(
        grouped=True, allow_one_group=False, fc_out_channels=1024
    ),
    multi_branch_bbox_head.resolve_taxonomy: dict(allow_one_group=False),
    multi_grained_bbox_head.MultiGrainedBBoxHead: dict(
        grouped=True,
        allow_one_group=False,
        coarse_width='classes',
        loss_cls={'type': 'HierarchicalCrossEntropyLoss'},
    ),
    hierarchical_cross_entropy_loss.HierarchicalCrossEntropyLoss: dict(
        coarse_width='classes', fine_loss={'type': 'CrossEntropyLoss'}, coarse_labels='mask'
    ),
    ignore_region_assigner.IgnoreRegionAssigner: dict(ignore_iof_thr=0.5),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
