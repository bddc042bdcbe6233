"""Labels of any granularity: a label is the set of classes that a box may be.

0 .. K-1     one class
K            background (MMDetection's number)
K+1 .. N-2   a group of two or more classes, whatever its level, in the order of levels
N-1          some object: any class
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import show

from .names import OBJECT, normalize

if TYPE_CHECKING:
    from .taxonomy import Taxonomy

BACKGROUND = 'background'


class LabelTable:
    """All labels of a taxonomy.

    Groups of the same classes, as a group with a single subgroup, share one label and have the name
    of the coarser one; data files may use either. So do equal groups of several trees.

    Attributes:
        names (tuple[str, ...]): Name of each of the N labels.
        sets (np.ndarray): Classes that each label allows, and background; bool, (N, K + 1).
        levels (tuple[int | None, ...]): The finest level at which each label is one group; None
            for background and for the object, of which no level knows anything.
        only_class (dict[str, str]): The class of each group that has no other, by the group's
            normalized name; it has no label of its own.
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
        levels: dict[tuple[int, ...], int] = {}
        self.only_class: dict[str, str] = {}
        for level in range(taxonomy.num_levels - 1):
            members = defaultdict(list)
            for label, group in enumerate(taxonomy.group_index(level)):
                members[group].append(label)
            for group, classes in members.items():
                name = taxonomy.group_names(level)[group]
                if len(classes) > 1:
                    groups[tuple(classes)].append(name)
                    levels[tuple(classes)] = level
                elif name != taxonomy.classes[classes[0]]:
                    self.only_class[normalize(name)] = taxonomy.classes[classes[0]]
        classes, finest = taxonomy.num_classes, taxonomy.num_levels - 1
        group_names = (names[0] for names in groups.values())
        self.names = (*taxonomy.classes, BACKGROUND, *group_names, OBJECT)
        self.levels = (*(finest,) * classes, None, *(levels[group] for group in groups), None)
        self.sets = np.zeros((len(self.names), classes + 1), bool)
        self.sets[: classes + 1] = np.eye(classes + 1, dtype=bool)
        self._labels: dict[str, set[int]] = defaultdict(set)
        for label, (group, names) in enumerate(groups.items(), classes + 1):
            self.sets[label, list(group)] = True
            for name in names:
                for known_as in (name, *taxonomy.aliases.get(name, ())):
                    self._labels[normalize(known_as)].add(label)
        self.sets[-1, :classes] = True
        self.sets.setflags(write=False)
        for known_as in (OBJECT, *taxonomy.aliases.get(OBJECT, ())):
            self._labels.setdefault(normalize(known_as), {len(self.names) - 1})

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: str) -> int | None:
        """Label above K of the name or alias of a group, or of `object`; None for others.

        Raises:
            TaxonomyError: Groups of different classes have this name.
        """
        labels = self._labels.get(normalize(name), ())
        if len(labels) > 1:
            raise TaxonomyError(
                f'{show(name)} is the name of {len(labels)} groups with different classes; '
                'rename all but one of them in the taxonomy'
            )
        return next(iter(labels), None)

    def instead_of(self, names: Sequence[object]) -> str | None:
        """What to do about names of groups of one class: use the class; None for other names."""
        for name in names:
            if isinstance(name, str) and (only := self.only_class.get(normalize(name))):
                return f'{show(name)} is a group of one class: name the class, {show(only)}'
        return None

    def covered(self, labels: Collection[int]) -> set[int]:
        """The classes among some labels, and those of groups of which no class is among them."""
        sets = [{*np.flatnonzero(self.sets[label, :-1]).tolist()} for label in labels]
        return set().union(*(one for one in sets if len(one) == 1 or one.isdisjoint(labels)))

    def of_groups(self, index: Sequence[int]) -> np.ndarray:
        """The label of each group of a level, by the group of each class; of equal ones the first."""
        labels: dict[bytes, int] = {}
        for label, classes in enumerate(self.sets[:, :-1]):
            labels.setdefault(classes.tobytes(), label)
        members = np.equal.outer(range(max(index) + 1), index)
        return np.array([labels[group.tobytes()] for group in members])

    def outputs(self, index: Sequence[int], width: int) -> np.ndarray:
        """(N, width) bool: the outputs of a level that each label allows; one if the level knows it.

        Args:
            index: The group of each class at the level.
            width: Number of outputs; the last is background, those behind the groups stay unused.
        """
        allowed = np.zeros((len(self), width), bool)
        labels, classes = np.nonzero(self.sets[:, :-1])
        allowed[labels, np.asarray(index)[classes]] = True
        allowed[:, -1] = self.sets[:, -1]
        return allowed
