"""Labels of names and groups of levels, for `Taxonomy`; names that clash raise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import did_you_mean, show

from .names import check_name, normalize


def index_names(
    classes: Sequence[str], aliases: Mapping[str, Sequence[str]], groups: Collection[str] = ()
) -> dict[str, int]:
    """Map every normalized name and alias of a class to its label.

    Aliases are by name, of a class or one of `groups`, whose aliases may not be those of classes.
    """
    labels: dict[str, int] = {}
    for label, name in enumerate(classes):
        other = labels.setdefault(normalize(check_name(name, 'a class')), label)
        if other != label:
            raise TaxonomyError(
                f'class {show(name)} is listed twice; remove one'
                if classes[other] == name
                else f'classes {show(classes[other])} and {show(name)} differ only in case, blanks, '
                "'_' or '-'; merge or rename one"
            )
    for name, others in sorted(aliases.items(), key=lambda item: item[0] not in classes):
        is_group = name not in classes and name in groups
        if name not in classes and not is_group:
            raise TaxonomyError(
                f'aliases are given for {show(name)}, which is not a class'
                + did_you_mean(name, classes, 'remove them')
            )
        label = None if is_group else classes.index(name)
        for alias in others:
            known_as = normalize(check_name(alias, f'an alias of {show(name)}'))
            other = labels.get(known_as) if is_group else labels.setdefault(known_as, label)
            if other != label:
                raise TaxonomyError(
                    f'alias {show(alias)} of {"group" if is_group else "class"} {show(name)} also means '
                    f'class {show(classes[other])}; remove it from one of them'
                )
    return labels


def build_level(
    classes: tuple[str, ...], paths: tuple[tuple[str, ...], ...], level: int, tree: str = ''
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of one level's groups, and the group of each label; level 0 is the coarsest."""
    groups: dict[tuple[str, ...] | str, int] = {}
    owners: dict[str, tuple[str, ...] | str] = {}
    names: list[str] = []
    index: list[int] = []
    for leaf, path in zip(classes, paths, strict=True):
        # A class without a group here is its own group; its own name (not a tuple) is its identity.
        node = path[: level + 1] if level < len(path) else leaf
        if node not in groups:
            name = leaf if node is leaf else check_name(path[level], 'a group')
            other = owners.setdefault(normalize(name), node)
            if other != node:
                has_class = isinstance(node, str) or isinstance(other, str)
                place = f'level {level} of tree {show(tree)}' if tree else f'level {level}'
                raise TaxonomyError(
                    f'at {place}, {_describe(other)} and {_describe(node)} have one name; '
                    f'rename one{", or put the class into that group" if has_class else ""}'
                )
            groups[node] = len(names)
            names.append(name)
        index.append(groups[node])
    return tuple(names), tuple(index)


def _describe(node: tuple[str, ...] | str) -> str:
    if isinstance(node, str):
        return f'the class {show(node)}, which has no group there,'
    place = f' under {show(" / ".join(node[:-1]))}' if len(node) > 1 else ''
    return f'the group {show(node[-1])}{place}'
