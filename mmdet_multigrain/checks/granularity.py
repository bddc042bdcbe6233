"""Checks of granularity: superclasses with boxes, leaves of unequal depth, class lists that differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from shlex import quote

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.messages import show, show_list

from .classes import class_keys
from .data import CocoData
from .finding import Checks, Finding, found

CHECKS = Checks()
PARENT_ANNOTATED = CHECKS.warning(
    'parent-annotated',
    'classes with boxes that are the superclass of other classes, which learn these as negatives',
    'keep the class if its objects belong to no finer one; if they may, train them as "only the '
    'superclass known": take the taxonomy of make_taxonomy.py --from coco {paths} --coarse, which '
    'leaves the class out (docs/labels.md)',
)
ONE_CLASS_BELOW = (
    'keep the class if its objects are not of the finer one; to boxes that may be, give the finer class: '
    'a group of one class has no label of its own'
)
SUPERCLASS_ONLY = CHECKS.note(
    'superclass-only',
    'categories of whose boxes only the superclass is known',
    'nothing, if meant so: wgroup and wogroup learn the superclass from them (docs/labels.md)',
    varies=lambda data: {'fix': NOT_EVALUATED} if data.split == 'val' else {},
)
NOT_EVALUATED = (
    'nothing, if meant so: evaluation does not count these boxes as missed, nor detections of their '
    'classes there as wrong'
)
UNEQUAL_DEPTH = CHECKS.note(
    'leaves-of-unequal-depth',
    'classes with fewer levels of groups above them than others',
    'nothing, if meant so: on a level where a class has no group, it is a group by itself',
)
LISTS_DIFFER = CHECKS.warning(
    'class-lists-differ',
    'classes that one file lists and another does not',
    'list them in all files; objects of classes that a file does not annotate are its background, '
    'unless its data set says annotated=[...] (docs/labels.md)',
)


def check(data: CocoData, taxonomy: Taxonomy | str, train: Sequence[CocoData]) -> Iterator[Finding]:
    """Findings about categories of one file that are superclasses.

    The command that makes another taxonomy names the training files.
    """
    keys = class_keys(data, taxonomy)
    names = [category.get('name') for category in data.categories]
    members: dict[str, list[int]] = defaultdict(list)  # rows of the categories below a name
    for row, groups in enumerate(names_above(data, taxonomy)):
        for group in groups:
            members[group].append(row)
    repeated = {name for name, count in Counter(filter(_is_text, names)).items() if count > 1}
    boxes, parents, coarse = data.boxes_per_category, {}, []
    for row, (name, key) in enumerate(zip(names, keys, strict=True)):
        if not boxes[row] or key is None or name in repeated:
            continue
        if isinstance(key, int) and key > taxonomy.num_classes:
            coarse.append(row)
        elif isinstance(key, int) or isinstance(taxonomy, str):
            below = members.get(normalize(name))
            parents |= {row: below} if below else {}

    def parent(data: CocoData, row: int) -> str:
        below = parents[row]
        alone = ' alone' if len(below) == 1 else ''
        return (
            f'{data.name_category(row)}, {boxes[row]:,} boxes; the superclass of '
            f'{show_list(names[other] for other in below)} ({boxes[below].sum():,} boxes){alone}'
        )

    def superclass(data: CocoData, row: int) -> str:
        level, size = taxonomy.labels.levels[keys[row]], taxonomy.labels.sets[keys[row]].sum()
        title = 'any class' if level is None else taxonomy.level_title(level)
        place = title if level is None else f'a group of {size} classes at {title}'
        return f'{data.name_category(row)}, {counted[row]:,} boxes: {place}'

    fix = PARENT_ANNOTATED.fix.format(paths=' '.join(quote(str(file.path)) for file in train))
    if all(len(below) == 1 for below in parents.values()):
        fix = ONE_CLASS_BELOW
    yield from found(PARENT_ANNOTATED, data, [*parents], fix=fix, describe=parent)
    counted = np.bincount(data.category_of[data.is_counted], minlength=len(keys))
    yield from found(SUPERCLASS_ONLY, data, coarse, describe=superclass)


def _is_text(name: object) -> bool:
    return isinstance(name, str)


def check_depths(data: CocoData, taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """A finding if classes of a taxonomy with groups are at different depths."""
    if isinstance(taxonomy, Taxonomy) and not taxonomy.is_ungrouped:
        higher = []
        for tree, paths in taxonomy.forest.items():
            depths = [len(path) for path in paths]
            higher += [
                f'{show(name)}: {depth} of {max(depths)}{f" ({tree})" if tree else ""}'
                for name, depth in zip(taxonomy.classes, depths, strict=True)
                if depth < max(depths)
            ]
        yield from found(UNEQUAL_DEPTH, data, higher, split='')


def check_lists(files: Sequence[CocoData], taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """A finding if files list different classes."""
    listed = [_listed(data, taxonomy) for data in files]
    differing = []
    for name in dict.fromkeys(name for names in listed for name in names):
        pairs = zip(files, listed, strict=True)
        if lacking := [str(data.path) for data, names in pairs if name not in names]:
            differing.append(f'{show(name)}: not in {", ".join(lacking)}')
    yield from found(LISTS_DIFFER, files[0], differing, split='')


def _listed(data: CocoData, taxonomy: Taxonomy | str) -> list[str]:
    """The classes that a file lists; without a taxonomy, all its categories."""
    keys = class_keys(data, taxonomy)
    if isinstance(taxonomy, str):
        return [key for key in keys if key is not None]
    labels = (key for key in keys if isinstance(key, int) and key < taxonomy.num_classes)
    return [taxonomy.classes[label] for label in labels]


def names_above(data: CocoData, taxonomy: Taxonomy | str) -> list[set[str]]:
    """The normalized names of the groups that each category is in, by the file and the taxonomy."""
    parents = {
        category['name']: category.get('supercategory')
        for category in data.categories
        if isinstance(category.get('name'), str)
    }
    names = []
    for category in data.categories:
        name, above = category.get('name'), set()
        parent = category.get('supercategory')
        while isinstance(parent, str) and parent not in above and parent != name:
            above.add(parent)
            parent = parents.get(parent)
        label = taxonomy.find(name) if isinstance(taxonomy, Taxonomy) else None
        if label is not None:
            above = above.union(*(paths[label] for paths in taxonomy.forest.values()))
        names.append({*map(normalize, above)} - {normalize(name) if isinstance(name, str) else ''})
    return names
