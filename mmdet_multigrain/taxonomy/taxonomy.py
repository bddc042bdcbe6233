"""The `Taxonomy` value: fine classes in label order, and the group of each at every level.

`forms` reads and writes it, `trees` tells its trees apart where it has several.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from mmdet_multigrain.utils.errors import TaxonomyError, error_source
from mmdet_multigrain.utils.messages import did_you_mean, show, show_list

from . import schema
from .forms import TaxonomyForms
from .indexing import build_level, index_names
from .names import OBJECT, check_name, normalize
from .trees import Paths, TaxonomyTrees, choose_main, read_forest

if TYPE_CHECKING:
    from .labels import LabelTable

MAX_LEVELS = schema.MAX_DEPTH + 1


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Taxonomy(TaxonomyForms, TaxonomyTrees):
    """A hierarchy of classes: immutable, hashable, picklable, and always valid.

    Level 0 is the coarsest, the last level is the fine one. Fine labels are `0..K-1` in the
    order of `classes`; the groups of a level are numbered by first appearance in that order. At
    a coarse level where a class has no ancestor, it is a group by itself with its own name.
    With several trees over the classes, each coarse level belongs to one (`TaxonomyTrees`).

    Args:
        name: Its name in messages and tables.
        classes: Names of the fine classes, in label order.
        paths: Ancestors of each class, coarsest first; an empty one for a class without a group.
            Of several trees, a mapping of their names to their paths. Default: no class has a group.
        aliases: Other names in data files, by the name of a class or a group.
        num_levels: Number of levels, the fine one included. Default: what the longest path needs,
            and no other with several trees.
        description: Free text, not compared.
        allow_one_group: Accept one group of all classes, which only an experiment needs.
        main_tree: Of several trees, the one for what needs a single one. Default: the first.

    Attributes:
        forest: The paths of each tree by name; a single tree has the name `''`.
        paths: Those of the first tree.

    Raises:
        TaxonomyError: Names are empty, clash or are unknown, or one group holds everything.
    """

    name: str
    classes: tuple[str, ...]
    paths: Paths
    forest: Mapping[str, Paths]
    main_tree: str | None
    aliases: Mapping[str, tuple[str, ...]]
    num_levels: int
    description: str
    _levels: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]
    _labels: Mapping[str, int]

    def __init__(
        self,
        name: str,
        classes: Iterable[str],
        paths: Iterable[Iterable[str]] | Mapping[str, Iterable[Iterable[str]]] | None = None,
        *,
        aliases: Mapping[str, Iterable[str]] | None = None,
        num_levels: int | None = None,
        description: str = '',
        allow_one_group: bool = False,
        main_tree: str | None = None,
    ) -> None:
        classes = tuple(classes)
        forest = read_forest(((),) * len(classes) if paths is None else paths)
        trees = tuple(filter(None, forest))
        aliases = {key: tuple(value) for key, value in (aliases or {}).items() if value}
        check_name(name, "the taxonomy's name")
        if not classes:
            raise TaxonomyError('there is no class; list at least one')
        for own in forest.values():
            if len(own) != len(classes):
                raise TaxonomyError(
                    f'{len(classes)} classes but {len(own)} paths; give one for each'
                )
        depths = {tree: max(map(len, own)) for tree, own in forest.items()}
        needed = 1 + sum(depths.values())
        num_levels = needed if num_levels is None else num_levels
        if needed > MAX_LEVELS:
            raise TaxonomyError(f'groups nest more than {schema.MAX_DEPTH} deep; flatten them')
        if not needed <= num_levels <= (needed if trees else MAX_LEVELS):
            fix = 'leave it out' if trees else f'give {needed} to {MAX_LEVELS}'
            raise TaxonomyError(
                f'levels is {num_levels}, but the groups make {needed} with the classes; {fix}'
            )
        if not trees:
            depths[''] = num_levels - 1
        main_tree = choose_main(main_tree, trees)
        groups = {OBJECT}.union(*itertools.chain.from_iterable(forest.values()))
        labels = index_names(classes, aliases, groups)
        levels = [
            build_level(classes, own, level, tree)
            for tree, own in forest.items()
            for level in range(depths[tree])
        ]
        vars(self).update(  # attributes cannot be set
            name=name,
            classes=classes,
            paths=next(iter(forest.values())),
            forest=MappingProxyType(forest),
            main_tree=main_tree,
            aliases=MappingProxyType(aliases),
            num_levels=num_levels,
            description=description,
            _labels=labels,
            _levels=(*levels, (classes, tuple(range(len(classes))))),
        )
        if self.has_one_group and not allow_one_group:
            names = (self.group_names(self.levels_of(tree).start) for tree in forest)
            only = next(names_of for names_of in names if len(names_of) == 1)
            raise TaxonomyError(
                f'one group, {show(only[0])}, holds all {len(classes)} classes: one '
                'group teaches nothing, since every object has the same superclass; split it, or '
                'remove it so that its subgroups come first'
            )

    # ------------------------------------------------------------------ levels and groups

    @property
    def num_classes(self) -> int:
        """Number K of fine classes."""
        return len(self.classes)

    @property
    def is_ungrouped(self) -> bool:
        """Whether every coarse level is the identity: each class is its own superclass."""
        identity = tuple(range(self.num_classes))
        return all(index == identity for _, index in self._levels)

    @property
    def has_one_group(self) -> bool:
        """Whether one group holds all of several classes: a control that teaches nothing."""
        tops = (self.levels_of(tree).start for tree in self.forest)
        known = self.num_levels > 1 and self.num_classes > 1
        return known and any(self.num_groups(level) == 1 for level in tops)

    def group_names(self, level: int) -> tuple[str, ...]:
        """Names of the groups of a level; those of the last level are the classes."""
        return self._level(level)[0]

    def group_index(self, level: int) -> tuple[int, ...]:
        """K integers: the group of each fine label at a level (the last level: `0..K-1`)."""
        return self._level(level)[1]

    def num_groups(self, level: int) -> int:
        """Number of groups of a level; K at the last one."""
        return len(self._level(level)[0])

    def superclass_of(self, label_or_name: int | str, level: int = 0) -> str:
        """Name of the group of a class (label, name or alias) at a level; 0 is the coarsest."""
        if isinstance(label_or_name, str):
            label = self.label_of(label_or_name)
        else:
            label = operator.index(label_or_name)
            if not 0 <= label < self.num_classes:
                raise TaxonomyError(
                    f'label {label} is not in taxonomy {show(self.name)}; '
                    f'its labels are 0 to {self.num_classes - 1}'
                )
        names, index = self._level(level)
        return names[index[label]]

    def ungrouped(self) -> Taxonomy:
        """The same classes on two levels or more, each a group: the paper's "W/O Group"."""
        return Taxonomy(
            self.name,
            self.classes,
            aliases={name: self.aliases.get(name, ()) for name in self.classes},
            num_levels=max(2, self.num_levels),
            description=self.description,
        )

    def _level(self, level: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
        try:
            return self._levels[level]
        except IndexError:
            raise IndexError(
                f'level {level} is not in taxonomy {show(self.name)}; '
                f'its levels are 0 to {self.num_levels - 1}'
            ) from None

    # ------------------------------------------------------------------ names and labels

    @functools.cached_property
    def labels(self) -> LabelTable:
        """All labels: those of classes, background, groups, and of any object."""
        from .labels import LabelTable  # loads NumPy

        return LabelTable(self)

    def find(self, name: object, *, coarse: bool = False) -> int | None:
        """Label of a class name or alias, or None; if `coarse`, else of a group (see `labels`).

        Case, `_`, `-` and runs of blanks do not count: no two classes differ in them only.
        """
        label = self._labels.get(normalize(name)) if isinstance(name, str) else None
        if label is None and coarse and isinstance(name, str):
            return self.labels.find(name)
        return label

    def label_of(self, name: str, source: object = '') -> int:
        """Like `find`, but an unknown name raises; its source (a file, an option) starts the message."""
        label = self.find(name)
        if label is None:
            known, fix = self._known_names(self.classes), 'add it there or use another name'
            with error_source(source):
                raise TaxonomyError(
                    f'class {show(name)} is not in taxonomy {show(self.name)}'
                    + did_you_mean(name, known, fix)
                )
        return label

    def match_categories(
        self,
        names: Sequence[str],
        source: object,
        allow_missing: bool = False,
        allow_unknown: bool = False,
        coarse: bool = False,
    ) -> list[int | None]:
        """Labels of the categories of a data file, by name or alias, never by position.

        Args:
            names: Category names in the file's own order.
            source: The file, for messages.
            allow_missing: Accept classes that are not in the file.
            allow_unknown: Accept categories that are not in the taxonomy; their label is None.
            coarse: Whether a category may be a group (a name that is both: the class; see `covered`).

        Raises:
            TaxonomyError: The file does not match the taxonomy, or two categories are one class.
        """
        with error_source(source):
            labels = [self.find(name, coarse=coarse) for name in names]
            first: dict[int, str] = {}
            for name, label in zip(names, labels, strict=True):
                if label in first:
                    raise TaxonomyError(
                        f'categories {show(first[label])} and {show(name)} are both class '
                        f'{show(self.labels.names[label])} of taxonomy {show(self.name)}; '
                        'merge them in the file or correct the aliases'
                    )
                if label is not None:
                    first[label] = name
            covered = self.labels.covered(first) if coarse else first
            missing = [name for label, name in enumerate(self.classes) if label not in covered]
            unknown = [name for name, label in zip(names, labels, strict=True) if label is None]
            if unknown and not allow_unknown:
                fix = self.labels.instead_of(unknown) or (
                    'add a class or an alias to the taxonomy, or take another taxonomy'
                )
                raise TaxonomyError(
                    f'{len(unknown)} of {len(names)} categories not in taxonomy '
                    f'{show(self.name)}: {show_list(unknown)}'
                    # A misspelled name does not mean a class that the file has already.
                    + did_you_mean(unknown, self._known_names(missing), fix)
                )
            if missing and not allow_missing:
                near = [name for name in unknown if isinstance(name, str)]
                fix = 'add the categories, or take a taxonomy without these classes'
                raise TaxonomyError(
                    f'{len(missing)} of {self.num_classes} classes of taxonomy {show(self.name)} '
                    f'not among the categories: {show_list(missing)}'
                    + did_you_mean(missing, near, fix)
                )
        return labels

    def _known_names(self, classes: Iterable[str]) -> list[str]:
        return [known for name in classes for known in (name, *self.aliases.get(name, ()))]

    def _key(self) -> tuple:
        trees = tuple(self.forest.items()) if self.trees else ()
        return self.name, self._levels, tuple(sorted(self.aliases.items())), trees, self.main_tree

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Taxonomy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple:
        return Taxonomy.from_mapping, (self.to_dict(),)

    def __repr__(self) -> str:
        sizes = [str(self.num_groups(level)) for level in range(self.num_levels)]
        if self.trees:
            of_trees = (
                f'{tree} {" > ".join(sizes[level] for level in self.levels_of(tree))}'
                for tree in self.trees
            )
            sizes = [f'({", ".join(of_trees)})', sizes[-1]]
        return f'Taxonomy({self.name!r}, {" > ".join(sizes)} classes)'
