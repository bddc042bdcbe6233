"""Start other predictors than box heads' (masks, single-stage heads): classes by name, too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.dense_heads import SSDHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FusedSemanticHead, MaskPointHead
from torch import nn

from mmdet_multigrain.models import NodeHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize

from .read import state_dict_of

# How MMDetection names the layers with outputs for each class: conv_logits, fc_mask_iou,
# retina_cls, cls_branches.0, GlobalContextHead's fc, ... Those before them are cls_convs and fcs,
# except in SSDHead. SABL's retina_bbox_cls classifies buckets of coordinates.
_PREDICTOR = re.compile(
    r'('
    r'(.*[._])?(?<!bbox_)(cls(_branches|_embed|_out|_score)?|logits|mask_iou)'
    r'|label_embedding|fc|segm_conv|convs_pred|heatmap_head\.2|(tl|br)_heat\.\d+\.1\.conv|center_prior'
    r')(\.\d+)*\.(weight|bias|mean|sigma)'
)


def match_labels(classes: Sequence[str] | None, taxonomy: Taxonomy) -> dict[int, int]:
    """The label in a checkpoint by that in the model, for classes that both have.

    `classes` are the checkpoint's in label order (None: it does not tell), `taxonomy` the model's.
    """
    labels: dict[int, int] = {}
    for label, name in enumerate(classes or ()):
        if (own := taxonomy.find(name)) is not None:
            labels.setdefault(own, label)
    return labels


def carry_predictors(
    model: nn.Module,
    checkpoint: Mapping[str, Any],
    classes: Sequence[str] | None,
    taxonomy: Taxonomy,
    taxonomies: Mapping[str, Taxonomy] | None = None,
) -> list[str]:
    """Replace predictors in a checkpoint by what the model takes from them, in place, row by row.

    Layers with one row for each class take those of classes with the same name, and layers with
    more rows for groups (NodeHead) those of groups with the same name. Other predictors (several
    anchors, RoIs of several pixels), and point heads, which also read a mask of each class, are
    taken if all classes are the same, label by label. RPNs, class-agnostic heads and classes of
    "stuff" do not depend on the data's classes.

    `classes` are the checkpoint's in label order (None: it does not tell), and `taxonomies` what
    its heads were trained with, by their names; `taxonomy` is the training data's. Returns what
    came from where, for the log.
    """
    labels = match_labels(classes, taxonomy)
    own = model.state_dict()
    state = state_dict_of(checkpoint)
    counts = taxonomy.num_classes, len(classes or ())
    is_same = counts[0] == counts[1] and labels == dict(enumerate(range(counts[0])))
    told: dict[str, str] = {}
    for key, given in list(state.items()):
        name = key.removeprefix('module.')
        place, head = (_head_of(model, name) if name in own else None) or ('', None)
        if head is None or head.num_classes != counts[0]:
            continue
        groups = _groups_of(head, (taxonomies or {}).get(place))
        rows = len(own[name]), len(given), own[name].shape[1:]
        has_rows = rows == (*map(sum, zip(counts, map(len, groups), strict=True)), given.shape[1:])
        layer = name.rpartition('.')[0]
        if is_same and groups[0] == groups[1] and own[name].shape == given.shape:
            told[layer] = 'all, classes are the same'
        elif has_rows and not isinstance(head, MaskPointHead):
            state[key] = own[name].detach().cpu().clone()
            same = {
                counts[0] + row: counts[1] + groups[1].index(group)
                for row, group in enumerate(groups[0])
                if group in groups[1]
            }
            pairs = labels | same
            state[key][list(pairs)] = given[list(pairs.values())].to(state[key].dtype)
            told[layer] = f'{len(labels)} of {counts[0]} classes'
            if groups[0]:
                told[layer] += f', {len(same)} of {len(groups[0])} groups'
        else:
            del state[key]
            why = 'the checkpoint does not name its classes'
            told.setdefault(layer, f'new (of {tuple(given.shape)})' if classes else f'new ({why})')
    return [f'{layer}, by the names of classes: {what}' for layer, what in told.items()]


def _groups_of(head: nn.Module, given: Taxonomy | None) -> tuple[list[str], list[str]]:
    """Groups that have rows of their own behind the classes: in the model, in the checkpoint."""
    here = head.groups if isinstance(head, NodeHead) else ()
    there = () if given is None else given.labels.names[given.num_classes + 1 : -1]
    return [*map(normalize, here)], [*map(normalize, there)]


def _head_of(model: nn.Module, name: str) -> tuple[str, nn.Module] | None:
    """Name and head that predict classes by a tensor; None if nothing does, a box head or an RPN."""
    parts = name.split('.')
    for end in range(len(parts) - 1, 0, -1):
        place = '.'.join(parts[:end])
        head = model.get_submodule(place)
        if not hasattr(head, 'num_classes'):
            continue
        is_free = parts[0] == 'rpn_head' or getattr(head, 'class_agnostic', False)
        if is_free or isinstance(head, BBoxHead | FusedSemanticHead):
            return None
        is_predictor = (
            _PREDICTOR.fullmatch('.'.join(parts[end:])) is not None
            or isinstance(head, MaskPointHead)
            or (isinstance(head, SSDHead) and parts[end] == 'cls_convs')
        )
        return (place, head) if is_predictor else None
    return None
