"""An RPN whose proposals are ranked in single precision, whatever the precision of its layers."""

from __future__ import annotations

from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class Float32RPNHead(RPNHead):
    """RPNHead whose outputs leave mixed precision before the sigmoid.

    Probabilities near 1 differ by less than a low precision can tell: in bfloat16 those of all
    logits above 6.3 are one number, and thousands of anchors would tie. mmcv's NMS on CPUs reads
    single precision only.
    """

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Objectness (B, A, H, W) and deltas (B, 4 A, H, W) of one level, in single precision."""
        cls_score, bbox_pred = super().forward_single(x)
        return cls_score.float(), bbox_pred.float()
