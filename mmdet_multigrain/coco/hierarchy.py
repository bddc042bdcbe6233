"""The hierarchy of a COCO file: the `supercategory` of each category is its group.

- Labels follow the category ids. No supercategory, an empty one or "none", "null", "N/A", ... means
  no group.
- A category without annotations that others name as their supercategory is a parent, not a class;
  its own supercategory is the next higher level.
- With annotations it is a class, in the group of the same name; so is a category that names
  itself. If no other category names it, it has no group.
- A root that holds everything (as in Roboflow exports) is removed: it would teach nothing.
- A category without annotations that has the name of another one is left out.
- A supercategory that only repeats the name of its one class in another case is no group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from mmdet_multigrain.taxonomy.names import MAX_LETTERS, OBJECT, check_name, normalize
from mmdet_multigrain.utils.errors import TaxonomyError, error_source
from mmdet_multigrain.utils.messages import show

_NO_GROUP = frozenset(
    ('', 'none', 'null', 'nil', 'nan', 'na', 'n/a', 'n.a.', '#n/a', '<na>', 'undefined', '-', '--')
)


class _Category(NamedTuple):
    id: int
    name: str
    parent: str | None


def parse(data: Mapping[str, Any], coarse: Collection[str] = ()) -> dict[str, Any]:
    """Turn a loaded COCO file into `classes`, `paths` and `aliases` of a `Taxonomy`.

    `coarse` are parents with annotations that are not classes: of their boxes only the superclass
    is known, or nothing if the parent is the root of all classes.
    """
    paths = _paths_of_classes(data, coarse)
    whole = [*paths.values()]
    roots = [name for name in _roots(whole) if name in coarse]
    return {
        'classes': list(paths),
        'paths': _drop_repeated(paths, strip_roots(whole)),
        'aliases': {OBJECT: roots} if roots and OBJECT not in paths else {},
    }


def annotated_parents(data: Mapping[str, Any]) -> dict[str, tuple[int, list[str]]]:
    """Boxes of each category that is the supercategory of others, and the classes below it.

    Parents are not among the classes below another one, with boxes or without.
    """
    categories, boxes = _categories(data), Counter(_category_ids(data))
    named = _named_by_others(categories)
    parents = [each for each in categories if each.name in named and boxes[each.id]]
    below = defaultdict(list)
    for category, path in zip(categories, _paths(categories), strict=True):
        for group in path if category.name not in named else ():
            below[group].append(category.name)
    return {parent.name: (boxes[parent.id], below[parent.name]) for parent in parents}


def merge(files: Iterable[tuple[object, Mapping[str, Any]]]) -> dict[str, Any]:
    """One content from several files (source and content), with the categories and annotations of all.

    A category may have another root of everything in each file, as exports name them: these go.

    Raises:
        TaxonomyError: A category has different supercategories in two files.
    """
    merged: dict[str, tuple[object, dict[str, Any]]] = {}
    annotations, roots_of, dropped = [], {}, set()
    for source, data in files:
        with error_source(source):
            categories, ids = _categories(data), {}
            roots_of[source] = roots(data)
            for category in categories:
                first, entry = merged.setdefault(
                    category.name,
                    (source, {'id': len(merged), 'name': category.name, 'supercategory': None}),
                )
                ids[category.id] = entry['id']
                given = entry['supercategory']
                if given is None:
                    entry['supercategory'] = category.parent
                elif category.parent not in (None, given):
                    both = {given} & roots_of[first], {category.parent} & roots_of[source]
                    dropped = dropped.union(*both)
                    if not all(both):
                        raise TaxonomyError(
                            f'category {show(category.name)} has the supercategory '
                            f'{show(category.parent)}, but {show(given)} in {first}; give it the same'
                        )
        annotations += [{'category_id': ids[id]} for id in _category_ids(data) if id in ids]
    used = {annotation['category_id'] for annotation in annotations}
    entries = [
        entry | {'supercategory': None} if entry['supercategory'] in dropped else entry
        for name, (_, entry) in merged.items()
        if name not in dropped or entry['id'] in used
    ]
    return {'categories': entries, 'annotations': annotations}


def roots(data: Mapping[str, Any]) -> set[str]:
    """Groups that hold all classes of a file, which make no group in its taxonomy."""
    return {*_roots([*_paths_of_classes(data).values()])}


def namesakes_without_boxes(
    classes: Mapping[int, Hashable | None], annotated: Container[int]
) -> dict[int, int]:
    """Categories without boxes that another one repeats, as the root that Roboflow adds may.

    Args:
        classes: What identifies the class of each category; None for no class.
        annotated: The categories with boxes.

    Returns:
        The category that stays, by the one to leave out; if none has boxes the last, as a root is
        first.
    """
    by_class: dict[Hashable, list[int]] = defaultdict(list)
    for id, key in classes.items():
        by_class[key].append(id)
    by_class.pop(None, None)
    left_out = {}
    for ids in by_class.values():
        kept = next((id for id in ids if id in annotated), ids[-1])
        left_out |= {id: kept for id in ids if id != kept and id not in annotated}
    return left_out


def _categories(data: Mapping[str, Any]) -> list[_Category]:
    """The checked categories of a COCO file, by id; without namesakes that have no boxes."""
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
        where = f'categories[{position}]'
        if not isinstance(entry, Mapping) or 'id' not in entry or 'name' not in entry:
            raise TaxonomyError(f'{where} is {show(entry)}; give it an id and a name')
        id = entry['id']
        if isinstance(id, bool) or not isinstance(id, int):
            raise TaxonomyError(f'{where} has the id {show(id)}; give it a whole number')
        name = check_name(entry['name'], f'the category with id {show(id)}')
        if id in categories:
            both = f'{show(categories[id].name)} and {show(name)}'
            raise TaxonomyError(f'categories {both} both have id {id}; number them apart')
        group, what = entry.get('supercategory'), f'the supercategory of {show(name)}'
        parent = None if means_no_group(group) else check_name(group, what)
        categories[id] = _Category(id, name, parent)
    names = {id: categories[id].name for id in sorted(categories)}
    annotated, roots = {*_category_ids(data)}, {}
    for id, kept in namesakes_without_boxes(names, annotated).items():
        if kept in annotated:
            root = categories.pop(id)
            if _is_below(categories[kept], root.name, categories.values()):
                roots[root.name] = root.parent  # the name means the root, for all
    for id, category in sorted(categories.items()):
        other = ids_by_name.setdefault(category.name, id)
        if other != id:
            both = f'categories {other} and {id} are both named {show(category.name)}'
            raise TaxonomyError(f'{both}; merge or rename one')
        categories[id] = category._replace(parent=roots.get(category.parent, category.parent))
    return [categories[id] for id in sorted(categories)]


def means_no_group(value: object) -> bool:
    """Whether a `supercategory` says that there is none."""
    if isinstance(value, str):
        return len(value) <= MAX_LETTERS and value.strip().casefold() in _NO_GROUP
    return value is None or value != value  # NaN, as tables of missing values export it


def _is_below(category: _Category, name: str, categories: Iterable[_Category]) -> bool:
    """Whether a group of this name is above a category."""
    above = {each.name: each.parent for each in categories}
    seen, parent = {None}, category.parent
    while parent not in seen and parent != name:
        seen.add(parent)
        parent = above.get(parent)
    return parent == name


def _category_ids(data: Mapping[str, Any]) -> list[int]:
    """The category ids of all annotations."""
    annotations = data.get('annotations', ())
    if not isinstance(annotations, (list, tuple)):
        raise TaxonomyError(f"'annotations' is {show(annotations)}; it must be a list")
    return [
        annotation['category_id']
        for annotation in annotations
        if isinstance(annotation, Mapping) and isinstance(annotation.get('category_id'), int)
    ]


def _parents(
    categories: Iterable[_Category], data: Mapping[str, Any], coarse: Collection[str] = ()
) -> set[int]:
    named, annotated = _named_by_others(categories), {*_category_ids(data)}
    # A category that names itself is a class, although it may have no boxes.
    classes = annotated | {each.id for each in categories if each.parent == each.name}
    parents = [each for each in categories if each.name in named]
    return {each.id for each in parents if each.name in coarse or each.id not in classes}


def _paths_of_classes(
    data: Mapping[str, Any], coarse: Collection[str] = ()
) -> dict[str, tuple[str, ...]]:
    """The groups that each class is in; a circle raises also if no class is in it."""
    categories = _categories(data)
    parents = _parents(categories, data, coarse)
    pairs = zip(categories, _paths(categories), strict=True)
    return {category.name: path for category, path in pairs if category.id not in parents}


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


def strip_roots(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Remove the groups that hold all of several classes; they would teach nothing."""
    while len(paths) > 1 and paths[0] and len({path[:1] for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    return paths


def _roots(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The groups that `strip_roots` removes."""
    return paths[0][: len(paths[0]) - len(strip_roots(paths)[0])] if paths else ()


def _drop_repeated(names: Iterable[str], paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Remove each group that has a class of the same name and nothing else."""
    sizes = Counter(path[:1] for path in paths)
    return [
        () if path and sizes[path] == 1 and normalize(path[0]) == normalize(name) else path
        for name, path in zip(names, paths, strict=True)
    ]
