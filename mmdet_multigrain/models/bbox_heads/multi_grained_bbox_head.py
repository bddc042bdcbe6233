"""The paper's multi-grained head (figure 3b): every branch has its own supervision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.nested import is_kind

from ..losses.hierarchical_cross_entropy_loss import HierarchicalCrossEntropyLoss, check_groups
from .multi_branch_bbox_head import MultiBranchBBoxHead, resolve_taxonomy


@MODELS.register_module()
class MultiGrainedBBoxHead(MultiBranchBBoxHead):
    r"""A shallow branch learns superclasses, deeper ones learn finer classes.

    .. code-block:: none

                          /-> coarse branch (1 FC) -> coarse_fc_cls -> superclass scores
        RoI feature (7x7) --> ... one branch per level, each deeper than the last
                          \-> fine branch (2 FC) --> fc_cls -> class scores
                                                 \-> fc_reg -> box deltas

    With `grouped=False` the coarse branch learns the fine classes too (the paper's "w/o group").
    Detections come from the fine branch alone (paper, section 3.2), unless `fusion` asks the others.

    StandardRoIHead and CascadeRoIHead use it as it is: `forward` returns one score and one delta
    tensor. The scores hold the fine part first, then the coarser levels (see
    HierarchicalCrossEntropyLoss); the deltas hold the fine part first, then those of the coarser
    levels that have a regressor.

    Labels above K, of boxes of which only the superclass is known (`Taxonomy.labels`), train the
    levels that know them, and the others as `coarse_labels` of the loss says. Their box deltas are
    those of the class that has the highest score among the label's own; with `reg_per='group'`,
    where these classes are a group, or a part of one, its regressor.

    Args:
        taxonomy, grouped, allow_one_group: See MultiBranchBBoxHead.
        coarse_width: 'classes' (the paper) or 'groups', see HierarchicalCrossEntropyLoss.
            Defaults to 'classes'.
        reg_weights: :math:`w_r` of the box regression loss per level (paper, eq. 2), coarse to
            fine. A coarser level of weight 0 has no regressor; the fine weight must be positive.
            Default: 1 for the finest level, else 0, as in the paper.
        fusion: What corrects the class probabilities at test time: a ConditionalFusion or
            ProductFusion of all levels, or NorCal. Default: nothing.
        loss_cls: A HierarchicalCrossEntropyLoss; the head hands it its taxonomy, `coarse_width`
            and `fusion`. Defaults to one with weight 1 for every level.
        **kwargs: See MultiBranchBBoxHead.

    Raises:
        ConfigError: If `reg_weights` or `loss_cls` do not fit the taxonomy.
    """

    takes_coarse_labels = True

    @property
    def takes_unannotated(self) -> bool:
        """Whether the loss can leave classes out."""
        return self.loss_cls.takes_unannotated

    def __init__(
        self,
        *,
        taxonomy: Taxonomy | str | dict | None = None,
        grouped: bool = True,
        allow_one_group: bool = False,
        coarse_width: str = 'classes',
        reg_weights: Sequence[float] | None = None,
        fusion: dict | None = None,
        loss_cls: dict = dict(type='HierarchicalCrossEntropyLoss'),  # noqa: B006, B008 (never changed)
        init_cfg: dict | list[dict] | None = None,
        **kwargs,
    ) -> None:
        label_taxonomy = resolve_taxonomy(taxonomy, allow_one_group=allow_one_group)
        taxonomy = label_taxonomy if grouped else label_taxonomy.ungrouped()
        check_groups(taxonomy)
        if reg_weights is None:
            reg_weights = (*(0,) * (taxonomy.num_levels - 1), 1)
        if len(reg_weights) != taxonomy.num_levels or min(reg_weights) < 0 or reg_weights[-1] <= 0:
            raise ConfigError(
                f'reg_weights={tuple(reg_weights)}: taxonomy {taxonomy.name!r} has '
                f'{taxonomy.num_levels} levels and needs one weight >= 0 for each, coarse to '
                'fine, the fine one above 0'
            )
        if not is_kind(loss_cls, MODELS, HierarchicalCrossEntropyLoss):
            raise ConfigError(
                f'loss_cls of type {loss_cls["type"]}: {type(self).__name__} needs a '
                'HierarchicalCrossEntropyLoss; other losses go into its fine_loss'
            )
        of_head = {'taxonomy': taxonomy, 'coarse_width': coarse_width, 'fusion': fusion}
        if not grouped:
            of_head['label_taxonomy'] = label_taxonomy  # coarse labels keep their meaning
        super().__init__(
            taxonomy=label_taxonomy,
            grouped=grouped,
            loss_cls={**of_head, **loss_cls},
            init_cfg=init_cfg,
            **kwargs,
        )
        self.label_taxonomy = label_taxonomy
        self.reg_weights = tuple(float(weight) for weight in reg_weights)

        *coarse_channels, fine_channels = self.loss_cls.level_channels
        in_features = self.fc_out_channels
        self._build_fine_predictors(in_features, fine_channels)
        self.coarse_fc_cls = nn.ModuleList(
            self._predictor(self.cls_predictor_cfg, in_features, channels)
            for channels in coarse_channels
        )
        # Keyed by level: only levels with a weight regress.
        self.coarse_fc_reg = nn.ModuleDict()
        for level, channels in enumerate(coarse_channels):
            if self.reg_weights[level] > 0:
                boxes = 1 if self.reg_class_agnostic else channels - 1
                channels = self.bbox_coder.encode_size * boxes
                regressor = self._predictor(self.reg_predictor_cfg, in_features, channels)
                self.coarse_fc_reg[str(level)] = regressor
        if init_cfg is None:
            self.init_cfg += [
                dict(type='Normal', std=0.01, override=dict(name='coarse_fc_cls')),
                dict(type='Normal', std=0.001, override=dict(name='coarse_fc_reg')),
            ]

    def training_facts(self) -> dict[str, Any]:
        """The supervision of each level, as plain values for checkpoints."""
        return dict(
            grouped=self.grouped,
            coarse_width=self.loss_cls.coarse_width,
            level_weights=list(self.loss_cls.level_weights),
            reg_weights=list(self.reg_weights),
            fine_loss=type(self.loss_cls.fine_loss).__name__,
            coarse_labels=self.loss_cls.coarse_labels,
            taxonomy=self.taxonomy.to_dict(),
            **super().training_facts(),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of all levels and box deltas of RoI features (N, C, H, W), the fine part first.

        In evaluation mode only the fine branch is computed, as detections come from it alone. For
        a `fusion` of the levels there are the scores of the others, too; those of the fine one and
        the deltas are bit for bit the same.
        """
        if not self.training and not self.loss_cls.fuses_levels:
            fine = self.fine_feature(x)
            return self._classify(fine), self._regress(fine)
        if self.training:
            *coarse, fine = self.branch_features(x)
        else:
            coarse, fine = self.coarse_features(x), self.fine_feature(x)
        scores = [self.fc_cls(fine)]
        scores += [fc(feature) for fc, feature in zip(self.coarse_fc_cls, coarse, strict=True)]
        deltas = self._regress(fine)
        if self.coarse_fc_reg and self.training:
            of_levels = [fc(coarse[int(level)]) for level, fc in self.coarse_fc_reg.items()]
            deltas = torch.cat([deltas, *of_levels], dim=1)
        return torch.cat(scores, dim=1), deltas

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor | None,
        bbox_weights: Tensor | None,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Classification losses of all levels, regression losses of those with a weight.

        Arguments are those of `BBoxHead.loss`, with the scores and deltas of `forward`; from those
        of evaluation mode come the losses of the fine level alone. Keys are those of
        HierarchicalCrossEntropyLoss (losses and accuracies), `loss_bbox`, and `loss_bbox_coarse`
        (L > 2: `loss_bbox_level*`) where w_r > 0.
        """
        others = label_weights, bbox_targets, bbox_weights, reduction_override
        losses = super().loss(cls_score, None, rois, labels, *others)
        if bbox_pred is None:  # OHEMSampler ranks RoIs by their classification alone
            return losses
        labels = self.loss_cls.likeliest_class(cls_score, labels)
        losses |= super().loss(None, self._fine_deltas(bbox_pred), rois, labels, *others)
        losses['loss_bbox'] = self.reg_weights[-1] * losses['loss_bbox']
        # In evaluation mode there are no deltas but the fine ones.
        levels = self.coarse_fc_reg if bbox_pred.size(1) > self._reg_channels else {}
        widths = [fc.out_features for fc in levels.values()]
        coarse_deltas = bbox_pred[:, self._reg_channels :].split(widths, dim=1)
        for level, deltas in zip(map(int, levels), coarse_deltas, strict=True):
            name = self.loss_cls.level_name(level)
            losses[f'loss_bbox_{name}'] = self.reg_weights[level] * self.loss_bbox(
                self._deltas_of_true_group(level, deltas, rois, labels),
                bbox_targets,
                bbox_weights,
                avg_factor=max(bbox_targets.size(0), 1),
                reduction_override=reduction_override,
            )
        return losses

    def _without(self, cls_score: Tensor, hidden: Tensor) -> Tensor:
        return self.loss_cls.without(cls_score, hidden)

    def _deltas_of_true_group(
        self, level: int, deltas: Tensor, rois: Tensor, labels: Tensor
    ) -> Tensor:
        """Deltas (N, 4) of each RoI's own group.

        Background rows get those of some group: their weight is 0, and taking all rows keeps the
        host from waiting for the device, as a boolean mask would make it do.
        """
        size = self.bbox_coder.encode_size
        if not self.reg_class_agnostic:
            num_groups = self.loss_cls.level_channels[level] - 1
            deltas = deltas.reshape(-1, num_groups, size)
            group = self.loss_cls.group_of_label[level][labels].clamp(max=num_groups - 1)
            deltas = deltas.gather(1, group.view(-1, 1, 1).expand(-1, 1, size)).squeeze(1)
        if self.reg_decoded_bbox:
            deltas = get_box_tensor(self.bbox_coder.decode(rois[:, 1:], deltas))
        return deltas

    def refine_bboxes(
        self, sampling_results: list, bbox_results: dict, batch_img_metas: list[dict]
    ) -> list[InstanceData] | None:
        """Boxes for the next stage of a cascade; coarse labels by their likeliest class."""
        labels, *others = bbox_results['bbox_targets']
        labels = self.loss_cls.likeliest_class(bbox_results['cls_score'], labels)
        bbox_results = {**bbox_results, 'bbox_targets': (labels, *others)}
        return super().refine_bboxes(sampling_results, bbox_results, batch_img_metas)

    def regress_by_class(
        self, priors: Tensor, label: Tensor, bbox_pred: Tensor, img_meta: dict
    ) -> Tensor:
        """Boxes of the given fine labels, for the next stage of a cascade."""
        return super().regress_by_class(priors, label, self._fine_deltas(bbox_pred), img_meta)
