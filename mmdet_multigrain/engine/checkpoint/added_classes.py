"""Taxonomies with classes that arrive later: the old labels and groups stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

from mmdet_multigrain.evaluation.training_record import group_difference
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.messages import did_you_mean, show, show_list

ADDED = 'added_classes'  # in the meta of a checkpoint: one record for each addition, oldest first
_PLACES = '{there} in the checkpoint but {here} in the new taxonomy'


def added_by(checkpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of all additions to a checkpoint, oldest first."""
    return list((checkpoint.get('meta') or {}).get(ADDED) or ())


def with_classes(taxonomy: Taxonomy, added: Mapping[str, str | None]) -> Taxonomy:
    """The taxonomy with new classes behind the old ones.

    Args:
        taxonomy: The old one.
        added: The group of each new class, of any level; None for no group.

    Raises:
        TaxonomyError: A class exists already, a group does not, or there are several trees.
    """
    _check_one_tree(taxonomy)
    known = [label for label in taxonomy.labels.names if label != 'background']
    for name in added:
        if (label := taxonomy.find(name, coarse=True)) is not None:
            raise TaxonomyError(
                f'class {show(name)} exists already in taxonomy {show(taxonomy.name)}, as '
                f'{show(taxonomy.labels.names[label])}; the classes and groups are {show_list(known)}'
            )
    paths = [() if group is None else _path_of(taxonomy, group) for group in added.values()]
    return _changed(taxonomy, (*taxonomy.classes, *added), (*taxonomy.paths, *paths))


def _check_one_tree(taxonomy: Taxonomy) -> None:
    if taxonomy.trees:
        raise TaxonomyError(
            f'taxonomy {show(taxonomy.name)} has the trees {show_list(taxonomy.trees)}, and a class can '
            'be added to one tree only; put it into all trees and train again'
        )


def _path_of(taxonomy: Taxonomy, group: str) -> tuple[str, ...]:
    """The path that ends with a group, by its name or alias."""
    names = {normalize(alias): name for name, all in taxonomy.aliases.items() for alias in all}
    wanted = normalize(names.get(normalize(group), group))
    paths = {path[: i + 1] for path in taxonomy.paths for i in range(len(path))}
    found = [path for path in sorted(paths) if normalize(path[-1]) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise TaxonomyError(
            f'{show(group)} is the name of {len(found)} groups of taxonomy {show(taxonomy.name)}; '
            'place the class by --taxonomy FILE'
        )
    groups = sorted({path[-1] for path in paths})
    fix = f'the groups are {show_list(groups)}' if groups else 'it has none, leave the group out'
    raise TaxonomyError(
        f'group {show(group)} is not in taxonomy {show(taxonomy.name)}'
        + did_you_mean(group, groups, f'{fix}; a new group needs --taxonomy FILE')
    )


def in_old_order(old: Taxonomy, new: Taxonomy) -> Taxonomy:
    """The new taxonomy with the old classes first, at their labels.

    `new` has the classes of `old` in the same groups, and more classes in any order.

    Raises:
        TaxonomyError: It lacks an old class, groups the old classes differently, or one of the two
            has several trees.
    """
    _check_one_tree(old)
    _check_one_tree(new)
    labels = [new.find(name) for name in old.classes]
    lacking = [c for c, label in zip(old.classes, labels, strict=True) if label is None]
    if lacking or len(set(labels)) < len(labels):
        what = f'lacks {show_list(lacking)}' if lacking else 'makes one class of two'
        raise TaxonomyError(f'{what}; classes can be added, but the old ones have to stay')
    labels += [label for label in range(new.num_classes) if label not in labels]
    grown = _changed(new, [new.classes[n] for n in labels], [new.paths[n] for n in labels])
    difference = group_difference(old, first_classes(grown, old.num_classes), places=_PLACES)
    if difference is not None:
        raise TaxonomyError(f'changes old groups: {difference}; groups of old classes have to stay')
    return grown


def first_classes(taxonomy: Taxonomy, count: int) -> Taxonomy:
    """The taxonomy of the first classes alone."""
    classes = taxonomy.classes[:count]
    aliases = {name: taxonomy.aliases.get(name, ()) for name in classes}
    return _changed(taxonomy, classes, taxonomy.paths[:count], aliases=aliases)


def siblings_of(taxonomy: Taxonomy, label: int, count: int) -> list[int]:
    """Those of the first `count` classes in a class's finest group that has any of them, or all."""
    for level in reversed(range(taxonomy.num_levels - 1)):
        index = taxonomy.group_index(level)
        if found := [other for other in range(count) if index[other] == index[label]]:
            return found
    return list(range(count))


def grown_head(own: Taxonomy, grown: Taxonomy) -> Taxonomy:
    """The taxonomy of a head with the new classes.

    A head may group otherwise than its data: each class alone, or all in one group. Its new classes
    then belong to the groups that all of their siblings have there.
    """
    count = own.num_classes
    if group_difference(own, first_classes(grown, count), places=_PLACES) is None:
        return grown
    paths = list(own.paths)
    for label in range(count, grown.num_classes):
        siblings = siblings_of(grown, label, count)
        paths.append(tuple(commonprefix([own.paths[sibling] for sibling in siblings])))
    return _changed(own, grown.classes, paths)


def _changed(
    taxonomy: Taxonomy,
    classes: Sequence[str],
    paths: Sequence[Sequence[str]],
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> Taxonomy:
    aliases = taxonomy.aliases if aliases is None else aliases
    kept = dict(num_levels=taxonomy.num_levels, description=taxonomy.description)
    return Taxonomy(taxonomy.name, classes, paths, aliases=aliases, allow_one_group=True, **kept)
