"""Class probabilities corrected at test time: by the coarser levels of a head, by class counts.

All pieces work on logarithms in single precision: a probability that is 0 in a float would make a
quotient NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, check_choice
from mmdet_multigrain.utils.nested import is_kind

CENTERS = ('geometric', 'total', 'none')


class ScoreFusion(nn.Module):
    """Corrects class probabilities at test time; of several trees, only the main one counts.

    `reads_coarse` says whether it needs the logits of the coarser levels. `forward(fine, coarse)`
    gives the logarithms of the corrected probabilities of classes and background, (N, K + 1), from

    - fine: Logarithms of the fine level's probabilities, (N, K + 1), float32.
    - coarse: Logits of all coarser levels of the head, coarse to fine, the last output background;
      outputs between the groups and background are not used.
    """

    reads_coarse = True

    def __init__(self, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.levels = taxonomy.levels_of(taxonomy.main_tree)
        taxonomy = taxonomy.hierarchy
        self.num_groups = [taxonomy.num_groups(level) for level in range(taxonomy.num_levels - 1)]
        for level, count in enumerate(self.num_groups):
            index = torch.tensor((*taxonomy.group_index(level), count))
            members = index == torch.arange(count + 1)[:, None]
            # Each group's classes; groups of fewer than the largest repeat a member.
            width = int(members.sum(1).max())
            order = members.int().argsort(dim=1, descending=True, stable=True)[:, :width]
            given = members.gather(1, order)
            self.register_buffer(f'index_{level}', index, persistent=False)
            self.register_buffer(f'members_{level}', order, persistent=False)
            self.register_buffer(f'given_{level}', given, persistent=False)

    def marginals(self, fine: Tensor, level: int) -> Tensor:
        """Logarithms of the summed probabilities of each group and background, (N, G + 1)."""
        members = fine[:, getattr(self, f'members_{level}')]
        members = members.masked_fill(~getattr(self, f'given_{level}'), float('-inf'))
        # Finite where all members have probability 0, so that differences are not NaN.
        return members.logsumexp(dim=2).clamp(min=-1e30)


@MODELS.register_module()
class ProductFusion(ScoreFusion):
    r"""Multiplies class and group: :math:`\log s_c = \log p_c + \gamma \log q_g`, normalized.

    The levels act one after the other, from the finest to the coarsest, and background is a group
    of its own on each.

    Args:
        taxonomy: Of the head; it hands it over.
        gamma: How much the coarser levels count, or each of them, coarse to fine; 0 is the fine
            level alone.

    Raises:
        ConfigError: `gamma` is negative, or does not have one number for each level.
    """

    def __init__(self, taxonomy: Taxonomy, gamma: float | Sequence[float] = 1.0) -> None:
        super().__init__(taxonomy)
        levels = len(self.num_groups)
        gammas = [gamma] * levels if isinstance(gamma, int | float) else list(gamma)
        if len(gammas) != levels:
            raise ConfigError(
                f'fusion: gamma={gamma}: taxonomy {taxonomy.hierarchy.name!r} has {levels} coarser '
                'levels and needs one number for all, or one for each, coarse to fine'
            )
        self.gammas = [_not_negative(value) for value in gammas]

    def forward(self, fine: Tensor, coarse: list[Tensor]) -> Tensor:
        """See ScoreFusion."""
        coarse = coarse[self.levels.start : self.levels.stop]
        for level in reversed(range(len(coarse))):
            logits = coarse[level].float()
            used = torch.cat([logits[:, : self.num_groups[level]], logits[:, -1:]], dim=1)
            gain = self.gain(fine, used.log_softmax(dim=1), level)
            index = getattr(self, f'index_{level}')
            fine = (fine + self.gammas[level] * gain.index_select(1, index)).log_softmax(dim=1)
        return fine

    def gain(self, fine: Tensor, groups: Tensor, level: int) -> Tensor:
        """What a level adds to the logarithm of each group's classes and of background, (N, G + 1).

        `fine` are logarithms of the classes' probabilities so far, (N, K + 1), `groups` those of
        the level, (N, G + 1).
        """
        return groups


@MODELS.register_module()
class ConditionalFusion(ProductFusion):
    r"""Moves each group's probability toward that of the coarser level.

    :math:`\log s_c = \log p_c + \gamma (\log q_g - \log \sum_{c' \in g} p_{c'})`, normalized. With
    `gamma` 1 a group has the probability that the coarsest level gives it, and the fine level only
    says how to share it among the group's classes. Arguments are those of ProductFusion.
    """

    def gain(self, fine: Tensor, groups: Tensor, level: int) -> Tensor:
        """See ProductFusion."""
        return groups - self.marginals(fine, level)


@MODELS.register_module()
class NorCal(ScoreFusion):
    r"""Lowers the probabilities of classes with many training boxes (arXiv 2107.02170).

    :math:`\log s_c = \log p_c - \gamma (\log N_c - \log N)`, normalized, with background as it is.
    Post-hoc logit adjustment (arXiv 2007.07314) is the same with another :math:`N`. The counts
    :math:`N_c` are in the checkpoint; training with NorCal in the config fills them in, and
    tools/analysis_tools/sweep_scores.py adds them to any other.

    Args:
        taxonomy: Of the head; it hands it over.
        gamma: How much counts matter; 0 changes nothing. Defaults to 1.
        center: :math:`N`, which only decides between classes and background: the 'geometric' mean
            of the counts (the default), their 'total' (logit adjustment), or 'none', which is 1
            (NorCal).
        within_groups: Only move probability between the classes of each group of the level above
            them; the group keeps its own. Then `center` does not matter. Defaults to False.
        fusion: A ScoreFusion that corrects the probabilities before. Default: none.

    Attributes:
        class_counts: Training boxes of each class, (K, ); no box counts as one.

    Raises:
        ConfigError: `gamma` is negative or `center` unknown, or `within_groups` has no group of
            several classes; in `forward`, there are no counts.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        gamma: float = 1.0,
        center: str = 'geometric',
        within_groups: bool = False,
        fusion: dict | None = None,
    ) -> None:
        super().__init__(taxonomy)
        check_choice('fusion: center', center, CENTERS)
        if within_groups and not has_groups(taxonomy):
            raise ConfigError(
                f'fusion: within_groups=True changes nothing in a head without groups (wogroup, '
                f'grouped=False; taxonomy {taxonomy.name!r}); leave within_groups out'
            )
        self.gamma = _not_negative(gamma)
        self.center = center
        self.within_groups = within_groups
        self.fusion = build_fusion(fusion, taxonomy)
        self.reads_coarse = self.fusion is not None  # as all others do
        if isinstance(self.fusion, NorCal):
            raise ConfigError('fusion: NorCal on NorCal; leave one out')
        counts = torch.zeros(taxonomy.num_classes, dtype=torch.int64)
        self.register_buffer('class_counts', counts)

    def forward(self, fine: Tensor, coarse: list[Tensor]) -> Tensor:
        """See ScoreFusion."""
        if not (torch.jit.is_tracing() or self.class_counts.any()):
            raise ConfigError(
                'fusion: NorCal needs the training boxes of each class, which this checkpoint lacks; '
                'add them with tools/analysis_tools/sweep_scores.py --out-checkpoint'
            )
        if self.fusion is not None:
            fine = self.fusion(fine, coarse)
        logs = self.class_counts.clamp(min=1).float().log()
        if self.center == 'geometric':
            logs = logs - logs.mean()
        elif self.center == 'total':
            logs = logs.log_softmax(dim=0)
        adjusted = fine - self.gamma * torch.cat([logs, logs.new_zeros(1)])
        if not self.within_groups:
            return adjusted.log_softmax(dim=1)
        level = len(self.num_groups) - 1
        lost = self.marginals(fine, level) - self.marginals(adjusted, level)
        return adjusted + lost.index_select(1, getattr(self, f'index_{level}'))


def has_groups(taxonomy: Taxonomy) -> bool:
    """Whether the level above the classes, of the main tree, has a group of several classes."""
    taxonomy = taxonomy.hierarchy
    return taxonomy.num_levels > 1 and taxonomy.num_groups(-2) < taxonomy.num_classes


def build_fusion(config: dict | None, taxonomy: Taxonomy) -> ScoreFusion | None:
    """Build a fusion; None if it leaves the fine level's probabilities as they are (`gamma` 0).

    Raises:
        ConfigError: `config` is not one of a ScoreFusion.
    """
    if config is None:
        return None
    if not is_kind(config, MODELS, ScoreFusion):
        raise ConfigError(
            f'fusion={config!r}: must have the type ConditionalFusion, ProductFusion or NorCal, such '
            "as dict(type='ConditionalFusion', gamma=1)"
        )
    if is_off(config):
        return build_fusion(config.get('fusion'), taxonomy)
    return MODELS.build(dict(config, taxonomy=taxonomy))


def is_off(config: Mapping[str, Any]) -> bool:
    """Whether a fusion changes nothing, so that only the one counts that it would come after."""
    gamma = config.get('gamma', 1)
    return gamma == 0 or (isinstance(gamma, list | tuple) and not any(gamma))


def _not_negative(gamma: object) -> float:
    if isinstance(gamma, bool) or not isinstance(gamma, int | float) or not gamma >= 0:
        raise ConfigError(f'fusion: gamma={gamma!r}: must be a number from 0 on')
    return float(gamma)
