"""Rows of predictors for classes and groups that are added to a detector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Standard deviation of random weights for one row and for a box, as in MMDetection's heads.
_STD = {1: 0.01, 4: 0.001}
# The bias of an output that never becomes a target: its weight is 0, its share of a softmax nothing.
_UNUSED = -20.0
_TOLD = {'siblings': "siblings' mean", 'imprint': 'imprinted', 'random': 'random'}
Tensors = dict[str, Tensor]
# Rows that a new row gets its values from, by the labels that it stands for.
Siblings = Mapping[tuple[int, ...], list[int]]


class NewRows:
    """How new rows are made for `count` old classes; the other arguments are of `add_classes`.

    `made` has name, old rows and new rows of each tensor that grew, and what the new ones are.
    """

    def __init__(
        self,
        count: int,
        *,
        init: str,
        counts: Mapping[int, int],
        features: Mapping[str, Tensor],
        seed: int,
    ) -> None:
        self._count, self._init, self._counts, self._features = count, init, counts, features
        self._generator = torch.Generator().manual_seed(seed)
        self.made: list[tuple[str, int, int, str]] = []

    def boxes(self, labels: Sequence[int]) -> int | None:
        """Training boxes of some classes; None if unknown."""
        known = self._counts.keys() >= {*labels}
        return sum(self._counts[label] for label in labels) if known else None

    def classifier(
        self,
        state: Mapping[str, Any],
        layer: str,
        siblings: Siblings,
        at: int,
        boxes: Sequence[int | None],
        unused: int = 0,
    ) -> Tensors:
        """Weight and bias of a classifier with a row for each new class or group at a place.

        `siblings` has the rows of each new one's siblings, `boxes` the training boxes of each old
        row (None: unknown), and `unused` outputs that mean nothing are added before background.
        """
        key, weight = f'{layer}.weight', state[f'{layer}.weight']
        rows = [self._weight(layer, weight, *item) for item in siblings.items()]
        grown = {key: self.insert(key, weight, at, rows, _TOLD[self._init], unused)}
        if (key := f'{layer}.bias') in state:
            rows = [self._bias(state[key], *item, boxes) for item in siblings.items()]
            told = _TOLD['siblings'] + ', by boxes' * bool(self._counts)
            grown[key] = self.insert(key, state[key], at, rows, told, unused, fill=_UNUSED)
        return grown

    def regressor(
        self, state: Mapping[str, Any], layer: str, siblings: Siblings, at: int, unused: int = 0
    ) -> Tensors:
        """The same of a regressor, which has four rows for each class or group."""
        grown, is_random = {}, self._init == 'random'
        for key, scale in ((f'{layer}.weight', 1), (f'{layer}.bias', 0)):
            blocks = state[key].unflatten(0, (-1, 4))
            rows = [
                scale * self._random(blocks[0]) if is_random else blocks[others].mean(0)
                for others in siblings.values()
            ]
            told = _TOLD['random' if is_random else 'siblings']
            grown[key] = self.insert(key, blocks, at, rows, told, unused, behind=0).flatten(0, 1)
        return grown

    def insert(
        self,
        key: str,
        value: Tensor,
        at: int,
        rows: Sequence[Tensor],
        told: str,
        unused: int = 0,
        *,
        fill: float = 0.0,
        behind: int = 1,
    ) -> Tensor:
        """A tensor with rows at a place, and unused ones in front of the last (`behind`) rows."""
        if not rows and not unused:
            return value
        parts = [told] * bool(rows) + [f'{unused} unused'] * bool(unused)
        size = value[0].shape[0] if value.dim() > 1 and not behind else 1  # of a regressor
        self.made.append((key, size * len(value), size * (len(rows) + unused), ', '.join(parts)))
        end = len(value) - behind if unused else at
        filler = value.new_full((unused, *value.shape[1:]), fill)
        rows = [row[None].to(value) for row in rows]
        return torch.cat([value[:at], *rows, value[at:end], filler, value[end:]])

    def _random(self, like: Tensor) -> Tensor:
        return _STD[len(like) if like.dim() > 1 else 1] * torch.randn(
            like.shape, generator=self._generator
        )

    def _weight(
        self, layer: str, weight: Tensor, node: tuple[int, ...], siblings: list[int]
    ) -> Tensor:
        if self._init == 'siblings':
            return weight[siblings].mean(0)
        if self._init == 'random':
            return self._random(weight[0])
        features = self._features[layer.removeprefix('module.')]
        unit = F.normalize(features[[label - self._count for label in node]].mean(0), dim=0)
        return weight[siblings].norm(dim=1).mean() * unit.to(weight)

    def _bias(
        self, bias: Tensor, node: tuple[int, ...], siblings: list[int], boxes: Sequence[int | None]
    ) -> Tensor:
        values = bias[siblings]
        own, others = self.boxes(node), [boxes[sibling] for sibling in siblings]
        if not own or None in others or not sum(others):
            return values.mean()
        by_boxes = values.mean() + math.log(own * len(others) / sum(others))
        return by_boxes.clamp(values.min(), values.max())
