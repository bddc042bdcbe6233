"""A sigmoid for each node of a taxonomy: each class and each group has an output of its own."""

from __future__ import annotations

import torch
from mmdet.models.losses import FocalLoss, QualityFocalLoss
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy


class NodeLoss(nn.Module):
    """A stock sigmoid loss whose targets are paths in a taxonomy.

    The C outputs are those of the K classes, then one for each label of `Taxonomy.labels` that is a
    group of two or more classes. The targets of a box are 1 for its label and all groups above it,
    and 0 elsewhere. Outputs below a coarse label have weight 0: any of its classes may be the right
    one. A box labeled `object` has weight 0 everywhere.

    Args:
        taxonomy: The taxonomy.
        loss: MMDetection's.
        coarse_weight: Weight of the outputs of groups. Defaults to 1.

    Attributes:
        allowed: Classes that each label allows, bool (N, K).
        nodes: Classes of each output, bool (C, K).
        targets, weights: Those of each label, (N, C).
    """

    use_sigmoid = True

    def __init__(
        self, taxonomy: Taxonomy, loss: FocalLoss | QualityFocalLoss, coarse_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.loss = loss
        num_classes = taxonomy.num_classes
        allowed = torch.tensor(taxonomy.labels.sets[:, :-1])
        nodes = torch.cat([allowed[:num_classes], allowed[num_classes + 1 : -1]])
        common = (allowed[:, None] & nodes).sum(2)  # classes of both, (N, C)
        sizes = allowed.sum(1, keepdim=True)
        targets = (common == sizes) & (sizes > 0)
        weights = (targets | (common == 0)).float()
        weights[:, num_classes:] *= coarse_weight
        # Not persistent: the taxonomy is part of the config; a checkpoint must not overrule it.
        buffers = dict(allowed=allowed, nodes=nodes, targets=targets.float(), weights=weights)
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def forward(
        self,
        pred: Tensor,
        target: Tensor | tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: float | None = None,
    ) -> Tensor:
        """The loss of all outputs of all rows.

        Args:
            pred: Logits, (N, C).
            target: Labels (N, ), from 0 to those above K; for QualityFocalLoss also the quality of
                each box, (N, ), which takes the place of the 1 in its targets.
            weight: Weight of each row, (N, ).
            avg_factor: What the sum is divided by. Default: the number of rows and outputs.
        """
        labels, quality = target if isinstance(target, tuple) else (target, None)
        targets, weights = self.targets[labels], self.weights[labels]
        if quality is not None:
            targets = targets * quality[:, None]
        if weight is not None:
            weights = weights * weight[:, None]
        # One column: both losses then take a weight for each output.
        return self.loss(
            pred.float().reshape(-1, 1),
            targets.reshape(-1, 1),
            weights.reshape(-1),
            avg_factor=avg_factor,
        )
