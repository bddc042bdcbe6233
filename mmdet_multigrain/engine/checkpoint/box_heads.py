"""Start a model's box heads from those of another detector: classes by name, never by position."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


def classes_of(checkpoint: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The classes of a checkpoint in label order, or COCO's if it has 80; None if it does not tell."""
    # MMDetection 2 has them in capitals, and stripped files have no record.
    meta = checkpoint.get('meta') or {}
    classes = trained_on(checkpoint).get('classes') or meta.get('CLASSES')
    if classes is None:
        rows = {
            value.shape[0]
            for name, value in state_dict_of(checkpoint).items()
            if name.endswith('.fc_cls.weight')
        }
        classes = _COCO if rows == {len(_COCO) + 1} else None
    return None if classes is None else tuple(classes)


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
    classes, taxonomy = classes_of(checkpoint), taxonomy_of_data(metainfo)
    # The taxonomy of the data is not enough: a head with `grouped=False` ignores it.
    trained = {
        name: {
            fact: Taxonomy.from_mapping(facts[fact], allow_one_group=True)
            for fact in ('taxonomy', 'reg_taxonomy')
            if fact in facts
        }
        for name, facts in (recorded(checkpoint) or {}).items()
    }
    is_stock = classes == _COCO and 'taxonomy' not in trained_on(checkpoint)
    take = not is_stock if load_box_head is None else load_box_head
    lines = []
    for name, head in model.named_modules():
        given = _pop(checkpoint, f'{name}.') if isinstance(head, BBoxHead) else {}
        if given and take:
            carry = _Carry(head, given, classes, trained.get(name, {}), taxonomy)
            state_dict_of(checkpoint).update(
                {f'{name}.{key}': value for key, value in carry.taken.items()}
            )
            lines += [f'{name}, by the names of classes and groups:', carry.table()]
        elif given:
            why = ' (COCO weights: not every variant could take them)' * (load_box_head is None)
            lines.append(f'{name}: not taken{why}; load_box_head=True takes what fits')
    taxonomies = {name: own['taxonomy'] for name, own in trained.items() if 'taxonomy' in own}
    return lines + carry_predictors(model, checkpoint, classes, taxonomy, taxonomies)


def _pop(checkpoint: Mapping[str, Any], prefix: str) -> Tensors:
    """Remove the tensors of a module from a checkpoint; returned by their names in the module."""
    state = state_dict_of(checkpoint)
    names = {key: key.removeprefix('module.') for key in state}
    return {
        name.removeprefix(prefix): state.pop(key)
        for key, name in names.items()
        if name.startswith(prefix)
    }


@dataclass
class _Carry:
    """One box head; `taken` are its tensors with values from the checkpoint in all or some rows.

    `classes` are those of the checkpoint, and `trained` has what its head was trained with by the
    name of the fact: 'taxonomy', or 'reg_taxonomy' with a regressor for each group.
    """

    head: BBoxHead
    given: Tensors
    classes: tuple[str, ...] | None
    trained: Mapping[str, Taxonomy]
    taxonomy: Taxonomy
    taken: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = self.head.state_dict()
        self._own = {key: value.detach().cpu().clone() for key, value in own.items()}
        self._rows: list[tuple[str, str]] = []
        self._labels = match_labels(self.classes, self.taxonomy)
        with torch.no_grad():
            self._carry_predictors(self._carry_branches())

    def table(self) -> str:
        """Parts of the head and where they came from, then the classes."""
        columns = Column('part', left=True), Column('from the checkpoint', left=True)
        text = Table(columns, self._rows).text()
        if self.classes is None:
            return text
        rows = []
        for label, name in enumerate(self.taxonomy.classes):
            given = self._labels.get(label)
            rows.append((label, name, 'new' if given is None else f'{given} {self.classes[given]}'))
        columns = Column('label'), Column('class', left=True)
        table = Table((*columns, Column('in the checkpoint', left=True)), rows)
        return f'{text}\n{table.text()}'

    def _carry_branches(self) -> list[bool]:
        """Take the branches that fit; for each of the head, coarse to fine, whether it did."""
        own = _branches(self._own, number=len(getattr(self.head, 'branch_depths', (1,))))
        given = _branches(self.given, number=len(own))
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
            elif isinstance(self.head, MergedBBoxHead):
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
            elif 'fc_reg.' in name and getattr(self.head, 'reg_rows', None) is not None:
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
        return next((self.given[key] for key in (name, inner, outer) if key in self.given), None)

    def _carry_classes(self, name: str, own: Tensor, given: Tensor) -> str:
        if self.classes is None:
            return 'new (the checkpoint does not name its classes)'
        counts = self.taxonomy.num_classes, len(self.classes)
        pairs = list(self._labels.items())
        return self._carry_rows(name, own, given, pairs, counts, f'{counts[0]} classes')

    def _carry_groups(self, name: str, own: Tensor, given: Tensor, level: int) -> str:
        fact, part = ('taxonomy', 'head') if level >= 0 else ('reg_taxonomy', 'regressors')
        source = self.trained.get(fact)
        if source is None:
            return f'new (the checkpoint does not name the groups of its {part})'
        here = [normalize(group) for group in getattr(self.head, fact).group_names(level)]
        there = {normalize(group): row for row, group in enumerate(source.group_names(level))}
        pairs = [(row, there[group]) for row, group in enumerate(here) if group in there]
        # As many outputs as classes, or as groups: the background is behind either.
        size = self._row_size(name)
        tail = 0 if size > 1 else 1
        counts = (own.shape[0] - tail) // size, (given.shape[0] - tail) // size
        told = self._carry_rows(name, own, given, pairs, counts, f'{len(here)} groups')
        is_same = pairs == [(row, row) for row in range(len(here))] and len(here) == len(there)
        if is_same and own.shape == given.shape:
            # Outputs behind the groups, which never become a target, have learned to stay low.
            own.copy_(given)
        return told

    def _row_size(self, name: str) -> int:
        """Rows of a predictor for each class."""
        return self.head.bbox_coder.encode_size if 'fc_reg.' in name else 1

    def _carry_rows(
        self,
        name: str,
        own: Tensor,
        given: Tensor,
        pairs: Pairs,
        counts: tuple[int, int],
        total: str,
    ) -> str:
        """Take rows of a predictor, `own` in place; says which.

        `pairs` are the classes or groups that both have, `counts` how many the two tensors have
        rows for, `total` how many the model has, in words.
        """
        size = self._row_size(name)
        if own.shape[1:] != given.shape[1:]:
            return f'new (of {tuple(given.shape)})'
        if size > 1 and self.head.reg_class_agnostic and len(own) == len(given) == size:
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
        return f'{len(pairs)} of {total}' + ', background' * background


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
