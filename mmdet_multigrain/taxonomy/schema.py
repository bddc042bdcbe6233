"""The nested mapping in which a taxonomy is written down: its keys, reading it, writing it.

What the result means (clashing names, useless groups) is checked by `Taxonomy` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import closest, did_you_mean, show

from .names import check_name

if TYPE_CHECKING:
    from .taxonomy import Taxonomy

KEYS = (
    'name',
    'description',
    'groups',
    'ungrouped',
    'classes',
    'aliases',
    'levels',
    'allow_one_group',
)
# Nobody groups more deeply; a YAML file that refers to itself never ends.
MAX_DEPTH = 20


def parse(mapping: Mapping[str, Any], default_name: str) -> dict[str, Any]:
    """Turn a mapping into the arguments of `Taxonomy`.

    Args:
        mapping: One with any of `KEYS`; without any, all of it is read as `groups`.
        default_name: The name when the mapping gives none.
    """
    if not isinstance(mapping, Mapping):
        raise TaxonomyError(
            f'a taxonomy is a mapping such as "groups: {{top: [shirt, coat]}}", not {show(mapping)}'
        )
    # A single group would teach nothing, so a single key that looks like ours is a slip in it.
    slip = len(mapping) == 1 and closest(next(iter(mapping)), KEYS)
    if not slip and not any(key in KEYS for key in mapping):
        return parse({'groups': mapping}, default_name)
    for key in mapping:
        if key not in KEYS:
            raise TaxonomyError(
                f'unknown key {show(key)}'
                + did_you_mean(key, KEYS, f'the keys are {", ".join(KEYS)}')
            )
    given = {key: value for key, value in mapping.items() if value is not None}

    tree = _Leaves()
    example = '{top: [shirt, coat], bottom: [jeans]}'
    fix = f'write a mapping of each group to its classes, such as {example}'
    tree.add_groups(_typed(given.get('groups', {}), Mapping, 'groups', fix), ())
    for leaf in _names(given.get('ungrouped', ()), 'ungrouped'):
        tree.add_leaf(leaf, ())
    paths = tree.paths
    classes = list(paths)
    if 'classes' in given:
        classes = _names(given['classes'], 'classes')
        # Alone, the classes are a flat taxonomy.
        paths = paths or dict.fromkeys(classes, ())
        _check_order(classes, paths)
    levels, integer = given.get('levels'), 'write a whole number, or leave it out'
    return {
        'name': check_name(given.get('name', default_name), 'the name of the taxonomy'),
        'classes': classes,
        'paths': [paths[leaf] for leaf in classes],
        'aliases': _aliases(given.get('aliases', {})),
        'num_levels': None if levels is None else _typed(levels, int, 'levels', integer),
        'description': _typed(given.get('description', ''), str, 'description', 'quote it'),
        'allow_one_group': _flag(given.get('allow_one_group', False), 'allow_one_group'),
    }


def dump(taxonomy: Taxonomy) -> dict[str, Any]:
    """The mapping that `parse` reads as `taxonomy`, even if its keys are reordered.

    It always lists the classes: mmengine sorts the keys of dumped configs, which would change
    labels that follow the order of the groups.
    """
    groups: dict[str, Any] = {}
    ungrouped: list[str] = []
    for leaf, path in zip(taxonomy.classes, taxonomy.paths, strict=True):
        if not path:
            ungrouped.append(leaf)
            continue
        node = groups
        for group in path:
            node = node.setdefault(group, {})
        node[leaf] = None
    mapping = {
        'name': taxonomy.name,
        'description': taxonomy.description,
        'groups': {group: _dump_children(children) for group, children in groups.items()},
        'ungrouped': ungrouped,
        'classes': list(taxonomy.classes),
        'aliases': {leaf: list(names) for leaf, names in taxonomy.aliases.items()},
    }
    mapping = {key: value for key, value in mapping.items() if value}
    if 1 + max(map(len, taxonomy.paths)) != taxonomy.num_levels:
        mapping['levels'] = taxonomy.num_levels
    if taxonomy.has_one_group:
        mapping['allow_one_group'] = True
    return mapping


def _dump_children(node: dict[str, Any]) -> list[Any] | dict[str, Any]:
    """A list where there are leaves, with subgroups as mappings of one key; else a mapping."""
    if all(children is not None for children in node.values()):
        return {name: _dump_children(children) for name, children in node.items()}
    return [
        name if children is None else {name: _dump_children(children)}
        for name, children in node.items()
    ]


class _Leaves:
    """Collects the leaves of a tree and their paths.

    Duplicates raise at once: by anchors, a small YAML file can expand to exponentially many.
    """

    def __init__(self) -> None:
        self.paths: dict[str, tuple[str, ...]] = {}
        self._groups: set[tuple[str, ...]] = set()

    def add_groups(self, groups: Mapping[str, Any], parent: tuple[str, ...]) -> None:
        for name, children in groups.items():
            place = f'group {show(parent[-1])}' if parent else 'groups'
            path = (*parent, check_name(name, f'a group in {place}'))
            if path in self._groups:
                raise TaxonomyError(f'group {show(name)} is listed twice in {place}; merge the two')
            if len(path) > MAX_DEPTH:
                raise TaxonomyError(
                    f'group {show(path[0])} nests more than {MAX_DEPTH} groups; '
                    'flatten it, or remove a reference to itself'
                )
            self._groups.add(path)
            self._add_children(children, path)

    def _add_children(self, children: object, path: tuple[str, ...]) -> None:
        group = f'group {show(path[-1])}'
        if children is None or isinstance(children, (list, tuple, Mapping)) and not children:
            raise TaxonomyError(f'{group} is empty; list its classes or remove it')
        if isinstance(children, Mapping):
            self.add_groups(children, path)
            return
        fix = 'write a list of its classes, such as [shirt, coat]'
        for child in _typed(children, (list, tuple), group, fix):
            if isinstance(child, Mapping) and child:
                self.add_groups(child, path)
            else:
                self.add_leaf(child, path)

    def add_leaf(self, leaf: object, path: tuple[str, ...]) -> None:
        place = f'group {show(path[-1])}' if path else 'ungrouped'
        name = check_name(leaf, f'a class in {place}')
        if name in self.paths:
            before = self.paths[name]
            raise TaxonomyError(
                f'class {show(name)} is listed twice in {place}; remove one'
                if before == path
                else f'class {show(name)} is in two groups, '
                f'{show(" / ".join(before) or "ungrouped")} and '
                f'{show(" / ".join(path) or "ungrouped")}; remove it from one'
            )
        self.paths[name] = path


def _typed(value: Any, kind: type | tuple[type, ...], key: str, fix: str) -> Any:
    """The value of a key, if it is of that type."""
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TaxonomyError(f'{key} is {show(value)}; {fix}')
    return value


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise TaxonomyError(f'{key} is {show(value)}; write true, or leave it out')
    return value


def _names(value: object, key: str) -> list[str]:
    names = _typed(value, (list, tuple), key, 'write a list of names')
    return [check_name(name, f'an entry of {key}') for name in names]


def _check_order(classes: list[str], paths: Mapping[str, object]) -> None:
    seen: set[str] = set()
    for name in classes:
        if name in seen:
            raise TaxonomyError(f'classes lists {show(name)} twice; remove one')
        if name not in paths:
            raise TaxonomyError(
                f'classes lists {show(name)}, which is neither in a group nor in ungrouped'
                + did_you_mean(name, paths, 'add it there or remove it here')
            )
        seen.add(name)
    for name in paths:
        if name not in seen:
            raise TaxonomyError(
                f'classes lacks {show(name)}, which is in a group or in ungrouped; '
                'add it there, or leave out classes to take the order of appearance'
            )


def _aliases(value: object) -> dict[str, list[str]]:
    fix = 'write a mapping of each class to a list of other names'
    items = _typed(value, Mapping, 'aliases', fix).items()
    return {name: _names(others, f'aliases of {show(name)}') for name, others in items}
