"""Cross entropy over all levels of a taxonomy (paper, equation 1)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from mmdet.models.losses import CrossEntropyLoss, SeesawLoss, accuracy
from mmdet.models.losses.utils import weight_reduce_loss
from mmdet.registry import MODELS
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, check_choice

from .score_fusion import build_fusion

COARSE_WIDTHS = ('classes', 'groups')
COARSE_LABELS = ('mask', 'marginal')
UNKNOWN = -1


@MODELS.register_module()
class HierarchicalCrossEntropyLoss(nn.Module):
    r"""Weighted sum of one softmax cross entropy per taxonomy level.

    .. math::
        E_{ce} = -\sum_{l=1}^{L} w_k(l) \sum_c t_c(l) \log y_c(l)

    with :math:`y(l)` the softmax over the outputs of level :math:`l` (its classes and the
    background) and :math:`t(l)` the one-hot target of that level (paper, section 3.2, eq. 1).
    The scores of all levels arrive as one tensor::

        cls_score (N, C) = [ fine classes, background | level 0, background | level 1, ... ]

    The fine part comes first, the coarser levels follow from the coarsest on, those of one tree after
    those of another. The group of each label is looked up in a buffer, so that levels need not nest.
    The fine part alone makes the probabilities (`get_activation`), as the paper evaluates the fine
    branch, unless there is a `fusion`.

    Labels follow mmdet: 0..K-1 are classes, K is background. Those above K are coarse: boxes of
    which only the superclass is known, or nothing (`Taxonomy.labels`). Levels down to the label's
    own learn it as any other; `coarse_labels` says what the finer ones do. Each level divides by the
    RoIs that it learns from. A batch without coarse labels has exactly the loss of equation 1.

    Args:
        taxonomy: The taxonomy, or what `Taxonomy.load` takes; with at least two levels.
        level_weights: :math:`w_k` per level, coarse to fine. Default: 1 for each level.
        coarse_width: Outputs of a coarser level, without background. 'classes': as many as there
            are fine classes, as the paper does; outputs beyond the number of groups never become
            a target. 'groups': one per group. Defaults to 'classes'.
        fine_loss: Loss of the finest level, on softmax: FocalLoss and others on a sigmoid for each
            class are refused. Its class may bring its own channels, activation and accuracy, as
            SeesawLoss does; `num_classes` is filled in where it takes one.
            Defaults to dict(type='CrossEntropyLoss').
        coarse_labels: What levels finer than a coarse label do with it. 'mask': nothing.
            'marginal': raise the total probability of the classes (groups) that the label allows,
            which needs a CrossEntropyLoss as `fine_loss`. Defaults to 'mask'.
        label_taxonomy: Whose groups labels above K mean. Default: `taxonomy`.
        fusion: A ScoreFusion that corrects the probabilities of the classes at test time; with
            `gamma` 0 as without. Default: the fine level alone.

    Raises:
        ConfigError: An argument does not fit the taxonomy, `coarse_labels` does not go with
            `fine_loss`, or `fusion` would read a level that nothing trains.
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
        coarse_labels: str = 'mask',
        label_taxonomy: Taxonomy | None = None,
        fusion: dict | None = None,
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
        check_choice('coarse_width', coarse_width, COARSE_WIDTHS)
        self.taxonomy = taxonomy
        self.num_classes = taxonomy.num_classes
        self.num_levels = taxonomy.num_levels
        self.level_weights = tuple(float(weight) for weight in level_weights)
        self.coarse_width = coarse_width
        self.fine_loss = _build_fine_loss(fine_loss, self.num_classes)
        self.coarse_loss = CrossEntropyLoss()
        # Whether `without` leaves a loss that is defined: that of a softmax over what is left.
        self.takes_unannotated = type(self.fine_loss) is CrossEntropyLoss

        fine_channels = (
            self.fine_loss.get_cls_channels(self.num_classes)
            if getattr(self.fine_loss, 'custom_cls_channels', False)
            else self.num_classes + 1
        )
        coarse_channels = [
            1 + (self.num_classes if coarse_width == 'classes' else taxonomy.num_groups(level))
            for level in range(self.num_levels - 1)
        ]
        self.level_channels = (*coarse_channels, fine_channels)
        check_choice('coarse_labels', coarse_labels, COARSE_LABELS)
        self.coarse_labels = coarse_labels
        if coarse_labels == 'marginal':
            _check_marginal(self.fine_loss)
        self.fusion = build_fusion(fusion, taxonomy)
        if self.fusion is not None:
            levels = self.fusion.levels if self.fuses_levels else ()
            _check_fusion(self.fine_loss, self.level_weights, levels)
        labels = (label_taxonomy or taxonomy).labels
        self._widths = (*coarse_channels, self.num_classes + 1)
        sets = torch.zeros(self.num_levels, len(labels), self.num_classes + 1, dtype=torch.bool)
        for level, width in enumerate(self._widths):
            allowed = labels.outputs(taxonomy.group_index(level), width)
            sets[level, :, :width] = torch.from_numpy(allowed)
        known = torch.where(sets.sum(2) == 1, sets.int().argmax(2), UNKNOWN)
        # By level and label: the outputs that it allows, and the only one, UNKNOWN if there are more.
        # Not persistent: the taxonomy is part of the config; a checkpoint must not overrule it.
        self.register_buffer('label_sets', sets, persistent=False)
        self.register_buffer('group_of_label', known, persistent=False)

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

    @property
    def fuses_levels(self) -> bool:
        """Whether probabilities come from the scores of all levels, not of the fine one alone."""
        return self.fusion is not None and self.fusion.reads_coarse

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Probabilities (N, K + 1) of the fine classes and background.

        Scores of the fine level alone are enough unless it `fuses_levels`.
        """
        if self.fusion is not None:
            *coarse, fine = self.split(cls_score.float())
            return self.fusion(self._log_probabilities(fine), coarse).exp()
        fine = cls_score[:, : self.level_channels[-1]]
        if getattr(self.fine_loss, 'custom_activation', False):
            return self.fine_loss.get_activation(fine)
        return F.softmax(fine, dim=-1)

    def _log_probabilities(self, fine: Tensor) -> Tensor:
        """Logarithms of the fine level's probabilities, (N, K + 1)."""
        if not isinstance(self.fine_loss, SeesawLoss):
            return fine.log_softmax(dim=1)
        classes, object_or_not = fine.split((self.num_classes, 2), dim=1)
        object_or_not = object_or_not.log_softmax(dim=1)
        classes = classes.log_softmax(dim=1) + object_or_not[:, :1]
        return torch.cat([classes, object_or_not[:, 1:]], dim=1)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Top-1 accuracy in percent per level: `acc_fine`, and `acc_coarse` or `acc_level*`.

        RoIs whose label is coarser than a level have no truth there and do not count.
        """
        custom = getattr(self.fine_loss, 'custom_activation', False)  # else softmax keeps the order
        accuracies = {}
        for level, scores in self._fine_first(cls_score):
            if custom and level == self.num_levels - 1:
                scores = self.fine_loss.get_activation(scores)
            targets = self.group_of_label[level][labels]
            known = (targets != UNKNOWN).sum().clamp(min=1)
            share = max(len(labels), 1) / known  # exactly 1 without coarse labels
            accuracies[f'acc_{self.level_name(level)}'] = accuracy(scores, targets) * share
        return accuracies

    def likeliest_class(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Labels 0..K, (N, ): of each coarse label, its class with the highest fine score."""
        scores = cls_score.detach()[:, : self.num_classes].float()
        children = scores.masked_fill(~self.label_sets[-1][labels, :-1], float('-inf')).argmax(1)
        return torch.where(labels > self.num_classes, children, labels)

    def without(self, cls_score: Tensor, hidden: Tensor) -> Tensor:
        """Scores in which `hidden` classes, bool (N, K), take no part in the softmax: they are -inf.

        On coarser levels, so is a group as soon as one of its classes is hidden: an object of it
        may be there. Background and unused outputs stay.
        """
        parts = []
        for level, scores in self._fine_first(cls_score):
            outputs = hidden.float() @ self._sets(level)[: self.num_classes].float()
            parts.append(scores.masked_fill(outputs > 0, float('-inf')))
        return torch.cat(parts, dim=1)

    def forward(
        self,
        cls_score: Tensor,
        labels: Tensor,
        label_weights: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """The loss of every level, multiplied by its weight.

        They are `loss_cls_fine`, and `loss_cls_coarse` (L > 2: `loss_cls_level0`, ...).

        Args:
            cls_score: Scores of all levels, (N, C), or of the fine level alone, which then has the
                only loss; N may be 0.
            labels: Labels, (N, ): 0..K-1, K for background, coarse ones above.
            label_weights: Weight per RoI, (N, ).
            avg_factor: What the sum over RoIs is divided by: their number, of which each level
                takes off those that it does not learn from.
            reduction_override: 'none', 'mean' or 'sum'; default 'mean'.
        """
        losses = {}
        weights = (torch.ones_like(labels) if label_weights is None else label_weights).float()
        total = len(labels) if avg_factor is None else avg_factor
        how = {'avg_factor': avg_factor, 'reduction_override': reduction_override}
        # Half precision is enough for the layers, not for the logarithm of a sum.
        for level, scores in self._fine_first(cls_score.float()):
            # Coarse labels cost no wait for the device. Without any, they add a term of exactly 0
            # or a factor of exactly 1, so that the loss is bit for bit that of the known labels.
            criterion = self.fine_loss if level == self.num_levels - 1 else self.coarse_loss
            targets = self.group_of_label[level][labels]
            known = targets != UNKNOWN
            # What the level does not know is background of weight 0.
            targets = targets.where(known, self._widths[level] - 1)
            loss = criterion(scores, targets, weights * known, **how)
            if isinstance(loss, dict):  # SeesawLoss returns its two terms
                loss = sum(loss.values())
            reduction = reduction_override or getattr(criterion, 'reduction', 'mean')
            if self.coarse_labels == 'marginal':
                sets = set_cross_entropy(scores, self._sets(level)[labels])
                sets = weight_reduce_loss(sets, weights * ~known, reduction, avg_factor)
                loss = loss + criterion.loss_weight * sets
            elif reduction == 'mean':
                left_out = (~known & (weights > 0)).sum()
                loss = loss * (total / (total - left_out).clamp(min=min(total, 1)))
            losses[f'loss_cls_{self.level_name(level)}'] = self.level_weights[level] * loss
        return losses

    def _fine_first(self, cls_score: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Level and scores of each level, the fine one before the others."""
        *coarse, fine = self.split(cls_score)
        yield self.num_levels - 1, fine
        yield from enumerate(coarse)

    def _sets(self, level: int) -> Tensor:
        """The outputs that each label allows at a level, bool (labels, outputs)."""
        return self.label_sets[level, :, : self._widths[level]]


def set_cross_entropy(scores: Tensor, allowed: Tensor) -> Tensor:
    """Negative logarithm of the probability that softmax gives to a set of outputs, (N, ).

    It raises no output of a set over another: their gradients have the ratio of their
    probabilities. `allowed`, bool (N, C), has at least one output of each row of scores.
    """
    inside = scores.masked_fill(~allowed, float('-inf'))
    return scores.logsumexp(1) - inside.logsumexp(1)


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


def _check_marginal(fine_loss: nn.Module) -> None:
    """Refuse fine losses that are not the plain cross entropy over all outputs."""
    if type(fine_loss) is not CrossEntropyLoss or fine_loss.class_weight is not None:
        raise ConfigError(
            "coarse_labels='marginal' adds up probabilities of classes, which is defined for "
            f'CrossEntropyLoss without class_weight only, not for this {type(fine_loss).__name__}; '
            "use coarse_labels='mask'"
        )


def _check_fusion(
    fine_loss: nn.Module, level_weights: Sequence[float], levels: Sequence[int]
) -> None:
    """Refuse what a fusion at test time cannot read."""
    if type(fine_loss) not in (CrossEntropyLoss, SeesawLoss):
        raise ConfigError(
            f'fusion needs the probabilities of a CrossEntropyLoss or SeesawLoss, not of this '
            f'{type(fine_loss).__name__}; leave fusion out'
        )
    if any(level_weights[level] == 0 for level in levels):
        raise ConfigError(
            f'fusion reads all levels, but level_weights={level_weights} leaves one untrained; '
            'leave fusion out'
        )
