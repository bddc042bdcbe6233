"""Checks of granularity: superclasses with boxes, leaves of unequal depth, class lists that differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from shlex import quote

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.messages import show, show_list

from .classes import class_keys
from .data import CocoData
from .finding import NOTE, WARNING, Check, Finding, found

PARENT_ANNOTATED = Check(
    'parent-annotated',
    WARNING,
    'classes with boxes that are the superclass of other classes, which learn these as negatives',
    'keep the class if its objects belong to no finer one; if they may, train them as "only the '
    'superclass known": take the taxonomy of make_taxonomy.py --from coco {paths} --coarse, which '
    'leaves the class out (docs/labels.md)',
)
ONE_CLASS_BELOW = (
    'keep the class if its objects are not of the finer one; to boxes that may be, give the finer class: '
    'a group of one class has no label of its own'
)
SUPERCLASS_ONLY = Check(
    'superclass-only',
    NOTE,
    'categories of whose boxes only the superclass is known',
    'nothing, if meant so: wgroup and wogroup learn the superclass from them (docs/labels.md)',
)
NOT_EVALUATED = (
    'nothing, if meant so: evaluation does not count these boxes as missed, nor detections of their '
    'classes there as wrong'
)
UNEQUAL_DEPTH = Check(
    'leaves-of-unequal-depth',
    NOTE,
    'classes with fewer levels of groups above them than others',
    'nothing, if meant so: on a level where a class has no group, it is a group by itself',
)
LISTS_DIFFER = Check(
    'class-lists-differ',
    WARNING,
    'classes that one file lists and another does not',
    'list them in all files; objects of classes that a file does not annotate are its background, '
    'unless its data set says annotated=[...] (docs/labels.md)',
)


def check(data: CocoData, taxonomy: Taxonomy | str, train: Sequence[CocoData]) -> Iterator[Finding]:
    """Findings about categories of one file that are superclasses.

    Args:
        data: The file.
        taxonomy: The classes, or why there are none.
        train: The training files, for the command that makes another taxonomy of them.
    """
    keys, above = class_keys(data, taxonomy), names_above(data, taxonomy)
    names = [category.get('name') for category in data.categories]
    num_classes = taxonomy.num_classes if isinstance(taxonomy, Taxonomy) else math.inf
    parents, coarse = {}, []
    for row, (name, key) in enumerate(zip(names, keys, strict=True)):
        if not data.boxes_per_category[row] or key is None or names.count(name) > 1:
            continue
        if isinstance(key, int) and key > num_classes:
            coarse.append(row)
        elif isinstance(key, int) or isinstance(taxonomy, str):
            below = [other for other, groups in enumerate(above) if normalize(name) in groups]
            parents |= {row: below} if below else {}
    paths = ' '.join(quote(str(file.path)) for file in train)
    fix = PARENT_ANNOTATED.fix.format(paths=paths)
    if all(len(below) == 1 for below in parents.values()):
        fix = ONE_CLASS_BELOW
    yield from found(
        dataclasses.replace(PARENT_ANNOTATED, fix=fix),
        data,
        [*parents],
        lambda data, row: _describe_parent(data, row, parents[row]),
    )
    fix = NOT_EVALUATED if data.split == 'val' else SUPERCLASS_ONLY.fix
    counted = np.bincount(data.category_of[data.is_counted], minlength=len(keys))
    yield from found(
        dataclasses.replace(SUPERCLASS_ONLY, fix=fix),
        data,
        coarse,
        lambda data, row: (
            f'{data.name_category(row)}, {counted[row]:,} boxes: {_place(taxonomy, keys[row])}'
        ),
    )


def _describe_parent(data: CocoData, row: int, below: list[int]) -> str:
    boxes = data.boxes_per_category
    others = show_list(data.categories[other].get('name') for other in below)
    alone = ' alone' if len(below) == 1 else ''
    return (
        f'{data.name_category(row)}, {boxes[row]:,} boxes; the superclass of {others} '
        f'({boxes[below].sum():,} boxes){alone}'
    )


def _place(taxonomy: Taxonomy, label: int) -> str:
    level, classes = taxonomy.labels.levels[label], taxonomy.labels.sets[label].sum()
    return 'any class' if level is None else f'a group of {classes} classes at level {level}'


def check_depths(data: CocoData, taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """A finding if classes of a taxonomy with groups are at different depths."""
    if isinstance(taxonomy, Taxonomy) and not taxonomy.is_ungrouped:
        depths = [len(path) for path in taxonomy.paths]
        higher = [
            f'{show(name)}: {depth} of {max(depths)}'
            for name, depth in zip(taxonomy.classes, depths, strict=True)
            if depth < max(depths)
        ]
        yield from found(UNEQUAL_DEPTH, data, higher, split='')


def check_lists(files: Sequence[CocoData], taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """A finding if files list different classes."""
    listed = [_listed(data, taxonomy) for data in files]
    lacking = {
        name: [data.path for data, names in zip(files, listed, strict=True) if name not in names]
        for names in listed
        for name in names
    }
    differing = [
        f'{show(name)}: not in {", ".join(map(str, paths))}'
        for name, paths in lacking.items()
        if paths
    ]
    yield from found(LISTS_DIFFER, files[0], differing, split='')


def _listed(data: CocoData, taxonomy: Taxonomy | str) -> dict[str, None]:
    """The classes that a file lists; without a taxonomy, all its categories."""
    keys = class_keys(data, taxonomy)
    if isinstance(taxonomy, str):
        return dict.fromkeys(key for key in keys if key is not None)
    labels = (key for key in keys if isinstance(key, int) and key < taxonomy.num_classes)
    return dict.fromkeys(taxonomy.classes[label] for label in labels)


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
        above |= set() if label is None else set(taxonomy.paths[label])
        names.append({*map(normalize, above)} - {normalize(name) if isinstance(name, str) else ''})
    return names
