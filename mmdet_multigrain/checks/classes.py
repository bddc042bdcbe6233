"""Checks of classes: categories against the taxonomy, boxes per class, and both splits."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdet_multigrain.coco import hierarchy as coco
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import did_you_mean, show

from .data import CocoData
from .finding import ERROR, NOTE, WARNING, Finding, Kind, found

IMBALANCE = 100  # boxes of the most frequent class for one of the rarest

NAME_WRONG = Kind('category-name-missing', ERROR, 'categories without a name', 'name them')
ONE_CLASS = Kind(
    'categories-one-class',
    ERROR,
    'categories that are one class: of one name or alias',
    'merge them in the file, or correct the aliases',
)
NO_TAXONOMY = Kind(
    'taxonomy-unusable',
    ERROR,
    'supercategories that make no taxonomy',
    'edit them, or give a taxonomy with --taxonomy',
)
UNKNOWN = Kind(
    'class-unknown',
    ERROR,
    'categories with boxes that the taxonomy lacks',
    'add a class or an alias to the taxonomy, or take another one',
)
NOT_LISTED = Kind(
    'class-not-listed',
    ERROR,
    'classes of the taxonomy that the file does not list',
    'add the categories, or take a taxonomy without these classes',
)
NO_BOXES = Kind(
    'class-without-boxes',
    WARNING,
    'classes without boxes',
    'add boxes, or leave the class out; it is never learned and has no AP',
)
ONLY_TRAIN = Kind(
    'class-only-in-train',
    WARNING,
    'classes with boxes only in the first file',
    'add boxes to the second: without them a class has no AP',
)
ONLY_VAL = Kind(
    'class-only-in-val',
    WARNING,
    'classes with boxes only in the second file',
    'add boxes to the first: without them a class is never learned',
)
ALONE = Kind(
    'single-class-group',
    NOTE,
    'superclasses of one class',
    'nothing, if meant so; such a group shares nothing with other classes',
)
UNBALANCED = Kind(
    'class-imbalance',
    NOTE,
    'extreme ratio between the classes',
    'consider class-balanced sampling for the rare classes',
)


def load_taxonomy(data: CocoData) -> Taxonomy | str:
    """The taxonomy of the supercategories, or why they make none."""
    try:
        return Taxonomy(
            f'supercategories of {data.path.name}',
            **coco.parse({'categories': data.categories, 'annotations': data.annotations}),
        )
    except TaxonomyError as error:
        return str(error)


def check_taxonomy(data: CocoData, taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """Findings about the taxonomy itself."""
    if isinstance(taxonomy, str):
        if data.categories:  # without any, the missing list is the finding
            yield Finding(NO_TAXONOMY, '', 1, (taxonomy,))
        return
    sizes = Counter(taxonomy.group_index(0))
    alone = [show(name) for group, name in enumerate(taxonomy.group_names(0)) if sizes[group] == 1]
    if alone and not taxonomy.is_ungrouped:
        yield Finding(ALONE, '', len(alone), tuple(alone[: data.max_examples]))


def check(data: CocoData, taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """Findings about the classes of one file."""
    names = [category.get('name') for category in data.categories]
    yield from found(
        NAME_WRONG,
        data,
        [row for row, name in enumerate(names) if not isinstance(name, str) or not name.strip()],
        CocoData.name_category,
    )
    keys = class_keys(data, taxonomy)
    first: dict[str | int, int] = {}
    second = [
        row
        for row, key in enumerate(keys)
        if key is not None
        and first.setdefault(key, row) != row
        and not _is_repeated(data.categories[row], data.categories[first[key]])
    ]
    yield from found(
        ONE_CLASS,
        data,
        second,
        lambda data, row: f'{data.name_category(row)} and {data.name_category(first[keys[row]])}',
    )
    if isinstance(taxonomy, Taxonomy):
        yield from _check_names(data, taxonomy, names)


def _is_repeated(category: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    """Whether an entry only stands twice; a finding about ids."""
    return all(category.get(key) == earlier.get(key) for key in ('id', 'name'))


def check_boxes(splits: Sequence[CocoData], taxonomy: Taxonomy | str) -> Iterator[Finding]:
    """Findings about classes that have no boxes in one or in both files."""
    boxes = [count_boxes(data, taxonomy) for data in splits]
    total = sum(boxes, Counter())  # leaves out what has no box
    lacking = [[name for name, count in counts.items() if not count] for counts in boxes]
    found_names = {
        NO_BOXES: [name for name in dict.fromkeys(itertools.chain(*lacking)) if not total[name]]
    }
    if len(splits) == 2:
        for kind, of_file in zip((ONLY_VAL, ONLY_TRAIN), lacking, strict=True):
            found_names[kind] = [name for name in of_file if total[name]]
    for kind, of_kind in found_names.items():
        if of_kind:
            yield Finding(
                kind,
                '',
                len(of_kind),
                tuple(
                    show(name) + (f' ({total[name]:,} boxes)' if total[name] else '')
                    for name in of_kind[: splits[0].max_examples]
                ),
            )
    learned = [(count, name) for name, count in boxes[0].items() if count]
    if learned and max(learned)[0] >= IMBALANCE * min(learned)[0]:
        yield Finding(
            UNBALANCED,
            splits[0].split,
            1,
            (
                ' and '.join(
                    f'{count:,} boxes of {show(name)}'
                    for count, name in (max(learned), min(learned))
                ),
            ),
        )


def class_keys(data: CocoData, taxonomy: Taxonomy | str) -> list[str | int | None]:
    """What identifies the class of each category: its label, or its normalized name."""
    names = [category.get('name') for category in data.categories]
    find = taxonomy.find if isinstance(taxonomy, Taxonomy) else lambda name: None
    return [
        None
        if not isinstance(name, str) or not name.strip()
        else normalize(name)
        if (label := find(name)) is None
        else label
        for name in names
    ]


def count_boxes(data: CocoData, taxonomy: Taxonomy | str) -> Counter[str]:
    """Boxes by class, for the classes that a file lists, also without boxes.

    Categories that the taxonomy lacks are no classes; without a taxonomy, all are.
    """
    counts: Counter[str] = Counter()
    for category, key, boxes in zip(
        data.categories, class_keys(data, taxonomy), data.boxes_per_category.tolist(), strict=True
    ):
        if isinstance(key, int):
            counts[taxonomy.classes[key]] += boxes
        elif key is not None and isinstance(taxonomy, str):
            counts[category['name']] += boxes
    return counts


def _check_names(data: CocoData, taxonomy: Taxonomy, names: list[object]) -> Iterator[Finding]:
    labels = [taxonomy.find(name) for name in names]
    missing = [name for label, name in enumerate(taxonomy.classes) if label not in labels]
    unknown = [
        row
        for row, (label, boxes) in enumerate(zip(labels, data.boxes_per_category, strict=True))
        if label is None and boxes and isinstance(names[row], str)
    ]
    known = [alias for name in missing for alias in (name, *taxonomy.aliases.get(name, ()))]
    yield from found(
        UNKNOWN,
        data,
        unknown,
        lambda data, row: (
            f'{data.name_category(row)}, {data.boxes_per_category[row]:,} boxes'
            + did_you_mean(names[row], known)
        ),
    )
    # A class that the file has is no likely meaning of another.
    yield from found(
        NOT_LISTED,
        data,
        range(len(missing)),
        lambda _, n: show(missing[n]) + did_you_mean(missing[n], [names[row] for row in unknown]),
    )
