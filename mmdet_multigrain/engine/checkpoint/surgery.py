"""Add classes to a trained detector: new rows in its predictors, and not a bit of change elsewhere."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError
from mmdet_multigrain.utils.messages import show_list
from mmdet_multigrain.utils.table import Column, Table

from .added_classes import ADDED, added_by, grown_head, siblings_of
from .box_heads import Tensors, classes_of
from .read import state_dict_of, trained_on
from .training_record import KEY, TrainingRecord, recorded

_FC_CLS = re.compile(r'(?P<head>(?:.*\.)?)fc_cls\.weight')
_COARSE = re.compile(r'coarse_fc_(?P<kind>cls|reg)\.(?P<level>\d+)')
_MASK = re.compile(r'(.*\.)?mask_head(\.\d+)?\.conv_logits\.(weight|bias)')
_CANNOT_GROW = re.compile(r'(.*\.)?(mask_iou_head|point_head|fc_logits)\.')
# Standard deviation of random weights for one row and for a box, as in MMDetection's heads.
_STD = {1: 0.01, 4: 0.001}
# The bias of an output that never becomes a target: its weight is 0, its share of a softmax nothing.
_UNUSED = -20.0
_TOLD = {'siblings': "siblings' mean", 'imprint': 'imprinted', 'random': 'random'}
# Of the meta of a checkpoint: what stays true.
_KEPT = ('epoch', 'iter', 'seed', 'experiment_name', 'mmengine_version')


def taxonomy_of(checkpoint: Mapping[str, Any], path: object) -> Taxonomy:
    """The taxonomy that a detector was trained with; without groups if only its classes are known.

    Raises:
        CheckpointError: The checkpoint does not name its classes.
    """
    data = trained_on(checkpoint)
    if 'taxonomy' in data:
        return Taxonomy.load(data['taxonomy'])
    classes = classes_of(checkpoint)
    if classes is None:
        raise CheckpointError(
            f'{path}: does not name its classes; take a checkpoint that training saved'
        )
    return Taxonomy('checkpoint', classes)


def add_classes(
    checkpoint: Mapping[str, Any],
    grown: Taxonomy,
    *,
    path: object,
    init: str = 'siblings',
    counts: Mapping[int, int] | None = None,
    features: Mapping[str, Tensor] | None = None,
    provenance: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], str]:
    """A checkpoint with more classes; tensors that do not grow are those of the old one.

    Each new row of a classifier has the mean of its siblings (`siblings_of`), or their mean norm in
    the direction of a feature. Its bias is the siblings' mean plus the logarithm of its boxes over
    their mean boxes, within the range of the siblings' biases. Rows of regressors have the
    siblings' mean. New groups get theirs from the siblings' groups.

    Args:
        checkpoint: A loaded checkpoint.
        grown: Its taxonomy with the new classes behind the old ones.
        path: Where it is from, for messages.
        init: 'siblings', 'imprint' (by `features`) or 'random' (normal, as before a training).
        counts: Training boxes by label, also of new ones. Default: the bias is the siblings' mean.
        features: Mean input of each classifier on boxes of each new class, (n, D), by the name of
            its module.
        provenance: Entries for the record of this addition in the meta.
        seed: Of random rows.

    Returns:
        The checkpoint, without the state of its training, and a table of what came from where.

    Raises:
        CheckpointError: It has no box head, or a part that cannot grow.
    """
    old = taxonomy_of(checkpoint, path)
    record = recorded(checkpoint)
    surgery = _Surgery(old, grown, path, record or {}, init, counts or {}, features or {}, seed)
    states = {
        key: surgery.grow(checkpoint[key])
        for key in ('ema_state_dict', 'state_dict')
        if key in checkpoint
    } or {'state_dict': surgery.grow(state_dict_of(checkpoint))}
    meta = checkpoint.get('meta') or {}
    data = taxonomy_metainfo(grown)
    if 'taxonomy' not in trained_on(checkpoint) and old.num_levels == grown.num_levels == 1:
        data.pop('taxonomy')
    addition = {
        'classes': list(grown.classes[old.num_classes :]),
        'labels': list(range(old.num_classes)),  # the new label of each old one
        'init': init,
        **(provenance or {}),
    }
    meta = {key: meta[key] for key in _KEPT if key in meta} | {
        'dataset_meta': data,
        ADDED: [*added_by(checkpoint), addition],
    }
    if record is not None:
        meta[KEY] = surgery.grown_record()
    return {'meta': meta, **states}, surgery.table()


@dataclass(frozen=True)
class _Rows:
    """The rows of a predictor: one for each class, or one for each group of a level."""

    members: Sequence[Sequence[int]]  # labels of each old row; new rows go behind the last of them
    # Old rows that each new row gets its values from, by the labels that it stands for.
    siblings: Mapping[tuple[int, ...], list[int]]


@dataclass
class _Surgery:
    """What is the same for all tensors of a checkpoint; see the arguments of `add_classes`.

    `made` has name, old rows and new rows of each tensor that grew, and what the new ones are.
    """

    old: Taxonomy
    grown: Taxonomy
    path: object
    record: TrainingRecord
    init: str
    counts: Mapping[int, int]
    features: Mapping[str, Tensor]
    seed: InitVar[int]
    made: list[tuple[str, int, int, str]] = field(default_factory=list)

    def __post_init__(self, seed: int) -> None:
        self._count = self.old.num_classes
        self._new = range(self._count, self.grown.num_classes)
        self._classes = _Rows(
            members=[[label] for label in range(self._count)],
            siblings={(new,): siblings_of(self.grown, new, self._count) for new in self._new},
        )
        self._generator = torch.Generator().manual_seed(seed)

    def grow(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state dict with the new rows; the tensors of all others are the same objects."""
        heads = {found['head'] for key in state if (found := _FC_CLS.fullmatch(key))}
        stuck = next(filter(_CANNOT_GROW.match, state), None)
        if not heads or stuck is not None:
            what = 'has no box head with fc_cls' if stuck is None else f'{stuck} cannot grow'
            raise CheckpointError(
                f'{self.path}: {what}; take a two-stage detector with stock or multi-grained box '
                'heads'
            )
        state = copy.copy(state)  # with the versions of modules that PyTorch keeps in it
        if not self._new:
            return state
        self.made.clear()  # of the copy that was grown before
        grown: Tensors = {}
        for head in sorted(heads):
            grown |= self._grow_head(head, state)
        for key, value in state.items():
            if _MASK.fullmatch(key) and len(value) == self._count:
                self._check_one_class(key)
                rows = [value[siblings].mean(0) for siblings in self._classes.siblings.values()]
                grown[key] = self._insert(key, value, self._count, rows, _TOLD['siblings'])
        state.update(grown)
        return state

    def grown_record(self) -> dict[str, Any]:
        """What the model is trained as, with the taxonomies of its heads grown."""
        record = {name: dict(facts) for name, facts in self.record.items()}
        for facts in record.values():
            for key in facts:
                if key.endswith('taxonomy'):
                    facts[key] = self._head_taxonomies(facts, key)[1].to_dict()
        return record

    def table(self) -> str:
        """The tensors that grew, then the new classes."""
        columns = Column('tensor', left=True), Column('rows'), Column('new')
        text = Table((*columns, Column('new rows are', left=True)), self.made).text()
        columns = Column('label'), Column('class', left=True), Column('group', left=True)
        rows = []
        for label in self._new:
            siblings = self._classes.siblings[(label,)]
            names = show_list(self.old.classes[sibling] for sibling in siblings)
            group = ' / '.join(self.grown.paths[label]) or '-'
            rows.append((label, self.grown.classes[label], group, self.counts.get(label), names))
        more = Column('boxes'), Column('siblings', left=True)
        return f'{text}\n{Table((*columns, *more), rows).text()}'

    # ------------------------------------------------------------------ one head

    def _grow_head(self, head: str, state: Mapping[str, Any]) -> Tensors:
        """The tensors of a head that grow."""
        facts = self.record.get(head.removeprefix('module.').rstrip('.'), {})
        grown: Tensors = {}
        for layer in sorted({key.rpartition('.')[0] for key in state if key.startswith(head)}):
            coarse = _COARSE.fullmatch(layer.removeprefix(head))
            if layer == f'{head}fc_cls':
                grown |= self._classifier(state, layer, self._classes)
            elif layer == f'{head}fc_reg':
                grown |= self._fine_regressor(state, layer, facts)
            elif coarse:
                grown |= self._coarse(state, layer, facts, coarse['kind'], int(coarse['level']))
        for key, value in state.items():
            # What SeesawLoss has counted, and training boxes for NorCal.
            if key.startswith(head) and key.endswith(('.cum_samples', '.class_counts')):
                known = self._boxes if key.endswith('class_counts') else lambda node: 0
                rows = [value.new_tensor(known(node) or 0) for node in self._classes.siblings]
                grown[key] = self._insert(key, value, self._count, rows, 'counts')
        return grown

    def _fine_regressor(
        self, state: Mapping[str, Any], layer: str, facts: Mapping[str, Any]
    ) -> Tensors:
        per, size = facts.get('reg_per', 'class'), len(state[f'{layer}.weight'])
        if per == 'agnostic' or size == 4 and self._count > 1:  # a single group, too
            return {}
        if 'reg_per' not in facts:
            self._check_one_class(layer)
        rows = self._groups(facts, 'reg_taxonomy', -2) if per == 'group' else self._classes
        return self._regressor(state, layer, rows)

    def _coarse(
        self, state: Mapping[str, Any], layer: str, facts: Mapping[str, Any], kind: str, level: int
    ) -> Tensors:
        if 'taxonomy' not in facts:
            raise CheckpointError(
                f'{self.path}: does not name the groups of {layer}, as it was made by an earlier '
                'version; train again with this one'
            )
        groups = self._groups(facts, 'taxonomy', level)
        # As many outputs as classes: new groups are in front of those without a group.
        by_class = facts['coarse_width'] == 'classes'
        unused = len(self._new) - len(groups.siblings) if by_class else 0
        if kind == 'cls':
            return self._classifier(state, layer, groups, unused)
        agnostic = len(state[f'{layer}.weight']) == 4 < 4 * self._count
        return {} if agnostic else self._regressor(state, layer, groups, unused)

    def _check_one_class(self, layer: str) -> None:
        if self._count == 1:
            raise CheckpointError(
                f'{self.path}: does not tell whether {layer} is of its only class or of all '
                'classes; start from a detector of two classes or more'
            )

    def _head_taxonomies(self, facts: Mapping[str, Any], key: str) -> tuple[Taxonomy, Taxonomy]:
        own = Taxonomy.from_mapping(facts[key], allow_one_group=True)
        return own, grown_head(own, self.grown)

    def _groups(self, facts: Mapping[str, Any], key: str, level: int) -> _Rows:
        """The groups of a level of a head; siblings of a new one are the groups of its siblings."""
        own, grown = self._head_taxonomies(facts, key)
        before, index = own.group_index(level), grown.group_index(level)
        members = [[] for _ in range(own.num_groups(level))]
        for label, group in enumerate(before):
            members[group].append(label)
        siblings = {}
        for group in range(len(members), grown.num_groups(level)):
            labels = tuple(label for label in self._new if index[label] == group)
            others = {before[s] for label in labels for s in self._classes.siblings[(label,)]}
            siblings[labels] = sorted(others)
        return _Rows(members, siblings)

    # ------------------------------------------------------------------ one layer

    def _classifier(
        self, state: Mapping[str, Any], layer: str, rows: _Rows, unused: int = 0
    ) -> Tensors:
        """Weight and bias of a classifier with its new rows.

        `unused` outputs that mean nothing are added before background.
        """
        key, at, nodes = f'{layer}.weight', len(rows.members), rows.siblings.items()
        weights = [self._weight(layer, state[key], *node) for node in nodes]
        grown = {key: self._insert(key, state[key], at, weights, _TOLD[self.init], unused)}
        if (key := f'{layer}.bias') in state:
            boxes = [self._boxes(labels) for labels in rows.members]
            biases = [self._bias(state[key], *node, boxes) for node in nodes]
            told = _TOLD['siblings'] + ', by boxes' * bool(self.counts)
            grown[key] = self._insert(key, state[key], at, biases, told, unused, fill=_UNUSED)
        return grown

    def _regressor(
        self, state: Mapping[str, Any], layer: str, rows: _Rows, unused: int = 0
    ) -> Tensors:
        """The same of a regressor, which has four rows for each class or group."""
        grown, is_random = {}, self.init == 'random'
        told = _TOLD['random' if is_random else 'siblings']
        for key, scale in ((f'{layer}.weight', 1), (f'{layer}.bias', 0)):
            blocks = state[key].unflatten(0, (-1, 4))
            new = [
                scale * self._random(blocks[0]) if is_random else blocks[others].mean(0)
                for others in rows.siblings.values()
            ]
            at = len(rows.members)
            grown[key] = self._insert(key, blocks, at, new, told, unused, behind=0).flatten(0, 1)
        return grown

    def _insert(
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

    # ------------------------------------------------------------------ one row

    def _boxes(self, labels: Sequence[int]) -> int | None:
        """Training boxes of some classes; None if unknown."""
        known = self.counts.keys() >= {*labels}
        return sum(self.counts[label] for label in labels) if known else None

    def _random(self, like: Tensor) -> Tensor:
        std = _STD[len(like) if like.dim() > 1 else 1]
        return std * torch.randn(like.shape, generator=self._generator)

    def _weight(
        self, layer: str, weight: Tensor, node: tuple[int, ...], siblings: list[int]
    ) -> Tensor:
        if self.init == 'siblings':
            return weight[siblings].mean(0)
        if self.init == 'random':
            return self._random(weight[0])
        features = self.features[layer.removeprefix('module.')]
        unit = F.normalize(features[[label - self._count for label in node]].mean(0), dim=0)
        return weight[siblings].norm(dim=1).mean() * unit.to(weight)

    def _bias(
        self, bias: Tensor, node: tuple[int, ...], siblings: list[int], boxes: Sequence[int | None]
    ) -> Tensor:
        values = bias[siblings]
        own, others = self._boxes(node), [boxes[sibling] for sibling in siblings]
        if not own or None in others or not sum(others):
            return values.mean()
        by_boxes = values.mean() + math.log(own * len(others) / sum(others))
        return by_boxes.clamp(values.min(), values.max())
