"""Start a model's box heads from those of another detector: classes by name, never by position."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.datasets import CocoDataset
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import Tensor, nn

from mmdet_multigrain.models import MergedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.table import Column, Table

from ..data_access import taxonomy_of_data
from .class_predictors import carry_predictors, match_labels
from .read import state_dict_of, trained_on
from .training_record import recorded

_COCO = tuple(CocoDataset.METAINFO['classes'])
_PREDICTOR = re.compile(r'(coarse_)?fc_(cls|reg)\.|loss_cls\.')
_COARSE = re.compile(r'coarse_fc_(?P<kind>cls|reg)\.(?P<level>\d+)\.')

Tensors = dict[str, Tensor]
Pairs = Sequence[tuple[int, int]]  # a row of the model, and the row of the checkpoint for it


@dataclass(frozen=True)
class Source:
    """What the predictors of a checkpoint stand for.

    Attributes:
        classes: In label order; None if the checkpoint does not tell.
        taxonomies: What each of our heads was trained with, by its name in the model and that of
            the fact: 'taxonomy', or 'reg_taxonomy' of a head with a regressor for each group.
        is_stock: Whether these are weights for COCO's classes that stock MMDetection trained.
    """

    classes: tuple[str, ...] | None
    taxonomies: Mapping[tuple[str, str], Taxonomy]
    is_stock: bool

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> Source:
        """Read it from a checkpoint: its records, or COCO's list if it has 80 classes."""
        data, heads = trained_on(checkpoint), recorded(checkpoint) or {}
        # MMDetection 2 has them in capitals, and stripped files have no record.
        classes = data.get('classes') or (checkpoint.get('meta') or {}).get('CLASSES')
        if classes is None:
            rows = {
                value.shape[0]
                for name, value in state_dict_of(checkpoint).items()
                if name.endswith('.fc_cls.weight')
            }
            classes = _COCO if rows == {len(_COCO) + 1} else None
        classes = None if classes is None else tuple(classes)
        return cls(
            classes=classes,
            # The taxonomy of the data is not enough: a head with `grouped=False` ignores it.
            taxonomies={
                (name, fact): Taxonomy.from_mapping(facts[fact], allow_one_group=True)
                for name, facts in heads.items()
                for fact in ('taxonomy', 'reg_taxonomy')
                if fact in facts
            },
            is_stock=classes == _COCO and 'taxonomy' not in data,
        )


def carry_box_heads(
    model: nn.Module,
    checkpoint: Mapping[str, Any],
    metainfo: Mapping[str, Any],
    *,
    load_box_head: bool | None = None,
) -> list[str]:
    """Replace the heads in a checkpoint by what the model's heads take from them, in place.

    A branch of FC layers is taken only if all of its layers fit. Stock's shared layers are the
    fine branch of our heads. A predictor is taken only along with the branch below it, row by row:
    those of classes and groups with the same name, and the background's. All other rows keep the
    values that they have in the (bare) model. Predictors of other heads: see `carry_predictors`.

    `metainfo` is that of the training data. `load_box_head` says whether box heads take anything;
    None: unless they are stock weights for COCO, since not all variants could take those. Returns
    what came from where, for the log.
    """
    source = Source.of(checkpoint)
    taxonomy = taxonomy_of_data(metainfo)
    take = not source.is_stock if load_box_head is None else load_box_head
    lines = []
    for name, head in model.named_modules():
        given = _pop(checkpoint, f'{name}.') if isinstance(head, BBoxHead) else {}
        if given and take:
            carry = _Carry(head, given, name=name, source=source, taxonomy=taxonomy)
            state_dict_of(checkpoint).update(
                {f'{name}.{key}': value for key, value in carry.taken.items()}
            )
            lines += [f'{name}, by the names of classes and groups:', carry.table()]
        elif given:
            why = ' (COCO weights: not every variant could take them)' * (load_box_head is None)
            lines.append(f'{name}: not taken{why}; load_box_head=True takes what fits')
    trained = {name: own for (name, fact), own in source.taxonomies.items() if fact == 'taxonomy'}
    return lines + carry_predictors(model, checkpoint, source.classes, taxonomy, trained)


def _pop(checkpoint: Mapping[str, Any], prefix: str) -> Tensors:
    """Remove the tensors of a module from a checkpoint; returned by their names in the module."""
    state = state_dict_of(checkpoint)
    names = {key: key.removeprefix('module.') for key in state}
    return {
        name.removeprefix(prefix): state.pop(key)
        for key, name in names.items()
        if name.startswith(prefix)
    }


class _Carry:
    """One box head; `taken` are its tensors with values from the checkpoint in all or some rows."""

    def __init__(
        self, head: BBoxHead, given: Tensors, *, name: str, source: Source, taxonomy: Taxonomy
    ) -> None:
        self._own = {key: value.detach().cpu().clone() for key, value in head.state_dict().items()}
        self._given, self._head = given, head
        self._given_classes = source.classes
        self._given_groups = source.taxonomies.get((name, 'taxonomy'))
        self._given_reg_groups = source.taxonomies.get((name, 'reg_taxonomy'))
        self._taxonomy = taxonomy
        self._rows: list[tuple[str, str]] = []
        self.taken: Tensors = {}
        self._labels = match_labels(source.classes, taxonomy)
        with torch.no_grad():
            self._carry_predictors(self._carry_branches())

    def table(self) -> str:
        """Parts of the head and where they came from, then the classes."""
        columns = Column('part', left=True), Column('from the checkpoint', left=True)
        text = Table(columns, self._rows).text()
        classes = self._given_classes
        if classes is None:
            return text
        columns = (
            Column('label'),
            Column('class', left=True),
            Column('in the checkpoint', left=True),
        )
        rows = [
            (label, name, f'{self._labels[label]} {classes[self._labels[label]]}')
            if label in self._labels
            else (label, name, 'new')
            for label, name in enumerate(self._taxonomy.classes)
        ]
        return f'{text}\n{Table(columns, rows).text()}'

    def _carry_branches(self) -> list[bool]:
        """Take the branches that fit; for each of the head, coarse to fine, whether it did."""
        own = _branches(self._own, number=len(getattr(self._head, 'branch_depths', (1,))))
        given = _branches(self._given, number=len(own))
        same_number = len(own) == len(given)
        carried = []
        for level, branch in enumerate(own):
            is_fine = level == len(own) - 1
            other = given[-1] if is_fine else given[level] if same_number else []
            fits = [value.shape for _, value in branch] == [value.shape for _, value in other]
            carried.append(fits)
            if fits:
                for (name, value), (_, new) in zip(branch, other, strict=True):
                    value.copy_(new)
                    self.taken[name] = self._own[name]
            branch_name = 'FC layers' if len(own) == 1 else f'branch {level}'
            self._rows.append((branch_name, 'all' if fits else 'new (other layers)'))
        return carried

    def _carry_predictors(self, carried: list[bool]) -> None:
        """Take the rows of predictors whose branches were taken."""
        for name, value in self._own.items():
            if not _PREDICTOR.match(name):
                continue
            coarse = _COARSE.match(name)
            if coarse:
                on_branch = carried[int(coarse['level'])]
            elif isinstance(self._head, MergedBBoxHead):
                on_branch = all(carried)
            else:
                on_branch = carried[-1]
            given = self._given_predictor(name)
            if not on_branch:
                told = 'new (its branch is)'
            elif given is None or not value.dim():
                told = 'new'
            elif coarse:
                told = self._carry_groups(name, value, given, int(coarse['level']))
            elif 'fc_reg.' in name and getattr(self._head, 'reg_rows', None) is not None:
                told = self._carry_groups(name, value, given, -2)
            else:
                told = self._carry_classes(name, value, given)
            row = re.sub(r'\.(weight|bias)$', '', name), told
            if row not in self._rows:
                self._rows.append(row)

    def _given_predictor(self, name: str) -> Tensor | None:
        """The tensor of the checkpoint for one of the head: our loss holds stock's as a part."""
        inner = name.replace('loss_cls.', 'loss_cls.fine_loss.', 1)
        outer = name.replace('loss_cls.fine_loss.', 'loss_cls.', 1)
        return next((self._given[key] for key in (name, inner, outer) if key in self._given), None)

    def _carry_classes(self, name: str, own: Tensor, given: Tensor) -> str:
        if self._given_classes is None:
            return 'new (the checkpoint does not name its classes)'
        counts = self._taxonomy.num_classes, len(self._given_classes)
        pairs = list(self._labels.items())
        return self._carry_rows(name, own, given, pairs, counts=counts, what='classes')

    def _carry_groups(self, name: str, own: Tensor, given: Tensor, level: int) -> str:
        taxonomy, given_taxonomy = self._head.taxonomy, self._given_groups
        if level < 0:
            taxonomy, given_taxonomy = self._head.reg_taxonomy, self._given_reg_groups
        if given_taxonomy is None:
            part = 'head' if level >= 0 else 'regressors'
            return f'new (the checkpoint does not name the groups of its {part})'
        here = taxonomy.group_names(level)
        there = {
            normalize(group): row for row, group in enumerate(given_taxonomy.group_names(level))
        }
        pairs = [
            (row, there[normalize(group)])
            for row, group in enumerate(here)
            if normalize(group) in there
        ]
        # As many outputs as classes, or as groups: the background is behind either.
        size = self._row_size(name)
        tail = 0 if size > 1 else 1
        counts = (own.shape[0] - tail) // size, (given.shape[0] - tail) // size
        told = self._carry_rows(
            name, own, given, pairs, counts=counts, what='groups', total=len(here)
        )
        is_same = pairs == [(row, row) for row in range(len(here))] and len(here) == len(there)
        if is_same and own.shape == given.shape:
            # Outputs behind the groups, which never become a target, have learned to stay low.
            own.copy_(given)
        return told

    def _row_size(self, name: str) -> int:
        """Rows of a predictor for each class."""
        return self._head.bbox_coder.encode_size if 'fc_reg.' in name else 1

    def _carry_rows(
        self,
        name: str,
        own: Tensor,
        given: Tensor,
        pairs: Pairs,
        *,
        counts: tuple[int, int],
        what: str,
        total: int | None = None,
    ) -> str:
        """Take rows of a predictor, `own` in place; says which.

        `pairs` are the classes or groups that both have, `counts` how many the two tensors have
        rows for, `total` how many the model has if that is not the first of them.
        """
        size = self._row_size(name)
        if own.shape[1:] != given.shape[1:]:
            return f'new (of {tuple(given.shape)})'
        if size > 1 and self._head.reg_class_agnostic and len(own) == len(given) == size:
            own.copy_(given)
            self.taken[name] = own
            return 'all (one for all classes)'
        # Behind the classes: background, or background and objects (Seesaw loss), or nothing.
        tails = [
            len(tensor) - size * count for tensor, count in zip((own, given), counts, strict=True)
        ]
        if not all(0 <= tail <= (2 if size == 1 else 0) for tail in tails):
            return f'new (of {tuple(given.shape)})'
        for row, other in pairs:
            own[row * size : (row + 1) * size] = given[other * size : (other + 1) * size]
        background = tails[0] == tails[1] > 0
        if background:
            own[-tails[0] :] = given[-tails[0] :]
        if pairs or background:
            self.taken[name] = own
        total = counts[0] if total is None else total
        return f'{len(pairs)} of {total} {what}' + ', background' * background


def _branches(state: Tensors, *, number: int) -> list[list[tuple[str, Tensor]]]:
    """The tensors of each branch of a box head, coarse to fine; a stock head is one branch.

    Rows of `branch_in` are views, which write through to it. `number` counts where all branches
    have one layer.
    """
    if 'branch_in.weight' not in state:
        return [[(name, value) for name, value in state.items() if not _PREDICTOR.match(name)]]
    levels = [int(name.split('.')[1]) for name in state if name.startswith('branch_fcs.')]
    number = 1 + max(levels, default=number - 1)
    branches = []
    for level in range(number):
        first = [
            (f'branch_in.{part}', state[f'branch_in.{part}'].chunk(number)[level])
            for part in ('weight', 'bias')
        ]
        prefix = f'branch_fcs.{level}.'
        branches.append(first + [item for item in state.items() if item[0].startswith(prefix)])
    return branches
