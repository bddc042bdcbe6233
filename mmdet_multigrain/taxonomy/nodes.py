"""What an answer to an object may be: its class, one of the groups above it, or "object"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .names import OBJECT
from .taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes from each of K classes up to the root, by answer level.

    Level 0 has the classes, the last but one the coarsest groups, the last "object".
    """

    names: tuple[tuple[str, ...], ...]  # of the nodes of each level
    index: np.ndarray  # (L + 1, K) the node of each class at each level
    # (L + 1, K) equal for nodes of the same classes: a group may have only one class
    sets: np.ndarray

    @classmethod
    def of(cls, taxonomy: Taxonomy) -> Nodes:
        """The nodes of a taxonomy."""
        levels = [*reversed(range(taxonomy.num_levels))]
        names = *(taxonomy.group_names(level) for level in levels), (OBJECT,)
        index = np.array(
            [*(taxonomy.group_index(level) for level in levels), (0,) * taxonomy.num_classes]
        )
        sets = [taxonomy.labels.of_groups(groups)[groups] for groups in index]
        return cls(names, index, np.array(sets))

    def name(self, label: int, level: int) -> str:
        """Name of the node of a class at an answer level."""
        return self.names[level][self.index[level, label]]

    def is_class(self, label: int, level: int) -> bool:
        """Whether the node is the class itself: no other class in it, and the same name."""
        same = self.sets[level, label] == self.sets[0, label]
        return bool(same) and self.name(label, level) == self.name(label, 0)
