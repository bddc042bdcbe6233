"""Class probabilities from all levels of a multi-grained head at test time, not from the fine one alone.

Both fusions work on logarithms in single precision: a probability that is 0 in a float would make a
quotient NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError


class ScoreFusion(nn.Module, ABC):
    """Corrects class probabilities by what the coarser levels say of their groups.

    The levels act one after the other, from the finest to the coarsest, and background is a group
    of its own on each.

    Args:
        taxonomy (Taxonomy): Of the head; it hands it over.
        gamma (float): How much the coarser levels count; 0 is the fine level alone.

    Raises:
        ConfigError: `gamma` is negative.
    """

    def __init__(self, taxonomy: Taxonomy, gamma: float = 1.0) -> None:
        super().__init__()
        if gamma < 0:
            raise ConfigError(f'fusion: gamma={gamma}: must be 0 or above')
        self.gamma = float(gamma)
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

    def forward(self, fine: Tensor, coarse: list[Tensor]) -> Tensor:
        """Probabilities of the classes and background, (N, K + 1), float32.

        Args:
            fine (Tensor): Logarithms of the fine level's probabilities, (N, K + 1), float32.
            coarse (list[Tensor]): Logits of the coarser levels, coarse to fine, the last output
                background; outputs between the groups and background are not used.
        """
        for level in reversed(range(len(coarse))):
            logits = coarse[level].float()
            used = torch.cat([logits[:, : self.num_groups[level]], logits[:, -1:]], dim=1)
            gain = self.gain(fine, used.log_softmax(dim=1), level)
            index = getattr(self, f'index_{level}')
            fine = (fine + self.gamma * gain.index_select(1, index)).log_softmax(dim=1)
        return fine.exp()

    @abstractmethod
    def gain(self, fine: Tensor, groups: Tensor, level: int) -> Tensor:
        """What a level adds to the logarithm of each group's classes and of background, (N, G + 1).

        Args:
            fine (Tensor): Logarithms of the classes' probabilities so far, (N, K + 1).
            groups (Tensor): Logarithms of the level's own, (N, G + 1).
            level (int): The level.
        """

    def marginals(self, fine: Tensor, level: int) -> Tensor:
        """Logarithms of the summed probabilities of each group and background, (N, G + 1)."""
        members = fine[:, getattr(self, f'members_{level}')]
        members = members.masked_fill(~getattr(self, f'given_{level}'), float('-inf'))
        return members.logsumexp(dim=2)


@MODELS.register_module()
class ConditionalFusion(ScoreFusion):
    r"""Moves each group's probability toward that of the coarser level.

    :math:`\log s_c = \log p_c + \gamma (\log q_g - \log \sum_{c' \in g} p_{c'})`, normalized. With
    `gamma` 1 a group has the probability that the coarsest level gives it, and the fine level only
    says how to share it among the group's classes.
    """

    def gain(self, fine: Tensor, groups: Tensor, level: int) -> Tensor:
        """See ScoreFusion."""
        # Finite where all members have probability 0: their scores stay 0.
        return groups - self.marginals(fine, level).clamp(min=-1e30)


@MODELS.register_module()
class ProductFusion(ScoreFusion):
    r"""Multiplies class and group: :math:`\log s_c = \log p_c + \gamma \log q_g`, normalized."""

    def gain(self, fine: Tensor, groups: Tensor, level: int) -> Tensor:
        """See ScoreFusion."""
        return groups
