"""RoI heads for federated data sets (LVIS, arXiv 1908.03195): of images annotated in part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_multigrain.coco.unannotated import UNANNOTATED


class FederatedRoIHeadMixin:
    """Hands the box heads of a RoI head what their images leave unannotated.

    A stock RoI head gives its box heads RoIs with nothing but the number of their image. With this
    as the first base class, box heads have `unannotated` during a step, bool (B, K). It is None if
    no sample tells: then all is as stock.
    """

    hands_over_unannotated = True

    def loss(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: list[InstanceData],
        batch_data_samples: list[DetDataSample],
    ) -> dict:
        """Losses as in the RoI head; see there."""
        own = self.bbox_head
        heads = own if isinstance(own, nn.ModuleList) else [own]  # stages of a cascade
        unannotated = unannotated_of(batch_data_samples, heads[0].num_classes, x[0].device)
        for head in heads:
            head.unannotated = unannotated
        try:
            return super().loss(x, rpn_results_list, batch_data_samples)
        finally:
            for head in heads:
                head.unannotated = None


def unannotated_of(
    samples: Sequence[DetDataSample], num_classes: int, device: torch.device
) -> Tensor | None:
    """Classes that the annotations of each sample leave out, bool (B, K); None if none says."""
    rows = [sample.metainfo.get(UNANNOTATED) for sample in samples]
    if all(row is None for row in rows):
        return None
    left_out = np.zeros((len(rows), num_classes), bool)
    for row, labels in zip(left_out, rows, strict=True):
        row[list(labels or ())] = True
    return torch.from_numpy(left_out).to(device)


@MODELS.register_module()
class FederatedStandardRoIHead(FederatedRoIHeadMixin, StandardRoIHead):
    """StandardRoIHead, with or without a mask head, for images annotated in part."""


@MODELS.register_module()
class FederatedCascadeRoIHead(FederatedRoIHeadMixin, CascadeRoIHead):
    """CascadeRoIHead, with or without mask heads, for images annotated in part."""
