"""Detections of groups instead of classes, for testing at another level of the taxonomy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.models.layers import multiclass_nms
from mmengine.structures import InstanceData
from torch import Tensor

from mmdet_multigrain.utils.errors import ConfigError, check_choice

GROUP_SCORES = ('sum', 'max')


class GroupPrediction:
    """Mixin of box heads: `test_cfg.rcnn.groups` makes them detect groups.

    Before suppression, the scores of a group's classes become one: their sum (`group_score='sum'`,
    the default), with the mean of their boxes, weighted by score; or the highest (`'max'`), with the
    box of that class. Suppression then runs inside the group, so that two classes on one object are
    one answer. `groups` has the group of each class, `range(K)` changes nothing.
    """

    def _detect_groups(self, raw: InstanceData, cfg: Mapping[str, Any]) -> InstanceData:
        """Detections of one image from the boxes and scores of its RoIs."""
        boxes = raw.bboxes.unflatten(1, (-1, self.bbox_coder.encode_size))
        how = cfg.get('group_score', GROUP_SCORES[0])
        boxes, scores = merge_classes(boxes, raw.scores, cfg['groups'], how)
        return suppress(boxes.flatten(1), scores, cfg, cfg['max_per_img'], boxes.size(-1))


def suppress(
    boxes: Tensor, scores: Tensor, cfg: Mapping[str, Any], max_per_img: int, box_dim: int = 4
) -> InstanceData:
    """What the last lines of BBoxHead.predict_by_feat do."""
    found, labels = multiclass_nms(
        boxes, scores, cfg['score_thr'], cfg['nms'], max_per_img, box_dim=box_dim
    )
    return InstanceData(bboxes=found[:, :-1], scores=found[:, -1], labels=labels)


def merge_classes(
    boxes: Tensor, scores: Tensor, groups: Sequence[int], how: str = GROUP_SCORES[0]
) -> tuple[Tensor, Tensor]:
    """Boxes and scores of groups from those of classes.

    Args:
        boxes: Boxes of each class, (N, K, 4), or one for all, (N, 1, 4).
        scores: Scores of each class and of background, (N, K + 1).
        groups: Group of each class.
        how: 'sum' or 'max'; see GroupPrediction.

    Returns:
        Boxes (N, G, 4), or as they were, and scores (N, G + 1).

    Raises:
        ConfigError: `groups` or `how` cannot be used.
    """
    check_choice('group_score', how, GROUP_SCORES)
    of_classes, num_groups = scores[:, :-1], max(groups) + 1
    if len(groups) != of_classes.size(1):
        raise ConfigError(
            f'test_cfg.rcnn.groups has {len(groups)} entries, the head {of_classes.size(1)} '
            'classes; give the group of each class'
        )
    index = torch.as_tensor(groups, device=scores.device)

    def total(values: Tensor) -> Tensor:
        shape = (len(values), num_groups, *values.shape[2:])
        return values.new_zeros(shape).index_add_(1, index, values)

    if how == 'sum':
        merged, shares = total(of_classes), of_classes
    else:
        zeros = scores.new_zeros(len(scores), num_groups)
        merged = zeros.scatter_reduce(1, index.expand_as(of_classes), of_classes, 'amax')
        shares = (of_classes == merged[:, index]).to(of_classes)
    if boxes.size(1) > 1:
        shares = shares / total(shares)[:, index].clamp(min=torch.finfo(shares.dtype).tiny)
        boxes = total(boxes * shares[..., None].to(boxes))
    return boxes, torch.cat([merged.clamp(max=1), scores[:, -1:]], dim=1)
