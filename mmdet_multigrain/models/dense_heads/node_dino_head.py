"""DINO's head with an output for each class and each group; experimental."""

from __future__ import annotations

import torch
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import DINOHead
from mmdet.models.losses import FocalLoss
from mmdet.models.task_modules import BBoxL1Cost, FocalLossCost, HungarianAssigner, IoUCost
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet_multigrain.utils.errors import ConfigError

from .node_head import NodeHead

_COSTS = FocalLossCost, BBoxL1Cost, IoUCost
_NMS = dict(type='nms', iou_threshold=0.5)


@MODELS.register_module()
class NodeDINOHead(NodeHead, DINOHead):
    """DINOHead whose outputs are the nodes of a taxonomy; see NodeHead.

    A box with a coarse label matches by the highest score among its classes. DINO suppresses
    nothing; but queries for two classes of a group are one answer, so groups are suppressed, by
    `test_cfg.nms` (default: IoU 0.5).

    Args:
        **kwargs: Those of NodeHead and DINOHead. The assigner is a HungarianAssigner with costs of
            FocalLossCost, BBoxL1Cost and IoUCost, `loss_cls` a FocalLoss.

    Raises:
        ConfigError: They are others.
    """

    stock_loss = FocalLoss
    takes_coarse_labels = False  # a stock DINO has no denoising queries for them; NodeDINO does

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        if self.train_cfg and not (
            type(self.assigner) is HungarianAssigner
            and all(type(cost) in _COSTS for cost in self.assigner.match_costs)
        ):
            raise ConfigError(
                f'model.train_cfg.assigner: {type(self).__name__} needs a HungarianAssigner with '
                f'costs of {", ".join(cost.__name__ for cost in _COSTS)}'
            )

    def _get_targets_single(
        self, cls_score: Tensor, bbox_pred: Tensor, gt_instances: InstanceData, img_meta: dict
    ) -> tuple:
        """Targets of one image as in DETRHead; costs read a score for each label."""
        if (gt_instances.labels > self.num_classes).any():
            cls_score = self.label_scores(cls_score)
        return super()._get_targets_single(cls_score, bbox_pred, gt_instances, img_meta)

    def label_scores(self, scores: Tensor) -> Tensor:
        """Logits of each label, (n, N), from (n, C): the highest of its classes."""
        classes = scores[:, : self.num_classes]
        coarse = [
            classes.masked_fill(~allowed, float('-inf')).amax(1)
            for allowed in self.loss_cls.allowed[self.num_classes + 1 :]
        ]
        background = torch.zeros_like(classes[:, :1])  # no box has this label
        return torch.cat([classes, background, torch.stack(coarse, dim=1)], dim=1)

    def _predict_by_feat_single(
        self, cls_score: Tensor, bbox_pred: Tensor, img_meta: dict, rescale: bool = True
    ) -> InstanceData:
        """Detections of one image as in DETRHead: classes, or `test_cfg.groups`."""
        groups = self.groups_asked(self.test_cfg)
        scores = self.ranked(cls_score, groups)[:, : self.num_classes]
        found = super()._predict_by_feat_single(scores, bbox_pred, img_meta, rescale)
        if groups is None:
            return found
        found = found[found.labels <= max(groups)]  # those behind are -inf
        nms = self.test_cfg.get('nms') or _NMS
        return found[batched_nms(found.bboxes, found.scores, found.labels, nms)[1]]
