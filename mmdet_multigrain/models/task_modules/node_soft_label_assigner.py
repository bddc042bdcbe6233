"""RTMDet's assigner for boxes of which only the superclass is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmdet.models.task_modules import AssignResult, DynamicSoftLabelAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor


@TASK_UTILS.register_module()
class NodeSoftLabelAssigner(DynamicSoftLabelAssigner):
    """DynamicSoftLabelAssigner that matches by classes, also boxes with coarse labels.

    Outputs of groups play no part. To each candidate, a coarse label costs what its class with the
    highest score there would cost. Without coarse labels, it is DynamicSoftLabelAssigner.
    """

    _coarse: tuple[Tensor, Tensor] | None = None  # during a call: scores (n, K), allowed (m, K)

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs,
    ) -> AssignResult:
        """Assign boxes to candidates; see DynamicSoftLabelAssigner.

        Candidates have `priors`, `bboxes` and `scores`, logits that begin with those of the K
        classes; boxes have `bboxes`, `labels`, and as `allowed` the classes that each label allows,
        bool (m, K).
        """
        allowed, labels = gt_instances.allowed, gt_instances.labels
        scores = pred_instances.scores[:, : allowed.size(1)]
        leaves = InstanceData(scores=scores, bboxes=pred_instances.bboxes)
        leaves.priors = pred_instances.priors
        boxes = InstanceData(bboxes=gt_instances.bboxes, labels=allowed.int().argmax(1))
        self._coarse = scores, allowed
        try:
            result = super().assign(leaves, boxes, gt_instances_ignore, **kwargs)
        finally:
            self._coarse = None
        if len(labels):
            matched = labels[(result.gt_inds - 1).clamp(min=0)]
            result.labels = matched.where(result.gt_inds > 0, -1)
        return result

    def dynamic_k_matching(
        self, cost: Tensor, pairwise_ious: Tensor, num_gt: int, valid_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Match by the costs (n, m), in which coarse labels still have those of their first class."""
        scores, allowed = self._coarse
        coarse = allowed.sum(1) > 1
        if coarse.any():
            scores, allowed = scores[valid_mask].float(), allowed[coarse]
            ious = pairwise_ious[:, coarse]
            best = scores[:, None].masked_fill(~allowed, float('-inf')).amax(2)
            first = scores[:, allowed.int().argmax(1)]
            cost = cost.clone()
            cost[:, coarse] += _gain(best, ious) - _gain(first, ious)
        return super().dynamic_k_matching(cost, pairwise_ious, num_gt, valid_mask)


def _gain(scores: Tensor, ious: Tensor) -> Tensor:
    """What the cost of a class changes if the class is that of the box; all (n, m)."""

    def cost(targets: Tensor) -> Tensor:
        factor = (targets - scores.sigmoid()).abs().pow(2.0)
        return F.binary_cross_entropy_with_logits(scores, targets, reduction='none') * factor

    return cost(ious) - cost(torch.zeros_like(ious))
