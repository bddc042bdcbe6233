"""Rows of predictors for classes and groups that are added to a detector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

INITS = ('siblings', 'imprint', 'random')
# Standard deviation of random rows, as in MMDetection's heads.
_STD = {'cls': 0.01, 'reg': 0.001}
# The bias of an output that never becomes a target: its weight is 0, its share of a softmax nothing.
_UNUSED = -20.0
_TOLD = {'siblings': "siblings' mean", 'imprint': 'imprinted', 'random': 'random'}
Tensors = dict[str, Tensor]
# Rows that a new row gets its values from, by the labels that it stands for.
Siblings = Mapping[tuple[int, ...], list[int]]


class NewRows:
    """How new rows are made; see `surgery.add_classes`.

    Args:
        count: Number of old classes.
        init: One of `INITS`.
        counts: Training boxes by label; empty if unknown.
        features: Mean input of each classifier on boxes of each new class.
        seed: Of random rows.

    Attributes:
        made: Of each tensor that grew: name, old rows, new rows, and what these are.
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

    def classifier(
        self,
        state: Mapping[str, Any],
        layer: str,
        siblings: Siblings,
        at: int,
        boxes: Sequence[int | None],
        unused: int = 0,
    ) -> Tensors:
        """Weight and bias with a row for each new class or group at a place, and unused ones.

        Args:
            state: All tensors.
            layer: Name of the classifier.
            siblings: Rows of the siblings of each new row.
            at: The place.
            boxes: Training boxes of each old row; None where unknown.
            unused: Number of outputs to add that mean nothing.
        """
        key, weight = f'{layer}.weight', state[f'{layer}.weight']
        rows = [weight.new_empty((0, *weight.shape[1:]))]
        rows += [self._direction(layer, weight, *item)[None] for item in siblings.items()]
        grown = {key: self.insert(key, weight, at, torch.cat(rows), _TOLD[self._init], unused)}
        key = f'{layer}.bias'
        if key in state:
            bias = state[key]
            rows = [self._bias(bias, *item, boxes) for item in siblings.items()]
            told = f'{_TOLD["siblings"]}, by boxes' if self._counts else _TOLD['siblings']
            rows = bias.new_tensor(rows)
            grown[key] = self.insert(key, bias, at, rows, told, unused, fill=_UNUSED)
        return grown

    def _direction(
        self, layer: str, weight: Tensor, node: tuple[int, ...], siblings: list[int]
    ) -> Tensor:
        if self._init == 'siblings':
            return weight[siblings].mean(0)
        if self._init == 'random':
            return self._random(weight, weight.shape[1:], 'cls')
        features = self._features[layer.removeprefix('module.')]
        unit = F.normalize(features[[label - self._count for label in node]].mean(0), dim=0)
        return weight[siblings].norm(dim=1).mean() * unit.to(weight)

    def boxes(self, labels: Sequence[int]) -> int | None:
        """Training boxes of some classes; None if unknown."""
        known = self._counts.keys() >= {*labels}
        return sum(self._counts[label] for label in labels) if known else None

    def _bias(
        self,
        bias: Tensor,
        node: tuple[int, ...],
        siblings: list[int],
        boxes: Sequence[int | None],
    ) -> float:
        values = bias[siblings]
        mean, own, others = float(values.mean()), self.boxes(node), [boxes[s] for s in siblings]
        if not own or None in others or not sum(others):
            return mean
        by_boxes = mean + math.log(own * len(others) / sum(others))
        return min(max(by_boxes, float(values.min())), float(values.max()))

    def blocks(
        self,
        state: Mapping[str, Any],
        layer: str,
        siblings: Siblings,
        at: int,
        unused: int = 0,
    ) -> Tensors:
        """A regressor with four rows for each new class or group at a place, and unused ones."""
        grown = {}
        for part in ('weight', 'bias'):
            key = f'{layer}.{part}'
            value = state[key]
            blocks = value.unflatten(0, (-1, 4))
            rows = [value.new_empty((0, *value.shape[1:]))]
            for others in siblings.values():
                mean = blocks[others].mean(0)
                is_random = self._init == 'random'
                rows.append(self._random(value, mean.shape, 'reg') if is_random else mean)
                if is_random and part == 'bias':
                    rows[-1].zero_()
            told = _TOLD['random' if self._init == 'random' else 'siblings']
            grown[key] = self.insert(key, value, 4 * at, torch.cat(rows), told, 4 * unused)
        return grown

    def _random(self, like: Tensor, shape: Sequence[int], kind: str) -> Tensor:
        return _STD[kind] * torch.randn(shape, generator=self._generator).to(like)

    def insert(
        self,
        key: str,
        value: Tensor,
        at: int,
        rows: Tensor,
        told: str,
        unused: int = 0,
        fill: float = 0.0,
    ) -> Tensor:
        """A tensor with rows at a place, and unused ones before the background or at the end."""
        if not len(rows) and not unused:
            return value
        filler = value.new_full((unused, *value.shape[1:]), fill)
        # What is behind the groups stays in front of the background, its last row.
        tail = len(value) if 'fc_reg' in key else len(value) - 1
        if not unused:
            tail = at
        parts = [told] * bool(len(rows)) + [f'{unused} unused'] * bool(unused)
        self.made.append((key, len(value), len(rows) + unused, ', '.join(parts)))
        return torch.cat([value[:at], rows.to(value), value[at:tail], filler, value[tail:]])
