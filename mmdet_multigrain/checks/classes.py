"""Checks of classes: categories against the taxonomy, boxes per class, and both splits."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmdet_multigrain.coco import hierarchy as coco
from mmdet_multigrain.coco.columns import MIN_IMAGE_SIDE
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import did_you_mean, show

from .data import CocoData
from .finding import NOTE, WARNING, Checks, Finding, found, rows_where

IMBALANCE = 100  # boxes of the most frequent class for one of the rarest


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _both(data: CocoData, pair: tuple[int, int]) -> str:
    return f'{data.name_category(pair[1])} and {data.name_category(pair[0])}'


CHECKS = Checks()
CHECKS.error(
    'category-name-missing',
    'categories without a name',
    'name them',
    rows_where('categories', lambda category: not _is_name(category.get('name'))),
    describe=CocoData.name_category,
)
ONE_CLASS = CHECKS.error(
    'categories-one-class',
    'categories that are one class: of one name or alias',
    'merge them in the file, or correct the aliases',
    describe=_both,
)
NAMESAKE = CHECKS.note(
    'category-namesake-without-boxes',
    'categories without boxes that another one repeats, as the root of Roboflow exports may',
    'nothing: this project leaves them out; remove them for other tools',
    describe=_both,
)
NO_TAXONOMY = CHECKS.error(
    'taxonomy-unusable',
    'supercategories that make no taxonomy',
    'edit them, or give a taxonomy with --taxonomy',
)
UNKNOWN = CHECKS.error(
    'class-unknown',
    'categories with boxes that the taxonomy lacks',
    'add a class or an alias to the taxonomy, or take another one',
)
NOT_LISTED = CHECKS.error(
    'class-not-listed',
    'classes of the taxonomy that the file does not list',
    'add the categories, or take a taxonomy without these classes',
)
NONE_COUNTS = CHECKS.error(
    'no-box-counts',
    'file of whose boxes none can be trained or evaluated on',
    'correct the boxes: crowds (iscrowd), boxes marked ignore and images below '
    f'{MIN_IMAGE_SIDE} pixels are left out of training',
)
SOME_LEFT_OUT = CHECKS.note(
    'boxes-not-counted',
    'boxes that are in no class count',
    'nothing, if meant so: training leaves them out, and evaluation does not count them as missed',
)
NO_BOXES = CHECKS.error(
    'class-without-boxes',
    'classes without boxes to train on',
    'add boxes, or leave the class out; it is never learned',
)
ONLY_TRAIN = CHECKS.warning(
    'class-only-in-train',
    'classes with boxes only in the first file',
    'add boxes to the second: without them a class has no AP',
)
ONLY_VAL = CHECKS.error(
    'class-only-in-val',
    'classes with boxes only in the second file',
    'add boxes to the first: without them a class is never learned',
)
NO_GROUPS = CHECKS.warning(
    'taxonomy-without-groups',
    'taxonomy without groups: no superclass of several classes',
    'give a supercategory to several classes, or groups with --taxonomy; else train wogroup, '
    'merged, baseline or stock: wgroup needs groups',
)
SAYS_NONE = CHECKS.note(
    'supercategory-says-none',
    'supercategories that are read as "no group"',
    'nothing, if meant so; leave the field out to be clear',
)
ALONE = CHECKS.note(
    'single-class-group',
    'superclasses of one class',
    'nothing, if meant so; such a group shares nothing with other classes',
)
UNBALANCED = CHECKS.note(
    'class-imbalance',
    'extreme ratio between the classes',
    'consider class-balanced sampling for the rare classes',
)


def load_taxonomy(files: Sequence[CocoData]) -> Taxonomy | str:
    """The taxonomy of the supercategories of files, or why they make none."""
    more = f' and {len(files) - 1} more' if len(files) > 1 else ''
    contents = [
        (data.path, {'categories': data.categories, 'annotations': data.annotations})
        for data in files
    ]
    try:
        content = coco.merge(contents) if more else contents[0][1]
        return Taxonomy(f'supercategories of {files[0].path.name}{more}', **coco.parse(content))
    except TaxonomyError as error:
        return str(error)


def check_taxonomy(data: CocoData, taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """Findings about the taxonomy itself."""
    if isinstance(taxonomy, str):
        if data.categories:  # without any, the missing list is the finding
            yield Finding(NO_TAXONOMY, '', 1, (taxonomy,))
        return
    words = [
        data.name_category(row) + f': {show(category["supercategory"])}'
        for row, category in enumerate(data.categories)
        if coco.means_no_group(word := category.get('supercategory'))
        and str(word).strip().casefold() not in ('', 'none')
    ]
    yield from found(SAYS_NONE, data, words)
    if taxonomy.is_ungrouped:
        yield Finding(NO_GROUPS, '', 1, (f'{taxonomy.num_classes} classes, 0 such superclasses',))
        return
    alone = []
    for tree in taxonomy.forest:
        level = taxonomy.levels_of(tree or None).start
        sizes, place = Counter(taxonomy.group_index(level)), f' ({tree})' if tree else ''
        names = enumerate(taxonomy.group_names(level))
        alone += [show(name) + place for group, name in names if sizes[group] == 1]
    yield from found(ALONE, data, alone, split='')


def check(
    data: CocoData, taxonomy: Taxonomy | str, *, allow_missing: bool = False
) -> Iterator[Finding]:
    """Findings about the classes of one file, which may lack some if `allow_missing`."""
    yield from CHECKS.run(data)
    first: dict[str | int, int] = {}
    keys = class_keys(data, taxonomy)
    pairs = [(first.setdefault(key, row), row) for row, key in enumerate(keys) if key is not None]
    same = [
        (row, other)
        for row, other in pairs
        if row != other and not _is_duplicate(data.categories[row], data.categories[other])
    ]
    annotated = {*np.flatnonzero(data.boxes_per_category).tolist()}
    repeated = coco.namesakes_without_boxes(dict(enumerate(keys)), annotated).keys()
    yield from found(ONE_CLASS, data, [pair for pair in same if repeated.isdisjoint(pair)])
    yield from found(NAMESAKE, data, [pair for pair in same if not repeated.isdisjoint(pair)])
    if isinstance(taxonomy, Taxonomy):
        yield from _check_names(data, taxonomy, allow_missing)


def _is_duplicate(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two entries are one, or the second repeats the first: a finding about ids."""
    return all(first.get(key) == second.get(key) for key in ('id', 'name'))


def _check_names(data: CocoData, taxonomy: Taxonomy, allow_missing: bool) -> Iterator[Finding]:
    names = [category.get('name') for category in data.categories]
    boxes = data.boxes_per_category
    results = [_find(taxonomy, *pair) for pair in zip(names, boxes, strict=True)]
    # As training reads it: a category of a group stands for its classes if it has none of them.
    listed = taxonomy.labels.covered({label for label, _ in results if label is not None})
    missing = [name for label, name in enumerate(taxonomy.classes) if label not in listed]
    unknown = [
        row
        for row, (label, _) in enumerate(results)
        if label is None and boxes[row] and isinstance(names[row], str)
    ]
    known = [alias for name in missing for alias in (name, *taxonomy.aliases.get(name, ()))]
    # A name that the file uses for a known class is not a likely misspelling of another class.
    others = [names[row] for row in unknown]

    def unknown_category(data: CocoData, row: int) -> str:
        why = results[row][1] or did_you_mean(names[row], known)
        return f'{data.name_category(row)}, {boxes[row]:,} boxes{why}'

    def missing_class(_: CocoData, name: str) -> str:
        return show(name) + did_you_mean(name, others)

    yield from found(UNKNOWN, data, unknown, describe=unknown_category)
    if not allow_missing:
        yield from found(NOT_LISTED, data, missing, describe=missing_class)


def check_boxes(splits: Sequence[CocoData], taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """Findings about boxes that do not count, and classes without any in one or in both files."""
    first, boxes = splits[0], [Counter()]
    for number, data in enumerate(splits):
        yield from _not_counted(data)
        if number and data.split == 'val':
            boxes.append(Counter())
        boxes[-1].update(count_boxes(data, taxonomy, data.is_counted))
    if not any(data.is_counted.any() for data in splits[: len(splits) - len(boxes) + 1]):
        return  # no class has any: the finding about the file says so
    total = sum(boxes, Counter())  # leaves out what has no box
    listed = count_boxes(first, taxonomy, first.category_of >= 0)

    def describe(data: CocoData, name: str) -> str:
        if total[name]:  # in the other file
            return f'{show(name)} ({total[name]:,} boxes)'
        useless = f' ({listed[name]:,} boxes, but none counts)' if listed[name] else ''
        return f'{show(name)}{useless}'

    lacking = [[name for name, count in counts.items() if not count] for counts in boxes]
    never = [name for name in dict.fromkeys(itertools.chain(*lacking)) if not total[name]]
    yield from found(NO_BOXES, first, never, split='', describe=describe)
    for check, names in zip((ONLY_VAL, ONLY_TRAIN), lacking, strict=False):
        once = [name for name in names if total[name]]
        yield from found(check, first, once, split='', describe=describe)
    learned = [(count, name) for name, count in boxes[0].items() if count]
    if learned and max(learned)[0] >= IMBALANCE * min(learned)[0]:
        ratio = ' and '.join(
            f'{count:,} boxes of {show(name)}' for count, name in (max(learned), min(learned))
        )
        yield Finding(UNBALANCED, first.split, 1, (ratio,))


def _not_counted(data: CocoData) -> Iterator[Finding]:
    """A finding if some boxes of a file do not count; graver if most or all do not."""
    total, left_out = len(data.annotations), np.count_nonzero(~data.is_counted)
    why = data.why_not_counted(min_size=data.min_size)
    if left_out == total > 0:
        yield Finding(NONE_COUNTS, data.split, 1, (f'{total:,} boxes: {why}',) if why else ())
    elif why:
        severity = WARNING if left_out > total / 2 else NOTE
        check = dataclasses.replace(SOME_LEFT_OUT, severity=severity)
        yield Finding(check, data.split, left_out, (why,))


def class_keys(data: CocoData, taxonomy: Taxonomy | str) -> list[str | int | None]:
    """What identifies the class of each category: its label, or its normalized name.

    A category with boxes may be a group: its label is above K (`Taxonomy.labels`).
    """
    keys: list[str | int | None] = []
    for category, boxes in zip(data.categories, data.boxes_per_category, strict=True):
        name = category.get('name')
        label = _find(taxonomy, name, boxes)[0] if isinstance(taxonomy, Taxonomy) else None
        keys.append(label if label is not None else normalize(name) if _is_name(name) else None)
    return keys


def _find(taxonomy: Taxonomy, name: object, boxes: int) -> tuple[int | None, str]:
    """The label of a category as training finds it, and why a name with boxes can have none."""
    try:
        return taxonomy.find(name, coarse=bool(boxes)), ''
    except TaxonomyError as error:
        return None, f'; {error}'


def count_boxes(data: CocoData, taxonomy: Taxonomy | str, chosen: np.ndarray) -> Counter[str]:
    """Chosen boxes by class, for the classes that a file lists, also without boxes.

    Categories that the taxonomy lacks are not classes; without a taxonomy, all are.
    """
    counts: Counter[str] = Counter()
    boxes = np.bincount(data.category_of[chosen], minlength=len(data.categories)).tolist()
    for row, key in enumerate(class_keys(data, taxonomy)):
        if isinstance(key, int) and key < taxonomy.num_classes:
            counts[taxonomy.classes[key]] += boxes[row]
        elif isinstance(key, str) and isinstance(taxonomy, str):
            counts[data.categories[row]['name']] += boxes[row]
    return counts
