"""Several trees over the same classes, such as type and season: which levels belong to which.

A level of one tree need not nest in a level of another.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import did_you_mean, show, show_list

from .names import OBJECT, check_name, normalize

if TYPE_CHECKING:
    from .taxonomy import Taxonomy

COARSE = 'coarse'  # the coarsest level, where levels are named

Paths = tuple[tuple[str, ...], ...]


def read_forest(
    paths: Iterable[Iterable[str]] | Mapping[str, Iterable[Iterable[str]]],
) -> dict[str, Paths]:
    """The paths of each tree by its name; a single tree has none, `''`.

    Raises:
        TaxonomyError: A name cannot be used, or a mapping does not hold several trees.
    """
    if not isinstance(paths, Mapping):
        return {'': tuple(map(tuple, paths))}
    if len(paths) < 2:
        raise TaxonomyError(f'trees has {len(paths)} entries; write one tree as groups')
    first: dict[str, str] = {}
    for name in paths:
        known_as = normalize(check_name(name, 'a tree'))
        if known_as in (COARSE, OBJECT) or known_as.isdecimal():
            raise TaxonomyError(f'a tree is called {show(name)}, which names a level; rename it')
        if known_as in first:
            raise TaxonomyError(
                f'trees {show(first[known_as])} and {show(name)} differ only in case, blanks, '
                "'_' or '-'; rename one"
            )
        first[known_as] = name
    forest = {name: tuple(map(tuple, own)) for name, own in paths.items()}
    for name, own in forest.items():
        if not any(own):
            raise TaxonomyError(f'tree {show(name)} has no groups; list them, or remove it')
    return forest


def choose_main(name: object, trees: tuple[str, ...]) -> str | None:
    """The main tree: the one of that name, by default the first; None where there is only one.

    Raises:
        TaxonomyError: There is no such tree.
    """
    if name is None:
        return trees[0] if trees else None
    if not trees:
        raise TaxonomyError(f'main_tree is {show(name)}, but there is one tree; leave it out')
    for tree in trees:
        if isinstance(name, str) and normalize(tree) == normalize(name):
            return tree
    fix = did_you_mean(name, trees, 'take one of them')
    raise TaxonomyError(f'main_tree is {show(name)}, but the trees are {show_list(trees)}{fix}')


class TaxonomyTrees:
    """Mixin of `Taxonomy`: its trees and their levels.

    The coarse levels of the first tree come first, coarse to fine, then those of the second, ...,
    and at last that of the classes.
    """

    @property
    def trees(self) -> tuple[str, ...]:
        """Names of the trees, if there are several."""
        return tuple(filter(None, self.forest))

    def levels_of(self, tree: str | None = None) -> range:
        """The coarse levels of a tree; default: of the first one."""
        if not self.trees:
            return range(self.num_levels - 1)
        start = 0
        for name, paths in self.forest.items():
            stop = start + max(map(len, paths))
            if tree in (None, name):
                return range(start, stop)
            start = stop
        raise TaxonomyError(
            f'tree {show(tree)} is not in taxonomy {show(self.name)}'
            + did_you_mean(tree, self.trees, f'the trees are {show_list(self.trees)}')
        )

    def tree_of(self, level: int) -> str:
        """Name of the tree that a level belongs to; empty where there is one, and for the classes."""
        return next((tree for tree in self.trees if level in self.levels_of(tree)), '')

    def levels_above(self, level: int) -> range:
        """The levels that have the groups above those of a level; for classes all coarse ones."""
        is_class = level == self.num_levels - 1
        return range(0 if is_class else self.levels_of(self.tree_of(level) or None).start, level)

    def level_title(self, level: int) -> str:
        """`level 1`; with several trees `level 1 (season)`."""
        tree = self.tree_of(level)
        return f'level {level} ({tree})' if tree else f'level {level}'

    def tree(self, name: str | None = None) -> Taxonomy:
        """A tree as a taxonomy of its own, with all classes; default: the first one."""
        if not self.trees:
            return self
        name = self.trees[0] if name is None else name
        self.levels_of(name)  # raises
        paths = self.forest[name]
        known = {OBJECT, *self.classes}.union(*paths)
        return type(self)(
            f'{self.name} ({name})',
            self.classes,
            paths,
            aliases={key: names for key, names in self.aliases.items() if key in known},
            description=self.description,
            allow_one_group=True,
        )

    @functools.cached_property
    def hierarchy(self) -> Taxonomy:
        """The main tree as a taxonomy of its own, for what needs levels that nest."""
        return self.tree(self.main_tree)

    def with_main_tree(self, name: str) -> Taxonomy:
        """The same with another main tree.

        Raises:
            TaxonomyError: There is no such tree.
        """
        changed = self.to_dict() | {'main_tree': name}
        return self.from_mapping(changed, source='', allow_one_group=True)
