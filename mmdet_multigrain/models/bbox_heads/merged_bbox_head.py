"""The paper's merged head (figure 3c): branches of different depth, one set of results."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import MODELS
from torch import Tensor

from mmdet_multigrain.taxonomy import Taxonomy

from .multi_branch_bbox_head import MultiBranchBBoxHead


@MODELS.register_module()
class MergedBBoxHead(MultiBranchBBoxHead):
    """Concatenate the features of all branches; one merging layer predicts from them.

    .. code-block:: none

        RoI feature -> coarse branch (1 FC) -\\            /-> fc_cls -> K + 1 scores
                                              -> concat --
        RoI feature -> fine branch (2 FC) ---/            \\-> fc_reg -> 4 K deltas

    Only the fine classes supervise it, once, at the end (paper, section 3.2). The taxonomy gives
    the classes and the number of branches; its groups play no part, except with `reg_per='group'`.

    Args:
        taxonomy: The taxonomy, or what `Taxonomy.load` takes.
        loss_cls: Any classification loss of an mmdet box head.
            Defaults to dict(type='CrossEntropyLoss').
        **kwargs: See MultiBranchBBoxHead.
    """

    def __init__(
        self,
        *,
        taxonomy: Taxonomy | str | dict | None = None,
        loss_cls: dict = dict(type='CrossEntropyLoss'),  # noqa: B006, B008 (never changed)
        **kwargs,
    ) -> None:
        super().__init__(taxonomy=taxonomy, loss_cls=loss_cls, **kwargs)
        in_features = len(self.branch_depths) * self.fc_out_channels
        self._build_fine_predictors(in_features, self.fc_cls.out_features)

    @property
    def takes_unannotated(self) -> bool:
        """Whether the loss can leave classes out: that of one softmax can."""
        return type(self.loss_cls) is CrossEntropyLoss and not self.loss_cls.use_sigmoid

    def _without(self, cls_score: Tensor, hidden: Tensor) -> Tensor:
        return cls_score.masked_fill(F.pad(hidden, (0, 1)), float('-inf'))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, K + 1) and deltas (N, 4 K), or (N, 4) if agnostic, of RoIs (N, C, H, W)."""
        merged = torch.cat(self.branch_features(x), dim=1)
        return self._classify(merged), self._regress(merged)
