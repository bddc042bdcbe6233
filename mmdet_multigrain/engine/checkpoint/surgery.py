"""Add classes to a trained detector: new rows in its predictors, and not a bit of change elsewhere."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError
from mmdet_multigrain.utils.messages import show_list
from mmdet_multigrain.utils.table import Column, Table

from .added_classes import ADDED, added_by, grown_head, siblings_of
from .box_heads import Source
from .new_rows import NewRows, Siblings, Tensors
from .read import state_dict_of, trained_on
from .training_record import KEY, TrainingRecord, recorded

_FC_CLS = re.compile(r'(?P<head>(?:.*\.)?)fc_cls\.weight')
_COARSE = re.compile(r'coarse_fc_(?P<kind>cls|reg)\.(?P<level>\d+)')
_MASK = re.compile(r'(.*\.)?mask_head(\.\d+)?\.conv_logits\.(weight|bias)')
_CANNOT_GROW = re.compile(r'(.*\.)?(mask_iou_head|point_head|fc_logits)\.')
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
    classes = Source.of(checkpoint).classes
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
    new_rows = NewRows(
        old.num_classes, init=init, counts=counts or {}, features=features or {}, seed=seed
    )
    surgery = _Surgery(old, grown, new_rows, record=recorded(checkpoint) or {}, path=path)
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
    if recorded(checkpoint) is not None:
        meta[KEY] = surgery.grown_record()
    return {'meta': meta, **states}, surgery.table(counts or {})


class _Surgery:
    """What is the same for all tensors of a checkpoint."""

    def __init__(
        self,
        old: Taxonomy,
        grown: Taxonomy,
        new_rows: NewRows,
        *,
        record: TrainingRecord,
        path: object,
    ) -> None:
        self._old, self._grown, self._count = old, grown, old.num_classes
        self._new = range(self._count, grown.num_classes)
        self._new_rows, self._record, self._path = new_rows, record, path
        self._siblings: Siblings = {
            (label,): siblings_of(grown, label, self._count) for label in self._new
        }

    def grow(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state dict with the new rows; the tensors of all others are the same objects."""
        heads = {found['head'] for key in state if (found := _FC_CLS.fullmatch(key))}
        stuck = next(filter(_CANNOT_GROW.match, state), None)
        if not heads or stuck is not None:
            what = 'has no box head with fc_cls' if stuck is None else f'{stuck} cannot grow'
            raise CheckpointError(
                f'{self._path}: {what}; take a two-stage detector with stock or multi-grained box '
                'heads'
            )
        state = copy.copy(state)  # with the versions of modules that PyTorch keeps in it
        if not self._new:
            return state
        self._new_rows.made.clear()  # of the copy that was grown before
        grown: Tensors = {}
        for head in sorted(heads):
            grown |= self._grow_head(head, state)
        for key, value in state.items():
            if _MASK.fullmatch(key) and len(value) == self._count:
                self._check_one_class(key)
                rows = [value[siblings].mean(0) for siblings in self._siblings.values()]
                grown[key] = self._new_rows.insert(key, value, self._count, rows, "siblings' mean")
        state.update(grown)
        return state

    def grown_record(self) -> dict[str, Any]:
        """What the model is trained as, with the taxonomies of its heads grown."""
        return {
            name: facts
            | {
                key: self._head_taxonomies(facts, key)[1].to_dict()
                for key in facts
                if key.endswith('taxonomy')
            }
            for name, facts in self._record.items()
        }

    def table(self, counts: Mapping[int, int]) -> str:
        """The tensors that grew, then the new classes."""
        columns = (
            Column('tensor', left=True),
            Column('rows'),
            Column('new'),
            Column('new rows are', left=True),
        )
        text = Table(columns, self._new_rows.made).text()
        columns = (
            Column('label'),
            Column('class', left=True),
            Column('group', left=True),
            Column('boxes'),
            Column('siblings', left=True),
        )
        rows = []
        for label in self._new:
            names = [self._old.classes[sibling] for sibling in self._siblings[(label,)]]
            group = ' / '.join(self._grown.paths[label]) or '-'
            name = self._grown.classes[label]
            rows.append((label, name, group, counts.get(label), show_list(names)))
        return f'{text}\n{Table(columns, rows).text()}'

    # ------------------------------------------------------------------ one head

    def _grow_head(self, head: str, state: Mapping[str, Any]) -> Tensors:
        """The tensors of a head that grow."""
        facts = self._record.get(head.removeprefix('module.').rstrip('.'), {})
        layers = {
            key.removeprefix(head).rpartition('.')[0] for key in state if key.startswith(head)
        }
        grown: Tensors = {}
        for layer in sorted(layers):
            coarse = _COARSE.fullmatch(layer)
            if layer == 'fc_cls':
                boxes = [self._new_rows.boxes([label]) for label in range(self._count)]
                layer = f'{head}{layer}'
                grown |= self._new_rows.classifier(state, layer, self._siblings, self._count, boxes)
            elif layer == 'fc_reg':
                grown |= self._regressor(state, head, facts)
            elif coarse:
                grown |= self._coarse(state, f'{head}{layer}', facts, int(coarse['level']))
        for key, value in state.items():
            # What SeesawLoss has counted, and training boxes for NorCal.
            if key.startswith(head) and key.endswith(('.cum_samples', '.class_counts')):
                known = self._new_rows.boxes if key.endswith('class_counts') else lambda node: 0
                rows = [value.new_tensor(known(node) or 0) for node in self._siblings]
                grown[key] = self._new_rows.insert(key, value, self._count, rows, 'counts')
        return grown

    def _regressor(self, state: Mapping[str, Any], head: str, facts: Mapping[str, Any]) -> Tensors:
        layer = f'{head}fc_reg'
        rows, size = len(state[f'{layer}.weight']), 4
        per = facts.get('reg_per', 'class')
        if per == 'agnostic' or rows == size and self._count > 1:  # a single group, too
            return {}
        if 'reg_per' not in facts:
            self._check_one_class(layer)
        if per == 'group':
            new, at = self._new_groups(*self._head_taxonomies(facts, 'reg_taxonomy'), -2)
            return self._new_rows.regressor(state, layer, new, at)
        return self._new_rows.regressor(state, layer, self._siblings, self._count)

    def _coarse(
        self, state: Mapping[str, Any], layer: str, facts: Mapping[str, Any], level: int
    ) -> Tensors:
        if 'taxonomy' not in facts:
            raise CheckpointError(
                f'{self._path}: does not name the groups of {layer}, as it was made by an earlier '
                'version; train again with this one'
            )
        own, grown = self._head_taxonomies(facts, 'taxonomy')
        new, at = self._new_groups(own, grown, level)
        # As many outputs as classes: new groups are in front of those without a group.
        unused = len(self._new) - len(new) if facts['coarse_width'] == 'classes' else 0
        if '.coarse_fc_reg.' in f'.{layer}':
            agnostic = len(state[f'{layer}.weight']) == 4 < 4 * self._count
            return {} if agnostic else self._new_rows.regressor(state, layer, new, at, unused)
        members = [[] for _ in range(at)]
        for label, group in enumerate(own.group_index(level)):
            members[group].append(label)
        boxes = [self._new_rows.boxes(labels) for labels in members]
        return self._new_rows.classifier(state, layer, new, at, boxes, unused)

    def _check_one_class(self, layer: str) -> None:
        if self._count == 1:
            raise CheckpointError(
                f'{self._path}: does not tell whether {layer} is of its only class or of all '
                'classes; start from a detector of two classes or more'
            )

    def _head_taxonomies(self, facts: Mapping[str, Any], key: str) -> tuple[Taxonomy, Taxonomy]:
        own = Taxonomy.from_mapping(facts[key], allow_one_group=True)
        return own, grown_head(own, self._grown)

    def _new_groups(
        self, own: Taxonomy, grown: Taxonomy, level: int
    ) -> tuple[dict[tuple[int, ...], list[int]], int]:
        """The groups that the siblings of each new group belong to, by its labels; where it goes."""
        before, index = own.group_index(level), grown.group_index(level)
        new: dict[tuple[int, ...], list[int]] = {}
        for group in range(own.num_groups(level), grown.num_groups(level)):
            members = tuple(label for label in self._new if index[label] == group)
            siblings = {before[s] for label in members for s in self._siblings[(label,)]}
            new[members] = sorted(siblings)
        return new, own.num_groups(level)
