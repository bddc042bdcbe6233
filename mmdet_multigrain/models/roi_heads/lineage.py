"""RoI heads that tell how likely a detection's class and its superclasses are, given an object.

The detections are those of the stock RoI heads, bit for bit. Answers that are only as specific as
they can be trusted start from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models.layers import multiclass_nms
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.nested import dicts


class LineageRoIHeadMixin:
    """Adds `lineage` and `rois` to the detections of a RoI head.

    `lineage` (N, L), float32, has the probability of each node given foreground: the class of the
    detection first, then its groups, the coarsest last. They come from the scores of the RoI that
    the box came from; a group has the sum of its classes, so with `ConditionalFusion` and gamma 1
    what the coarse branch says. `rois` (N,), int64, is the number of that RoI in its image.

    Args:
        taxonomy: The classes and groups, or what `Taxonomy.load` takes.
            Of several trees, the main one counts.

    Raises:
        ConfigError: The box head has another number of classes.
    """

    def __init__(self, *args, taxonomy: Taxonomy | str | Mapping[str, Any], **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.taxonomy = Taxonomy.load(taxonomy).hierarchy
        heads = self.bbox_head if isinstance(self.bbox_head, nn.ModuleList) else [self.bbox_head]
        if getattr(heads[-1], 'added', None) is not None:
            raise ConfigError(
                'lineages start from one softmax over all classes; leave added of the box head out'
            )
        classes = heads[-1].num_classes
        if classes != self.taxonomy.num_classes:
            raise ConfigError(
                f'taxonomy {self.taxonomy.name!r} has {self.taxonomy.num_classes} classes, the box '
                f'head {classes}; give {type(self).__name__} the taxonomy of the classes'
            )

    def predict_bbox(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        rpn_results_list: list[InstanceData],
        rcnn_test_cfg: dict | None,
        **kwargs,
    ) -> list[InstanceData]:
        """Detections of each image; args as in the RoI head."""
        if rcnn_test_cfg is not None and rcnn_test_cfg.get('groups') is not None:
            raise ConfigError('lineages start from classes; predict without a level')
        raw = super().predict_bbox(x, batch_img_metas, rpn_results_list, None, **kwargs)
        if rcnn_test_cfg is None:
            return raw
        return [self._detect(image.bboxes, image.scores, rcnn_test_cfg) for image in raw]

    def _detect(self, boxes: Tensor, scores: Tensor, cfg: dict) -> InstanceData:
        """What the last lines of BBoxHead.predict_by_feat do, and the lineage of what is left."""
        found, labels, places = multiclass_nms(
            boxes, scores, cfg.score_thr, cfg.nms, cfg.max_per_img, return_inds=True
        )
        rois = places.div(self.taxonomy.num_classes, rounding_mode='floor')
        return InstanceData(
            bboxes=found[:, :-1],
            scores=found[:, -1],
            labels=labels,
            lineage=lineages(scores[rois, :-1], labels, self.taxonomy),
            rois=rois,
        )


def lineages(scores: Tensor, labels: Tensor, taxonomy: Taxonomy) -> Tensor:
    """Probability given foreground of each label and its groups, coarsest last, (N, L) float32.

    `scores` are those of all classes, without background, (N, K), and `labels` one for each row.
    """
    scores = scores.float()
    scores = scores / scores.sum(dim=1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)
    nodes = []
    for level in reversed(range(taxonomy.num_levels)):
        index = torch.tensor(taxonomy.group_index(level), device=scores.device)
        sums = scores.new_zeros(scores.shape[0], taxonomy.num_groups(level))
        sums = sums.scatter_add(1, index.expand_as(scores), scores)
        node = sums.gather(1, index[labels][:, None]).clamp(max=1)
        # Sums in different orders differ in their last bits.
        nodes.append(torch.maximum(node, nodes[-1]) if nodes else node)
    return torch.cat(nodes, dim=1)


@MODELS.register_module()
class LineageStandardRoIHead(LineageRoIHeadMixin, StandardRoIHead):
    """StandardRoIHead whose detections have a lineage."""


@MODELS.register_module()
class LineageCascadeRoIHead(LineageRoIHeadMixin, CascadeRoIHead):
    """CascadeRoIHead whose detections have a lineage: from the mean scores of its stages."""


_WITH_LINEAGE = {
    'StandardRoIHead': 'LineageStandardRoIHead',
    'CascadeRoIHead': 'LineageCascadeRoIHead',
    # These differ from the stock ones while they learn only.
    'FederatedStandardRoIHead': 'LineageStandardRoIHead',
    'FederatedCascadeRoIHead': 'LineageCascadeRoIHead',
}


def add_lineage(model: Mapping[str, Any], taxonomy: Taxonomy) -> None:
    """Let the model of a test config tell the lineage of its detections, in place.

    Raises:
        ConfigError: It has no RoI head that can.
    """
    found = [part['roi_head'] for part in dicts(model) if part.get('roi_head')]
    if not found:
        raise ConfigError(
            f'model of type {model.get("type")} has no RoI head; lineages need a two-stage detector'
        )
    for roi_head in found:
        kind = getattr(roi_head['type'], '__name__', roi_head['type'])  # a class or its name
        name = kind.rpartition('.')[2]
        if name not in {*_WITH_LINEAGE, *_WITH_LINEAGE.values()}:
            raise ConfigError(
                f'model.roi_head of type {kind} cannot tell the lineage of detections; only '
                f'{", ".join(_WITH_LINEAGE)} can'
            )
        roi_head.update(type=_WITH_LINEAGE.get(name, name), taxonomy=taxonomy.hierarchy.to_dict())
