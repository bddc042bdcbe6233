"""RTMDet's head with an output for each class and each group; experimental."""

from __future__ import annotations

from mmdet.models.dense_heads import RTMDetSepBNHead
from mmdet.models.losses import QualityFocalLoss
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet_multigrain.utils.errors import ConfigError

from ..task_modules.node_soft_label_assigner import NodeSoftLabelAssigner
from .node_head import NodeHead


@MODELS.register_module()
class NodeRTMDetSepBNHead(NodeHead, RTMDetSepBNHead):
    """RTMDetSepBNHead whose outputs are the nodes of a taxonomy; see NodeHead.

    Args:
        **kwargs: Those of NodeHead and RTMDetSepBNHead. The assigner is a NodeSoftLabelAssigner,
            `loss_cls` a QualityFocalLoss.

    Raises:
        ConfigError: They are others.
    """

    stock_loss = QualityFocalLoss

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        if self.train_cfg and not isinstance(self.assigner, NodeSoftLabelAssigner):
            raise ConfigError(
                f'model.train_cfg.assigner of type {type(self.assigner).__name__}: '
                f'{type(self).__name__} needs NodeSoftLabelAssigner, which matches by classes'
            )

    def _get_targets_single(
        self,
        cls_scores: Tensor,
        bbox_preds: Tensor,
        flat_anchors: Tensor,
        valid_flags: Tensor,
        gt_instances: InstanceData,
        *args,
        **kwargs,
    ) -> tuple:
        """Targets of one image as in RTMDetHead; tells the assigner the classes of each label."""
        allowed = self.loss_cls.allowed[gt_instances.labels]
        gt_instances = InstanceData(**dict(gt_instances.items()), allowed=allowed)
        return super()._get_targets_single(
            cls_scores, bbox_preds, flat_anchors, valid_flags, gt_instances, *args, **kwargs
        )

    def loss_by_feat_single(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        assign_metrics: Tensor,
        stride: list[int],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Losses of one feature level as in RTMDetHead, which knows no boxes of labels above K."""
        loss_cls, loss_bbox, metrics, box_metrics = super().loss_by_feat_single(
            cls_score, bbox_pred, labels, label_weights, bbox_targets, assign_metrics, stride
        )
        coarse = labels.reshape(-1) > self.num_classes
        if coarse.any():
            weights = assign_metrics.reshape(-1)[coarse]
            boxes = bbox_pred.reshape(-1, 4)[coarse], bbox_targets.reshape(-1, 4)[coarse]
            loss_bbox = loss_bbox + self.loss_bbox(*boxes, weight=weights, avg_factor=1.0)
            box_metrics = box_metrics + weights.sum()
        return loss_cls, loss_bbox, metrics, box_metrics

    def predict_by_feat(
        self, cls_scores: list[Tensor], *args, cfg: dict | None = None, **kwargs
    ) -> list[InstanceData]:
        """Detections of each image as in BaseDenseHead: classes, or `test_cfg.groups`."""
        groups = self.groups_asked(self.test_cfg if cfg is None else cfg)
        scores = [self.ranked(level, groups) for level in cls_scores]
        return super().predict_by_feat(scores, *args, cfg=cfg, **kwargs)
