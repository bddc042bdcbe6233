"""The trunk that the multi-grained and the merged head share: parallel FC branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.func import functional_call

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, check_choice

from .exact_addition import ExactAddition
from .group_prediction import GroupPrediction

REG_PER = ('class', 'group', 'agnostic')


class MultiBranchBBoxHead(GroupPrediction, ExactAddition, BBoxHead):
    """Box head whose RoI feature feeds one fully connected branch per taxonomy level.

    .. code-block:: none

                            /-> ReLU ------------------> feature of level 0   (branch_fcs[0] = 1)
        RoI feature -> branch_in
                            \\-> ReLU -> FC -> ReLU ---> feature of level 1   (branch_fcs[1] = 2)

    All branches begin with a layer on the same flattened RoI feature, so these layers are one
    matrix, `branch_in`, whose rows belong to the branches in order (coarse to fine).

    Abstract: subclasses add predictors and `forward`.

    Args:
        taxonomy: The taxonomy, or what `Taxonomy.load` takes.
        grouped: False: each class is its own superclass (paper, "w/o group"). Defaults to True.
        allow_one_group: Accept a mapping with one group of all classes, a control of experiments.
            Defaults to False.
        branch_fcs: Number of FC layers of each branch, coarse to fine, each at least 1. Default:
            1, 2, ... for the levels of the taxonomy, and the paper's (1, 2) without groups.
        fc_out_channels: Width of every FC layer. Defaults to 1024.
        num_classes: Only accepted if it equals the taxonomy's.
        reg_per: What has its own box regressor on the fine level: each 'class'; each 'group' of
            the level above the classes, also with `grouped=False` (of several trees: of the
            first); or 'agnostic', one for all. Default: as `reg_class_agnostic` says.
        reg_class_agnostic: mmdet's argument: True is 'agnostic', False (the default) is 'class'.
        loss_cls: Classification loss.
        added: Classes that were added to a trained detector, see `ExactAddition`. Default: none.
        init_cfg: Replaces the default initialization: Xavier for the branches as in
            Shared2FCBBoxHead, normal for the predictors.
        **kwargs: Arguments of mmdet's BBoxHead (`in_channels`, `roi_feat_size`, `bbox_coder`,
            `loss_bbox`, ...).

    Raises:
        ConfigError: The taxonomy is missing, `branch_fcs`, `num_classes` or `reg_per` does not
            match it, or `reg_per` contradicts `reg_class_agnostic`.
    """

    def __init__(
        self,
        *,
        taxonomy: Taxonomy | str | dict | None = None,
        loss_cls: dict,
        grouped: bool = True,
        allow_one_group: bool = False,
        branch_fcs: Sequence[int] | None = None,
        fc_out_channels: int = 1024,
        num_classes: int | None = None,
        reg_per: str | None = None,
        reg_class_agnostic: bool | None = None,
        added: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
        **kwargs,
    ) -> None:
        groups = resolve_taxonomy(
            taxonomy, allow_one_group=allow_one_group, num_classes=num_classes
        )
        taxonomy = groups if grouped else groups.ungrouped()
        groups = groups.tree()
        reg_per = _check_reg_per(reg_per, reg_class_agnostic, groups)
        num_branches = max(2, taxonomy.num_levels)
        if branch_fcs is None:
            branch_fcs = range(1, num_branches + 1)
        if len(branch_fcs) != num_branches or min(branch_fcs) < 1:
            raise ConfigError(
                f'branch_fcs={tuple(branch_fcs)}: taxonomy {taxonomy.name!r} has '
                f'{taxonomy.num_levels} levels and needs {num_branches} branches of at least 1 '
                'layer each; leave branch_fcs out for 1, 2, ... layers'
            )
        super().__init__(
            num_classes=taxonomy.num_classes,
            loss_cls=loss_cls,
            # A single group has the regressor of all classes.
            reg_class_agnostic=reg_per == 'agnostic'
            or (reg_per == 'group' and groups.num_groups(-2) == 1),
            init_cfg=init_cfg,
            **kwargs,
        )
        if not (self.with_cls and self.with_reg):
            raise ConfigError(f'{type(self).__name__} always classifies and regresses')
        self.taxonomy = taxonomy
        self.grouped = grouped
        self.reg_per = reg_per
        self.reg_taxonomy = groups
        self._set_added(added, groups)
        self.branch_depths = tuple(branch_fcs)
        self.fc_out_channels = fc_out_channels

        in_features = self.in_channels * (1 if self.with_avg_pool else self.roi_feat_area)
        self.branch_in = nn.Linear(in_features, num_branches * fc_out_channels)
        self.branch_fcs = nn.ModuleList(
            nn.ModuleList(nn.Linear(fc_out_channels, fc_out_channels) for _ in range(depth - 1))
            for depth in self.branch_depths
        )
        self.relu = nn.ReLU(inplace=True)
        if init_cfg is None:
            # Xavier's bound depends on the number of outputs; the gain makes each branch's rows
            # of the common matrix start as they would in separate layers.
            gain = (
                (in_features + num_branches * fc_out_channels) / (in_features + fc_out_channels)
            ) ** 0.5
            xavier = dict(type='Xavier', distribution='uniform')
            self.init_cfg += [
                dict(**xavier, gain=gain, override=dict(name='branch_in')),
                dict(**xavier, override=dict(name='branch_fcs')),
            ]

    #: Classes that the annotations of each image of the batch leave out, bool, (B, K). A RoI head
    #: sets it for a step (`FederatedRoIHeadMixin`).
    unannotated: Tensor | None = None
    #: Whether the loss can leave classes out.
    takes_unannotated: bool = False

    def training_facts(self) -> dict[str, Any]:
        """What the weights mean beyond their shapes, as plain values for checkpoints."""
        facts: dict[str, Any] = dict(reg_per=self.reg_per)
        if self.reg_per == 'group':
            facts['reg_taxonomy'] = self.reg_taxonomy.to_dict()
        return facts

    def _predictor(self, config: dict, in_features: int, out_features: int) -> nn.Module:
        """Build a last layer from `cls_predictor_cfg` or `reg_predictor_cfg`."""
        return MODELS.build(dict(config, in_features=in_features, out_features=out_features))

    def _build_fine_predictors(self, in_features: int, cls_channels: int) -> None:
        """Build `fc_cls`, and `fc_reg` with a regressor for each class, each group, or all."""
        rows, channels = None, self._reg_channels
        if self.reg_per == 'group' and not self.reg_class_agnostic:
            size = self.bbox_coder.encode_size
            groups = torch.tensor(self.reg_taxonomy.group_index(-2))
            rows = (size * groups[:, None] + torch.arange(size)).flatten()
            channels = size * self.reg_taxonomy.num_groups(-2)
        # The row of `fc_reg` for each delta of each class; None if these are its rows.
        self.register_buffer('reg_rows', rows, persistent=False)
        self.fc_cls = self._predictor(self.cls_predictor_cfg, in_features, cls_channels)
        self.fc_reg = self._predictor(self.reg_predictor_cfg, in_features, channels)

    @property
    def _reg_channels(self) -> int:
        """Number of fine deltas of a RoI: of all classes, or of one box for all."""
        size = self.bbox_coder.encode_size
        return size if self.reg_class_agnostic else size * self.num_classes

    def _fine_deltas(self, bbox_pred: Tensor) -> Tensor:
        """The deltas without those of coarser levels; contiguous, as BBoxHead views them by class."""
        return bbox_pred[:, : self._reg_channels].contiguous()

    def _regress(self, feature: Tensor) -> Tensor:
        """Deltas of `fc_reg`, (N, 4 K), for each class those of its group; (N, 4) if agnostic.

        In evaluation mode each class has a copy of its group's rows, as in an exported head: a
        product of another shape may be rounded differently. A trace is for programs that round in
        their own way.
        """
        is_plain = self.training or torch.jit.is_tracing()
        if self.added is not None and not (is_plain or self.reg_class_agnostic):
            rows = range(self._reg_channels) if self.reg_rows is None else self.reg_rows.tolist()
            cut = self.bbox_coder.encode_size * self._num_old
            return self._apart(self.fc_reg, feature, [rows[:cut], rows[cut:]])
        if self.reg_rows is None:
            return self.fc_reg(feature)
        if is_plain:
            return self.fc_reg(feature).index_select(1, self.reg_rows)
        copies = {name: value[self.reg_rows] for name, value in self.fc_reg.named_parameters()}
        return functional_call(self.fc_reg, copies, feature)

    def branch_features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of all branches, coarse to fine, (N, fc_out_channels) each, of (N, C, H, W)."""
        return self._deepen(self.branch_in(self._flat(x)), self.branch_fcs)

    def fine_feature(self, x: Tensor) -> Tensor:
        """The feature of the last branch alone, (N, fc_out_channels), from RoI features.

        Its first product has the shape of a head of this one branch: it may round differently.
        """
        return self._features(x, slice(-self.fc_out_channels, None), self.branch_fcs[-1:])[0]

    def coarse_features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the other branches alone, as in `branch_features`."""
        return self._features(x, slice(None, -self.fc_out_channels), self.branch_fcs[:-1])

    def _features(self, x: Tensor, rows: slice, branches: nn.ModuleList) -> tuple[Tensor, ...]:
        """Features of the branches whose first layers are these rows of `branch_in`."""
        weight, bias = self.branch_in.weight[rows], self.branch_in.bias[rows]
        return self._deepen(F.linear(self._flat(x), weight, bias), branches)

    def _deepen(self, first: Tensor, branches: nn.ModuleList) -> tuple[Tensor, ...]:
        """Features of branches from what their first layers give."""
        features = []
        for feature, layers in zip(
            self.relu(first).split(self.fc_out_channels, dim=1), branches, strict=True
        ):
            for layer in layers:
                feature = self.relu(layer(feature))
            features.append(feature)
        return tuple(features)

    def _flat(self, x: Tensor) -> Tensor:
        if self.with_avg_pool:
            x = x.mean(dim=(-2, -1))
        return x.flatten(1)

    def loss(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        *args,
        **kwargs,
    ) -> dict[str, Tensor]:
        """Losses as in BBoxHead, which leaves out classification when there are no RoIs.

        Distributed training would wait for its gradients for ever; here that loss is a zero.
        """
        if cls_score is not None and self.unannotated is not None:
            # Any object of these classes may be in a RoI that matches no box.
            is_background = labels == self.num_classes
            hidden = self.unannotated[rois[:, 0].long()] & is_background[:, None]
            cls_score = self._without(cls_score, hidden)
        losses = super().loss(cls_score, bbox_pred, rois, labels, label_weights, *args, **kwargs)
        if cls_score is not None and cls_score.shape[0] == 0:
            loss_cls = self.loss_cls(cls_score, labels, label_weights, avg_factor=1.0)
            losses.update(loss_cls if isinstance(loss_cls, dict) else dict(loss_cls=loss_cls))
        return losses

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        img_meta: dict,
        rescale: bool = False,
        rcnn_test_cfg: dict | None = None,
    ) -> InstanceData:
        """Detections of one image as in BBoxHead, but see GroupPrediction and ExactAddition."""
        predict = super()._predict_by_feat_single
        bbox_pred = self._fine_deltas(bbox_pred)
        of_groups = rcnn_test_cfg is not None and rcnn_test_cfg.get('groups') is not None
        of_added = rcnn_test_cfg is not None and self.added is not None
        if not (of_groups or of_added) or not len(roi):
            return predict(roi, cls_score, bbox_pred, img_meta, rescale, rcnn_test_cfg)
        raw = predict(roi, cls_score, bbox_pred, img_meta, rescale)
        if of_groups:
            return self._detect_groups(raw, rcnn_test_cfg)
        return self._detect_added(raw.bboxes, cls_score, rcnn_test_cfg)

    def _without(self, cls_score: Tensor, hidden: Tensor) -> Tensor:
        """Scores in which the hidden classes, bool (N, K), take no part in the softmax."""
        raise NotImplementedError


def _check_reg_per(reg_per: str | None, agnostic: bool | None, groups: Taxonomy) -> str:
    """The `reg_per` that two arguments of a head ask for, or a one-line ConfigError."""
    if reg_per is None:
        return 'agnostic' if agnostic else 'class'
    check_choice('reg_per', reg_per, REG_PER)
    if agnostic not in (None, reg_per == 'agnostic'):
        raise ConfigError(
            f'reg_per={reg_per!r} contradicts reg_class_agnostic={agnostic}; leave '
            'reg_class_agnostic out'
        )
    if reg_per == 'group' and groups.num_levels < 2:
        raise ConfigError(
            f"reg_per='group': taxonomy {groups.name!r} has no groups; give its classes "
            "superclasses, or take 'class' or 'agnostic'"
        )
    return reg_per


def resolve_taxonomy(
    taxonomy: Taxonomy | str | dict | None,
    *,
    allow_one_group: bool = False,
    num_classes: int | None = None,
) -> Taxonomy:
    """Load the taxonomy of a head; a number of classes may only repeat the taxonomy's."""
    if taxonomy is None:
        raise ConfigError(
            'a multi-grained box head has no taxonomy; resolve the config '
            '(mmdet_multigrain.engine.runner.resolver.resolve), or use the one that training wrote '
            'into its work folder'
        )
    if allow_one_group and isinstance(taxonomy, Mapping):
        taxonomy = Taxonomy.from_mapping(taxonomy, allow_one_group=True)
    taxonomy = Taxonomy.load(taxonomy)
    if num_classes not in (None, taxonomy.num_classes):
        raise ConfigError(
            f'num_classes={num_classes}: taxonomy {taxonomy.name!r} has {taxonomy.num_classes} '
            'classes; leave num_classes out, the taxonomy gives it'
        )
    return taxonomy
