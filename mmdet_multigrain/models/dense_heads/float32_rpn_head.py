"""An RPN for mixed precision, and for images of which only some classes are annotated."""

from __future__ import annotations

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from torch import Tensor

from mmdet_multigrain.coco.unannotated import UNANNOTATED
from mmdet_multigrain.utils.errors import ConfigError


@MODELS.register_module()
class Float32RPNHead(RPNHead):
    """RPNHead whose outputs leave mixed precision before the sigmoid.

    Probabilities near 1 differ by less than a low precision can tell: in bfloat16 those of all
    logits above 6.3 are one number, and thousands of anchors would tie. mmcv's NMS on CPUs reads
    single precision only.

    Args:
        *args: Those of RPNHead.
        unannotated_thr: On images whose annotations leave out classes, sampled negatives with a
            probability above this do not count: they may be objects of these classes. Default:
            all count.
        **kwargs: Those of RPNHead.

    Raises:
        ConfigError: `unannotated_thr` is not between 0 and 1, or comes with a softmax.
    """

    # For each image of a step, whether it may show objects without a box; (B, 1).
    _leaves_out: Tensor | None = None

    def __init__(self, *args, unannotated_thr: float | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.unannotated_thr = unannotated_thr
        if unannotated_thr is not None and not (0 < unannotated_thr < 1 and self.use_sigmoid_cls):
            raise ConfigError(
                f'unannotated_thr={unannotated_thr}: must be between 0 and 1, with '
                'use_sigmoid=True in the loss_cls of the RPN'
            )

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Objectness (B, A, H, W) and deltas (B, 4 A, H, W) of one level, in single precision."""
        cls_score, bbox_pred = super().forward_single(x)
        return cls_score.float(), bbox_pred.float()

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list,
        batch_img_metas: list[dict],
        *args,
        **kwargs,
    ) -> dict:
        """Losses as in RPNHead; see there."""
        leaves_out = [bool(meta.get(UNANNOTATED)) for meta in batch_img_metas]
        if self.unannotated_thr is not None and any(leaves_out):
            self._leaves_out = torch.tensor(leaves_out, device=cls_scores[0].device)[:, None]
        try:
            return super().loss_by_feat(
                cls_scores, bbox_preds, batch_gt_instances, batch_img_metas, *args, **kwargs
            )
        finally:
            self._leaves_out = None

    def loss_by_feat_single(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        anchors: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        *args,
        **kwargs,
    ) -> tuple[Tensor, Tensor]:
        """Losses of one level; labels and weights are (B, anchors)."""
        if self._leaves_out is not None:
            scores = cls_score.detach().permute(0, 2, 3, 1).reshape(labels.shape).sigmoid()
            may_be_object = self._leaves_out & (scores > self.unannotated_thr)
            may_be_object &= labels == self.num_classes  # background
            label_weights = label_weights.masked_fill(may_be_object, 0)
        return super().loss_by_feat_single(
            cls_score, bbox_pred, anchors, labels, label_weights, *args, **kwargs
        )
