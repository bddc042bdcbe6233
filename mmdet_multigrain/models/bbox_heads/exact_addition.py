"""Classes that were added to a detector, without a change of its old detections.

`tools/add_class.py` puts new classes behind the old ones, in the same softmax: where a new class
scores high, old scores fall. Here old classes keep a softmax of their own, and new ones get their
share of it only where they are likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.func import functional_call

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .group_prediction import suppress

_DEFAULTS = {'tau': 0.5, 'max_per_img': 100}


class ExactAddition:
    """Mixin of box heads: `added=dict(classes=n)` keeps the detections of all but the last n classes.

    A new class divides the probability of its finest group and background between "as before" and
    itself, in the ratio of their exponentiated scores. In RoIs where that gives it `tau` (0.5) or
    more, the old classes of its group have what is left; in all others their scores and boxes are
    those of the old detector, bit for bit. Old detections keep their places in an image, as many as
    `test_cfg.rcnn.max_per_img`; new ones have places of their own, `added.max_per_img` (100).

    In training, and where groups are detected (`test_cfg.rcnn.groups`), it does nothing.
    """

    added: dict[str, Any] | None = None

    def _set_added(self, added: Mapping[str, Any] | None, taxonomy: Taxonomy) -> None:
        """Check the argument `added` of a head for the classes of a taxonomy."""
        if added is None:
            return
        number = added.get('classes')
        if added.keys() - {'classes', *_DEFAULTS} or number not in range(1, taxonomy.num_classes):
            raise ConfigError(
                f'added={dict(added)}: needs classes, the number of the last ones that are new, and '
                'takes tau and max_per_img'
            )
        if not self.takes_unannotated or getattr(self.loss_cls, 'fusion', None) is not None:
            raise ConfigError(
                'added needs the softmax of one CrossEntropyLoss; leave added out, or the fusion or '
                'loss that is not'
            )
        self.added = {**_DEFAULTS, **added}
        self._num_old = taxonomy.num_classes - number
        # By the finest group of new classes: the new classes that divide the share of its old ones
        # and background. Without a group, a class is alone; without groups, all are one.
        shares: dict[tuple[int, ...], tuple[list[int], list[int]]] = {}
        for new in range(self._num_old, self.num_classes):
            level = max(len(taxonomy.paths[new]) - 1, 0)
            index = taxonomy.group_index(level)
            if taxonomy.num_levels == 1:
                index = (0,) * self.num_classes
            old = [label for label in range(self._num_old) if index[label] == index[new]]
            shares.setdefault((level, index[new]), ([], [*old, self._num_old]))[0].append(new)
        self._shares = [*shares.values()]

    def _apart(self, layer: nn.Module, feature: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
        """Outputs of rows of a layer, by a product for each part: of another shape, it may round
        differently."""
        parts = [
            functional_call(layer, {k: v[list(part)] for k, v in layer.named_parameters()}, feature)
            for part in rows
        ]
        return torch.cat(parts, dim=1)

    def _classify(self, feature: Tensor) -> Tensor:
        """The scores of the fine level, (N, K + 1)."""
        if self.added is None or self.training or torch.jit.is_tracing():
            return self.fc_cls(feature)
        old, last = self._num_old, self.num_classes
        scores = self._apart(self.fc_cls, feature, [[*range(old), last], range(old, last)])
        return torch.cat([scores[:, :old], scores[:, old + 1 :], scores[:, old : old + 1]], dim=1)

    def _detect_added(
        self, boxes: Tensor, cls_score: Tensor, cfg: Mapping[str, Any]
    ) -> InstanceData:
        """Detections of one image from the boxes of its RoIs, (N, 4 K) or (N, 4)."""
        old_boxes = new_boxes = boxes
        if boxes.size(1) > self.bbox_coder.encode_size:
            cut = self.bbox_coder.encode_size * self._num_old
            old_boxes, new_boxes = boxes[:, :cut], boxes[:, cut:]
        scores, new_scores = self._divide(cls_score)
        old = suppress(old_boxes, scores, cfg, cfg['max_per_img'])
        new = suppress(new_boxes, new_scores, cfg, self.added['max_per_img'])
        new.labels += self._num_old
        return InstanceData.cat([old, new])

    def _divide(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of old classes and background, (N, K' + 1), and of the n new classes and
        anything else, (N, n + 1)."""
        old = torch.cat([cls_score[:, : self._num_old], cls_score[:, self.num_classes :]], dim=1)
        before = old.softmax(dim=-1)
        scores, news = before, before.new_zeros(len(before), self.num_classes - self._num_old + 1)
        for new, others in self._shares:
            as_before = old[:, others].logsumexp(dim=1, keepdim=True)
            ratio = torch.cat([as_before, cls_score[:, new]], dim=1).softmax(dim=1)
            mass = before[:, others].sum(dim=1, keepdim=True)
            own = mass * ratio[:, 1:]
            news[:, [label - self._num_old for label in new]] = own
            left = scores.clone()
            left[:, others] = scores[:, others] * ratio[:, :1]
            scores = torch.where((own >= self.added['tau']).any(dim=1, keepdim=True), left, scores)
        news[:, -1] = 1 - news[:, :-1].sum(dim=1)
        return scores, news
