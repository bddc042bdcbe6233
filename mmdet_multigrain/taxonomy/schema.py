"""The nested mapping in which a taxonomy is written down: its keys, reading it, writing it.

What the result means (clashing names, useless groups) is checked by `Taxonomy` itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmdet_multigrain.utils.errors import TaxonomyError, error_source
from mmdet_multigrain.utils.messages import closest, did_you_mean, show

from .names import check_name

if TYPE_CHECKING:
    from .taxonomy import Taxonomy

KEYS = (
    'name',
    'description',
    'groups',
    'trees',
    'ungrouped',
    'classes',
    'aliases',
    'levels',
    'main_tree',
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
    known = [key for key in mapping if key in KEYS]
    # Groups of plants may be called trees.
    if not slip and (not known or known == ['trees'] and len(mapping) > 1):
        return parse({'groups': mapping}, default_name)
    for key in mapping:
        if key not in KEYS:
            raise TaxonomyError(
                f'unknown key {show(key)}'
                + did_you_mean(key, KEYS, f'the keys are {", ".join(KEYS)}')
            )
    given = {key: value for key, value in mapping.items() if value is not None}

    trees = _trees(given)
    tree = _Leaves()
    tree.add_groups(_groups(trees[0][1] if trees else given.get('groups', {})), ())
    for leaf in _names(given.get('ungrouped', ()), 'ungrouped'):
        tree.add_leaf(leaf, ())
    paths = tree.paths
    classes = list(paths)
    others = {name: _other_paths(name, groups, classes) for name, groups in trees[1:]}
    if 'classes' in given:
        classes = _names(given['classes'], 'classes')
        # Alone, the classes are a flat taxonomy.
        paths = paths or dict.fromkeys(classes, ())
        _check_order(classes, paths)
    levels, integer = given.get('levels'), 'write a whole number, or leave it out'
    allowed = given.get('allow_one_group', False)
    of_first = [paths[leaf] for leaf in classes]
    of_trees = {trees[0][0]: of_first} if trees else {}
    of_trees |= {name: [own.get(leaf, ()) for leaf in classes] for name, own in others.items()}
    return {
        'name': check_name(given.get('name', default_name), 'the name of the taxonomy'),
        'classes': classes,
        'paths': of_trees if 'trees' in given else of_first,
        'aliases': _aliases(given.get('aliases', {})),
        'num_levels': None if levels is None else _typed(levels, int, 'levels', integer),
        'description': _typed(given.get('description', ''), str, 'description', 'quote it'),
        'allow_one_group': _typed(allowed, bool, 'allow_one_group', 'write true, or leave it out'),
        'main_tree': given.get('main_tree'),
    }


def _groups(value: object, key: str = 'groups') -> Mapping[str, Any]:
    example = '{top: [shirt, coat], bottom: [jeans]}'
    fix = f'write a mapping of each group to its classes, such as {example}'
    return _typed(value, Mapping, key, fix)


def _trees(given: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and groups of each of several trees; none where there is one."""
    if 'trees' not in given:
        return []
    for key in ('groups', 'levels'):
        if key in given:
            raise TaxonomyError(
                f'{key} is for a taxonomy of one tree; put it into trees, or remove it'
            )
    value, fix = given['trees'], 'write a mapping of the name of each tree to its groups'
    # A list keeps the order where a file format sorts keys.
    entries = _typed([value] if isinstance(value, Mapping) else value, (list, tuple), 'trees', fix)
    pairs = [pair for entry in entries for pair in _typed(entry, Mapping, 'trees', fix).items()]
    for number, (name, _) in enumerate(pairs):
        if name in [other for other, _ in pairs[:number]]:
            raise TaxonomyError(f'tree {show(name)} is listed twice in trees; merge the two')
    return [(name, _groups(groups, f'tree {show(name)}')) for name, groups in pairs]


def _other_paths(
    name: str, groups: Mapping[str, Any], classes: list[str]
) -> dict[str, tuple[str, ...]]:
    """The paths of a tree behind the first, which may leave classes out but not add any."""
    tree = _Leaves()
    with error_source(f'tree {show(name)}'):
        tree.add_groups(groups, ())
        for leaf in tree.paths:
            if leaf not in classes:
                raise TaxonomyError(
                    f'class {show(leaf)} is neither in the first tree nor in ungrouped'
                    + did_you_mean(leaf, classes, 'add it there or remove it here')
                )
    return tree.paths


def dump(taxonomy: Taxonomy) -> dict[str, Any]:
    """The mapping that `parse` reads as `taxonomy`, even if its keys are reordered.

    It always lists the classes: mmengine sorts the keys of dumped configs, which would change
    labels that follow the order of the groups.
    """
    trees = {name: _dump_groups(taxonomy.classes, own) for name, own in taxonomy.forest.items()}
    pairs = zip(taxonomy.classes, taxonomy.paths, strict=True)
    mapping = {
        'name': taxonomy.name,
        'description': taxonomy.description,
        'groups': trees.get(''),
        'trees': [{name: groups} for name, groups in trees.items() if name],
        'ungrouped': [leaf for leaf, path in pairs if not path],
        'classes': list(taxonomy.classes),
        'aliases': {leaf: list(names) for leaf, names in taxonomy.aliases.items()},
    }
    mapping = {key: value for key, value in mapping.items() if value}
    if taxonomy.trees and taxonomy.main_tree != taxonomy.trees[0]:
        mapping['main_tree'] = taxonomy.main_tree
    if not taxonomy.trees and 1 + max(map(len, taxonomy.paths)) != taxonomy.num_levels:
        mapping['levels'] = taxonomy.num_levels
    if taxonomy.has_one_group:
        mapping['allow_one_group'] = True
    return mapping


def _dump_groups(
    classes: Sequence[str], paths: Sequence[Sequence[str]]
) -> dict[str, list[Any] | dict[str, Any]]:
    groups: dict[str, Any] = {}
    for leaf, path in zip(classes, paths, strict=True):
        node = groups
        for group in path:
            node = node.setdefault(group, {})
        if path:
            node[leaf] = None
    return {group: _dump_children(children) for group, children in groups.items()}


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
            if children is None or isinstance(children, (list, tuple, Mapping)) and not children:
                raise TaxonomyError(f'group {show(name)} is empty; list its classes or remove it')
            fix = 'write a list of its classes, such as [shirt, coat]'
            children = [children] if isinstance(children, Mapping) else children
            for child in _typed(children, (list, tuple), f'group {show(name)}', fix):
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
    if not isinstance(value, kind) or isinstance(value, bool) and kind is not bool:
        raise TaxonomyError(f'{key} is {show(value)}; {fix}')
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
