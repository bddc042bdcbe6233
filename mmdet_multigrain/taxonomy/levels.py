"""A taxonomy at one of its levels: what is detected are groups, or any object, instead of classes."""

from __future__ import annotations

from dataclasses import dataclass

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import show

from .labels import OBJECT
from .names import normalize
from .taxonomy import Taxonomy
from .trees import COARSE


@dataclass(frozen=True)
class Level:
    """The vocabulary of a level."""

    name: str  # `coarse`, `object` or `level 1`, ...
    leaves: Taxonomy  # the taxonomy of the classes
    taxonomy: Taxonomy  # a flat one, with the level's groups as classes
    index: tuple[int, ...]  # the group of each class
    labels: tuple[int, ...]  # of each group, its label in `leaves.labels`


def at_level(taxonomy: Taxonomy, level: int | str) -> Level:
    """The vocabulary of a level of a taxonomy.

    A level is `coarse` (level 0, the coarsest), `object` (any class is one), a number from 0 to
    that of the classes, or the name of one of several trees (its coarsest level).

    Raises:
        TaxonomyError: There is no such level.
    """
    text, last = str(level), taxonomy.num_levels - 1
    tops = {normalize(tree): taxonomy.levels_of(tree).start for tree in taxonomy.trees}
    text = str(tops.get(normalize(text), text))
    if text == OBJECT:
        names, index = (OBJECT,), (0,) * taxonomy.num_classes
    elif text == COARSE and last or text.isdecimal() and int(text) <= last:
        number = 0 if text == COARSE else int(text)
        names, index = taxonomy.group_names(number), taxonomy.group_index(number)
        text = f'level {number}' if number or not last else COARSE
    else:
        known = f'{COARSE} (0), ' if last else ''
        raise TaxonomyError(
            f'level {show(level)} is not in taxonomy {show(taxonomy.name)}; use {known}'
            f'{"a number up to " if last > 1 else ""}{last} (the classes) or {OBJECT}'
            + (f', or a tree: {", ".join(taxonomy.trees)}' if tops else '')
        )
    labels = tuple(taxonomy.labels.of_groups(index).tolist())
    aliases = {name: taxonomy.aliases.get(name, ()) for name in names}
    flat = Taxonomy(f'{taxonomy.name} ({text})', names, aliases=aliases)
    return Level(name=text, leaves=taxonomy, taxonomy=flat, index=index, labels=labels)
