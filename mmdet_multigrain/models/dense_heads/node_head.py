"""What one-stage heads with an output for each node of a taxonomy share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from ..bbox_heads.multi_branch_bbox_head import resolve_taxonomy
from ..losses.node_loss import NodeLoss


class NodeHead:
    """Mixin of MMDetection's heads: K outputs for the classes, then one for each group.

    `NodeLoss` says what they learn. Matching uses the classes alone. Detections are classes, ranked
    by their own outputs; with `test_cfg.groups`, the group of each class, they are groups: with the
    output of the group, or the highest of those inside if it has none. Suppression then runs inside
    the group. A taxonomy without groups leaves the stock head.

    Args:
        taxonomy: The taxonomy, or what `Taxonomy.load` takes.
        coarse_weight: Weight of the groups' outputs in the loss. Defaults to 1.
        num_classes: Only accepted if it equals the taxonomy's.
        **kwargs: Those of the stock head. Its `loss_cls` is that of each output.

    Raises:
        ConfigError: The taxonomy is missing, or an argument does not fit.
    """

    takes_coarse_labels = True
    stock_loss: type[nn.Module]

    def __init__(
        self,
        *,
        taxonomy: Taxonomy | str | Mapping[str, Any] | None = None,
        coarse_weight: float = 1.0,
        num_classes: int | None = None,
        **kwargs,
    ) -> None:
        self.taxonomy = resolve_taxonomy(taxonomy, num_classes=num_classes)
        if not coarse_weight >= 0:
            raise ConfigError(f'coarse_weight={coarse_weight!r}: must be a number from 0 on')
        self.coarse_weight = float(coarse_weight)
        super().__init__(num_classes=self.taxonomy.num_classes, **kwargs)
        if type(self.loss_cls) is not self.stock_loss:
            raise ConfigError(
                f'loss_cls of type {type(self.loss_cls).__name__}: {type(self).__name__} needs '
                f'{self.stock_loss.__name__}'
            )
        self.loss_cls = NodeLoss(self.taxonomy, self.loss_cls, self.coarse_weight)

    def _init_layers(self) -> None:
        self.cls_out_channels = self.taxonomy.num_classes + len(self.groups)
        super()._init_layers()

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that have an output, in its order."""
        return self.taxonomy.labels.names[self.taxonomy.num_classes + 1 : -1]

    def training_facts(self) -> dict[str, Any]:
        """What the weights mean beyond their shapes, as plain values for checkpoints."""
        return dict(coarse_weight=self.coarse_weight, taxonomy=self.taxonomy.to_dict())

    def ranked(self, logits: Tensor, groups: Sequence[int] | None = None) -> Tensor:
        """Logits of what is detected, in the first columns; the others are -inf.

        `logits` are those of all outputs, (N, C, ...), and `groups` the group of each class; None
        detects classes.
        """
        if groups is None:
            found = logits[:, : self.num_classes]
        else:
            columns = [logits[:, nodes].amax(1) for nodes in self._outputs_of(groups)]
            found = torch.stack(columns, dim=1)
        rest = logits.shape[0], logits.shape[1] - found.shape[1], *logits.shape[2:]
        return torch.cat([found, logits.new_full(rest, float('-inf'))], dim=1)

    def groups_asked(self, cfg: Mapping[str, Any] | None) -> Sequence[int] | None:
        """The group of each class that a test configuration asks for; None for the classes."""
        groups = (cfg or {}).get('groups')
        return None if groups is None or [*groups] == [*range(self.num_classes)] else groups

    def _outputs_of(self, groups: Sequence[int]) -> list[list[int]]:
        """The outputs that tell the score of each group: its own, or those inside it."""
        if len(groups) != self.num_classes:
            raise ConfigError(
                f'test_cfg.groups has {len(groups)} entries, the head {self.num_classes} classes; '
                'give the group of each class'
            )
        nodes, outputs = self.loss_cls.nodes.cpu(), []
        for group in range(max(groups) + 1):
            members = torch.tensor([one == group for one in groups])
            own = (nodes == members).all(1)
            inside = ~(nodes & ~members).any(1)
            outputs.append((own if own.any() else inside).nonzero()[:, 0].tolist())
        return outputs
