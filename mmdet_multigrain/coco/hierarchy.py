"""The hierarchy in a COCO file: the `supercategory` of its categories, read as groups.

How it is read:

- Labels follow the category ids. No supercategory, an empty one or "none" means no group.
- A category that others name as their supercategory and that has no annotations is a parent: it
  is not a class, and its own supercategory gives the next higher level.
- With annotations it stays a class, in the group of its own name; so does a category that names
  itself. If no other category names it, it has no group.
- A root that holds everything (as in Roboflow exports) is taken off where there are groups below.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mmdet_multigrain.taxonomy.names import MAX_LETTERS, check_name
from mmdet_multigrain.utils.errors import TaxonomyError, error_source
from mmdet_multigrain.utils.messages import show

from .files import load_coco


class _Category(NamedTuple):
    id: int
    name: str
    parent: str | None


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a COCO file.

    Raises:
        TaxonomyError: It cannot be read; the message names the file.
    """
    return load_coco(path, error=TaxonomyError).content


def parse(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a loaded COCO file into the `classes` and `paths` of a `Taxonomy`."""
    categories = _categories(data)
    parents = _parents(categories, data)
    # Paths of the parents too: a circle among them must not pass unseen.
    paths = {
        category: path
        for category, path in zip(categories, _paths(categories), strict=True)
        if category.id not in parents
    }
    return {
        'classes': [category.name for category in paths],
        'paths': _strip_roots(list(paths.values())),
    }


def coco_parent_categories(coco: Mapping[str, Any], source: object = '') -> set[int]:
    """Ids of the categories that only name a group: parents of others, without annotations.

    `Taxonomy.from_coco` makes no class of them. A class may have no annotations in one split
    only: where a taxonomy is at hand, what it knows by name is a class all the same.

    Args:
        coco: A loaded COCO file.
        source: Begins the message of an error.
    """
    with error_source(source):
        return _parents(_categories(coco), coco)


def _categories(data: Mapping[str, Any]) -> list[_Category]:
    """The checked categories of a COCO file, by id."""
    entries = data.get('categories') if isinstance(data, Mapping) else None
    if not isinstance(entries, (list, tuple)):
        raise TaxonomyError(
            "not a COCO file: it has no list of 'categories'; name an annotation file"
        )
    if not entries:
        raise TaxonomyError("'categories' is empty; list the classes in it")
    categories: dict[int, _Category] = {}
    ids_by_name: dict[str, int] = {}
    for position, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or 'id' not in entry or 'name' not in entry:
            raise TaxonomyError(
                f'categories[{position}] is {show(entry)}; give it an id and a name'
            )
        id, what = entry['id'], f'the category with id {show(entry["id"])}'
        if isinstance(id, bool) or not isinstance(id, int):
            raise TaxonomyError(
                f'categories[{position}] has the id {show(id)}; give it a whole number'
            )
        name = check_name(entry['name'], what)
        if id in categories:
            raise TaxonomyError(
                f'categories {show(categories[id].name)} and {show(name)} '
                f'both have id {id}; number them apart'
            )
        if name in ids_by_name:
            raise TaxonomyError(
                f'categories {ids_by_name[name]} and {id} are both named '
                f'{show(name)}; merge or rename one'
            )
        ids_by_name[name] = id
        categories[id] = _Category(id, name, _parent_name(entry.get('supercategory'), name))
    return [categories[id] for id in sorted(categories)]


def _parent_name(value: object, name: str) -> str | None:
    if value is None or (
        isinstance(value, str)
        and len(value) <= MAX_LETTERS
        and value.strip().casefold() in ('', 'none')
    ):
        return None
    return check_name(value, f'the supercategory of {show(name)}')


def _parents(categories: Iterable[_Category], data: Mapping[str, Any]) -> set[int]:
    named = _named_by_others(categories)
    annotations = data.get('annotations', ())
    if not isinstance(annotations, (list, tuple)):
        raise TaxonomyError(f"'annotations' is {show(annotations)}; it must be a list")
    annotated = {
        annotation['category_id']
        for annotation in annotations
        if isinstance(annotation, Mapping) and isinstance(annotation.get('category_id'), int)
    }
    # A category that names itself says that it is a class; the others may lack boxes by chance.
    return {
        category.id
        for category in categories
        if category.name in named
        and category.id not in annotated
        and category.parent != category.name
    }


def _named_by_others(categories: Iterable[_Category]) -> set[str | None]:
    return {category.parent for category in categories if category.parent != category.name}


def _paths(categories: list[_Category]) -> list[tuple[str, ...]]:
    """The groups that each category is in, coarsest first."""
    above = {
        category.name: None if category.parent == category.name else category.parent
        for category in categories
    }
    named = _named_by_others(categories)
    paths = []
    for category in categories:
        path: list[str] = []
        group = category.name if category.name in named else above[category.name]
        while group is not None:
            if group in path:
                circle = ' -> '.join(map(show, [*path[path.index(group) :], group]))
                raise TaxonomyError(f'supercategories run in a circle: {circle}; break it')
            path.append(group)
            group = above.get(group)
        paths.append(tuple(reversed(path)))
    return paths


def _strip_roots(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Take off common roots while at least one group is left below."""
    while len(paths) > 1 and paths[0] and len({path[:1] for path in paths}) == 1:
        if max(map(len, paths)) == 1:
            raise TaxonomyError(
                f'all {len(paths)} classes have the supercategory {show(paths[0][0])}: one group '
                'teaches nothing, since every object has the same superclass; edit supercategory, '
                'or give a taxonomy as a YAML file'
            )
        paths = [path[1:] for path in paths]
    return paths
