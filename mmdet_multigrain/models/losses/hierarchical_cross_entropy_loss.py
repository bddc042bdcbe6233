"""Cross entropy over all levels of a taxonomy (paper, equation 1).

Here belongs what turns one concatenated score tensor into the losses, probabilities and
accuracies of its levels. The layers that produce the scores are the box heads' business.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.models.losses import accuracy, cross_entropy
from mmdet.registry import MODELS
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

COARSE_WIDTHS = ('classes', 'groups')


@MODELS.register_module()
class HierarchicalCrossEntropyLoss(nn.Module):
    r"""Weighted sum of one softmax cross entropy per taxonomy level.

    .. math::
        E_{ce} = -\sum_{l=1}^{L} w_k(l) \sum_c t_c(l) \log y_c(l)

    with :math:`y(l)` the softmax over the outputs of level :math:`l` (its classes and the
    background) and :math:`t(l)` the one-hot target of that level (paper, section 3.2, eq. 1).
    The scores of all levels arrive as one tensor::

        cls_score (N, C) = [ fine classes, background | level 0, background | level 1, ... ]

    The fine part comes first, the coarser levels follow from the coarsest on. Targets are fine
    labels only; the superclass of each is looked up in a buffer. The fine part alone makes the
    probabilities (`get_activation`), as the paper evaluates the fine branch.

    Labels follow mmdet: 0..K-1 are classes, K is background. Numbers above K are reserved for
    boxes of which only the superclass is known and are not accepted yet.

    Args:
        taxonomy (Taxonomy | str | Mapping): The taxonomy, or what `Taxonomy.load` takes: a
            built-in name, a path, a mapping. It needs at least two levels.
        level_weights (Sequence[float], optional): :math:`w_k` per level, coarse to fine.
            Default: 1 for each level.
        coarse_width (str): Outputs of a coarser level, without background. 'classes': as many as
            there are fine classes, as the paper does; outputs beyond the number of groups never
            become a target. 'groups': one per group. Defaults to 'classes'.
        fine_loss (dict): Loss of the finest level, on softmax: FocalLoss and others on a sigmoid
            for each class are refused. Its class may bring its own channels,
            activation and accuracy, as SeesawLoss does; `num_classes` is filled in where it
            takes one. Defaults to dict(type='CrossEntropyLoss').

    Raises:
        ValueError: If the taxonomy has fewer than two levels, if `level_weights` does not have
            one non-negative entry per level, or if `coarse_width` is unknown.
    """

    # The three switches by which BBoxHead leaves channels, activation and accuracy to its loss.
    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    def __init__(
        self,
        taxonomy: Taxonomy | str | dict,
        level_weights: Sequence[float] | None = None,
        coarse_width: str = 'classes',
        fine_loss: dict = dict(type='CrossEntropyLoss'),  # noqa: B006, B008 (never changed)
    ) -> None:
        super().__init__()
        taxonomy = Taxonomy.load(taxonomy)
        check_groups(taxonomy)
        if level_weights is None:
            level_weights = (1.0,) * taxonomy.num_levels
        if len(level_weights) != taxonomy.num_levels or min(level_weights) < 0:
            raise ConfigError(
                f'level_weights={tuple(level_weights)}: taxonomy {taxonomy.name!r} has '
                f'{taxonomy.num_levels} levels and needs one weight >= 0 for each, coarse to fine'
            )
        if coarse_width not in COARSE_WIDTHS:
            raise ConfigError(f'coarse_width={coarse_width!r}: must be one of {COARSE_WIDTHS}')
        self.taxonomy = taxonomy
        self.num_classes = taxonomy.num_classes
        self.num_levels = taxonomy.num_levels
        self.level_weights = tuple(float(weight) for weight in level_weights)
        self.coarse_width = coarse_width
        self.fine_loss = _build_fine_loss(fine_loss, self.num_classes)

        coarse_levels = range(self.num_levels - 1)
        fine_channels = (
            self.fine_loss.get_cls_channels(self.num_classes)
            if getattr(self.fine_loss, 'custom_cls_channels', False)
            else self.num_classes + 1
        )
        coarse_channels = [
            1 + (self.num_classes if coarse_width == 'classes' else taxonomy.num_groups(level))
            for level in coarse_levels
        ]
        self.level_channels = (*coarse_channels, fine_channels)
        # One row per coarser level: fine label -> group, and background K -> that level's last.
        # Not persistent: the taxonomy is part of the config; a checkpoint must not overrule it.
        self.register_buffer(
            'group_of_label',
            torch.tensor(
                [
                    [*taxonomy.group_index(level), self.level_channels[level] - 1]
                    for level in coarse_levels
                ]
            ),
            persistent=False,
        )

    def level_name(self, level: int) -> str:
        """Name of a level in log keys: 'coarse' and 'fine', or 'level0', ... and 'fine'."""
        if level == self.num_levels - 1:
            return 'fine'
        return 'coarse' if self.num_levels == 2 else f'level{level}'

    def get_cls_channels(self, num_classes: int) -> int:
        """Number of outputs over all levels; `num_classes` must be the taxonomy's."""
        if num_classes != self.num_classes:
            raise ConfigError(
                f'the head has num_classes={num_classes}, taxonomy {self.taxonomy.name!r} has '
                f'{self.num_classes}: leave num_classes out, the taxonomy gives it'
            )
        return sum(self.level_channels)

    def split(self, cls_score: Tensor) -> tuple[Tensor, ...]:
        """Split scores (N, C) into one tensor per level, ordered coarse to fine.

        Scores of the fine level alone, as heads give in evaluation mode, are one tensor.
        """
        if cls_score.size(1) == self.level_channels[-1]:
            return (cls_score,)
        fine, *coarse = cls_score.split((self.level_channels[-1], *self.level_channels[:-1]), dim=1)
        return (*coarse, fine)

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Probabilities (N, K + 1) of the fine classes and background.

        Scores are those of all levels, shape (N, C), or those of the fine level alone.
        """
        fine = cls_score[:, : self.level_channels[-1]]
        if getattr(self.fine_loss, 'custom_activation', False):
            return self.fine_loss.get_activation(fine)
        return F.softmax(fine, dim=-1)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Top-1 accuracy in percent per level: `acc_fine`, and `acc_coarse` or `acc_level*`."""
        *coarse, fine = self.split(cls_score)
        if getattr(self.fine_loss, 'custom_activation', False):  # else softmax keeps the order
            fine = self.fine_loss.get_activation(fine)
        accuracies = {'acc_fine': accuracy(fine, labels)}
        for level, scores in enumerate(coarse):
            targets = self.group_of_label[level][labels]
            accuracies[f'acc_{self.level_name(level)}'] = accuracy(scores, targets)
        return accuracies

    def forward(
        self,
        cls_score: Tensor,
        labels: Tensor,
        label_weights: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Compute the loss of every level, each already multiplied by its weight.

        Args:
            cls_score (Tensor): Scores of all levels, shape (N, C), or of the fine level alone,
                which then has the only loss; N may be 0.
            labels (Tensor): Fine labels, shape (N, ), 0..K-1 and K for background.
            label_weights (Tensor, optional): Weight per RoI, shape (N, ).
            avg_factor (float, optional): What the sum over RoIs is divided by.
            reduction_override (str, optional): 'none', 'mean' or 'sum'; default 'mean'.

        Returns:
            dict[str, Tensor]: `loss_cls_fine`, and `loss_cls_coarse` (L > 2: `loss_cls_level0`,
            ...). mmengine sums them.
        """
        # Half precision is enough for the layers, not for the logarithm of a sum.
        *coarse, fine = self.split(cls_score.float())
        fine_loss = self.fine_loss(
            fine,
            labels,
            label_weights,
            avg_factor=avg_factor,
            reduction_override=reduction_override,
        )
        if isinstance(fine_loss, dict):  # SeesawLoss returns its two terms
            fine_loss = sum(fine_loss.values())
        losses = {'loss_cls_fine': self.level_weights[-1] * fine_loss}
        for level, scores in enumerate(coarse):
            losses[f'loss_cls_{self.level_name(level)}'] = self.level_weights[
                level
            ] * cross_entropy(
                scores,
                self.group_of_label[level][labels],
                label_weights,
                reduction=reduction_override or 'mean',
                avg_factor=avg_factor,
            )
        return losses


def check_groups(taxonomy: Taxonomy) -> None:
    """Raise a one-line ConfigError if a taxonomy has one level only: there is no coarse one."""
    if taxonomy.num_levels < 2:
        raise ConfigError(
            f'taxonomy {taxonomy.name!r} has no groups for a grouped head to learn; train wogroup '
            '(grouped=False in the head), merged, baseline or stock, or give its classes '
            'superclasses: the supercategory of the categories in the COCO file, or a YAML file as '
            'the taxonomy (tools/make_taxonomy.py writes one to edit)'
        )


def _build_fine_loss(config: dict, num_classes: int) -> nn.Module:
    """Build the loss of the finest level; its number of classes is the taxonomy's."""
    config = dict(config)
    loss_class = MODELS.get(config['type'])
    if loss_class is not None and 'num_classes' in inspect.signature(loss_class).parameters:
        config.setdefault('num_classes', num_classes)
    loss = MODELS.build(config)
    if getattr(loss, 'use_sigmoid', False):
        raise ConfigError(
            f'fine_loss of type {config["type"]} uses a sigmoid for each class (use_sigmoid=True), '
            'but the levels predict with softmax; use CrossEntropyLoss or SeesawLoss'
        )
    return loss
