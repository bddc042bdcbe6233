"""Read a COCO annotation file strictly, and match its categories to a taxonomy by name.

Data set, metric and report all read their files here, so that a label means the same in each.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError
from mmdet_multigrain.utils.files import leaves_folder
from mmdet_multigrain.utils.messages import show, show_list

from .areas import judge_areas
from .columns import MIN_IMAGE_SIDE, CocoColumns, is_number
from .files import load_coco
from .hierarchy import namesakes_without_boxes


class AnnotationFile:
    """A COCO file whose categories are in the label order of a taxonomy.

    Categories are matched by name or alias, never by position. Missing `area` and `iscrowd` are
    filled in. Annotations are renumbered from 1 if an id is missing, or is one that COCOeval cannot
    match (0, text). `ignore` becomes true or false: also true for boxes that training leaves out
    (`CocoColumns.left_out`), so that evaluation does not count them as missed.

    Args:
        path: The COCO JSON file.
        taxonomy: Classes to match.
        allow_missing: Accept classes that are not in the file. They get a negative category id.
        allow_unknown: Accept annotated categories that are not in the taxonomy; their boxes have
            no label.
        coarse: Accept categories that are groups of the taxonomy; there are labels of all
            granularities then (`Taxonomy.labels`). A category that is a class and a group is the
            class.
        on_unknown: What the notes say is done with boxes of unknown categories.

    Attributes:
        dataset (dict): The content, with missing fields filled in.
        category_ids (list[int]): Category id of each label; negative where the file has none.
        notes (list[str]): What was filled in, renumbered or left out; one line each.

    Raises:
        AnnotationError: The file is missing, is not a COCO file, or is inconsistent.
        TaxonomyError: Categories and taxonomy do not match.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        taxonomy: Taxonomy,
        allow_missing: bool = False,
        allow_unknown: bool = False,
        coarse: bool = False,
        on_unknown: str = 'left out',
    ) -> None:
        self.path, self.taxonomy, file = str(path), taxonomy, load_coco(path)
        self.dataset = file.content
        self.notes = [f'{self.path}: {count} {what}' for what, count in file.recovered.items()]
        if self.dataset.get('annotations') is None:
            self.dataset['annotations'] = []
            self.notes.append(f"{self.path}: has no 'annotations'; a test set, only to predict on")
        options = dict(allow_missing=allow_missing, allow_unknown=allow_unknown, coarse=coarse)
        self.category_ids = self._match_categories(self._check(), on_unknown, **options)

    def _check(self) -> dict[int, str]:
        """Check all entries and fill in missing fields; returns the name of each category id."""
        image_ids = self._check_images()
        names = read_categories(self.dataset, self.path)
        filled = Counter()
        required = 'image_id', 'category_id', 'bbox'
        for where, item in _entries(self.dataset, self.path, 'annotations', *required):
            for key, ids in (('image_id', image_ids), ('category_id', names)):
                if not isinstance(item[key], (int, str)) or item[key] not in ids:
                    raise AnnotationError(f'{where}: no {key[:-3]} has id {show(item[key])}')
            box, area = item['bbox'], item.get('area')
            if not (isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))):
                raise AnnotationError(f'{where}: bbox {show(box)} is not [x, y, width, height]')
            size = box[2] * box[3]
            if not _is_finite(area) or area <= 0 < size:
                item['area'] = size
                filled['area'] += 1
            if item.get('iscrowd') is None:
                item['iscrowd'] = 0
                filled['iscrowd'] += 1
            elif item['iscrowd'] not in (0, 1):
                raise AnnotationError(f'{where}: iscrowd {show(item["iscrowd"])} is not 0 or 1')
        for key, count in filled.items():
            self.notes.append(f"{self.path}: filled in '{key}' of {count} annotations")
        self._mark_ignored()
        self._number_annotations()
        return names

    def _mark_ignored(self) -> None:
        columns = CocoColumns(self.dataset)
        self._correct_areas(columns)
        left_out = np.logical_or.reduce([*columns.left_out().values()])
        texts = 0
        for item, ignore in zip(self.dataset['annotations'], left_out.tolist(), strict=True):
            if ignore or 'ignore' in item:
                texts += isinstance(item.get('ignore'), str)
                item['ignore'] = ignore
        if texts:
            self.notes.append(f"{self.path}: read the text in 'ignore' of {texts} annotations")

    def _correct_areas(self, columns: CocoColumns) -> None:
        judged = judge_areas(columns)
        rows = np.flatnonzero(judged.are_wrong)
        for row in rows:
            self.dataset['annotations'][row]['area'] = float(judged.areas[row])
        if len(rows):
            self.notes.append(
                f"{self.path}: 'area' of {len(rows)} annotations is not that of their object; took "
                'that of the mask, or of the box'
            )

    def training_counts(self, *, min_size: float = MIN_IMAGE_SIDE) -> list[int]:
        """Boxes of each class that training uses; `min_size` is `filter_cfg.min_size` of its data."""
        columns = CocoColumns(self.dataset)
        rows = columns.category_of[columns.counted(min_size=min_size)]
        boxes = np.bincount(rows, minlength=len(columns.categories)).tolist()
        of_id = {category['id']: n for category, n in zip(columns.categories, boxes, strict=True)}
        return [of_id.get(id, 0) for id in self.category_ids[: self.taxonomy.num_classes]]

    def _check_images(self) -> set[int | str]:
        """Check all images; returns their ids."""
        ids: set[int | str] = set()
        required = 'id', 'file_name', 'height', 'width'
        for where, image in _entries(self.dataset, self.path, 'images', *required):
            ids.add(_new_id(image['id'], ids, where, (int, str)))
            name = image['file_name']
            if not isinstance(name, str):
                raise AnnotationError(f'{where}: file_name {show(name)} is not text')
            if leaves_folder(name):
                raise AnnotationError(
                    f'{where}: file_name {show(name)} leaves the image folder; name files below it (a '
                    'folder above all of them can be the image folder)'
                )
            for key in ('height', 'width'):
                value = image[key]
                if not (_is_finite(value) and value > 0):
                    raise AnnotationError(f'{where}: {key} {show(value)} is not a size in pixels')
        return ids

    def _number_annotations(self) -> None:
        ids = [item.get('id') for item in self.dataset['annotations']]
        if not all(isinstance(number, int) and number > 0 for number in ids):
            for number, item in enumerate(self.dataset['annotations'], start=1):
                item['id'] = number
            reason = 'some ids missing, 0 or not whole'
            self.notes.append(f'{self.path}: numbered annotations from 1 ({reason})')
        elif len(set(ids)) < len(ids):
            where = f'{self.path}: annotation id {Counter(ids).most_common(1)[0][0]}'
            raise AnnotationError(f'{where} is used twice; make ids unique')

    def _match_categories(
        self, names: Mapping[int, str], on_unknown: str, **options: bool
    ) -> list[int]:
        """Category id of each label."""
        boxes = Counter(item['category_id'] for item in self.dataset['annotations'])
        label_of = match_categories(names, boxes, self.taxonomy, self.path, **options)
        # Ids below those of the file: a class without a category matches no annotation.
        unused = min([0, *names]) - 1
        num_labels = len(self.taxonomy.labels) if options['coarse'] else self.taxonomy.num_classes
        ids = [unused - label for label in range(num_labels)]
        for id, label in label_of.items():
            if label is not None:
                ids[label] = id
        for name in left_out_categories(names, label_of, self.taxonomy):
            self.notes.append(
                f'{self.path}: left out category {name}: it has no boxes, and another category is '
                'the same class'
            )
        unknown = {names[id]: boxes[id] for id, label in label_of.items() if label is None}
        if unknown:
            self.notes.append(
                f'{self.path}: {on_unknown} {sum(unknown.values())} boxes of classes that taxonomy '
                f'{self.taxonomy.name!r} lacks: {show_list(unknown)}'
            )
        return ids


def read_categories(content: Mapping[str, Any], source: object) -> dict[int, str]:
    """Name of each category id of a loaded COCO file, in its order.

    Raises:
        AnnotationError: A category has no name or no unique id.
    """
    names: dict[int, str] = {}
    for where, category in _entries(content, source, 'categories', 'id', 'name'):
        id = _new_id(category['id'], names, where, int)
        if not isinstance(category['name'], str):
            raise AnnotationError(f'{where}: name {show(category["name"])} is not text')
        names[id] = category['name']
    return names


def match_categories(
    names: Mapping[int, str],
    boxes: Mapping[int, int],
    taxonomy: Taxonomy,
    source: object,
    *,
    allow_missing: bool = False,
    allow_unknown: bool = False,
    coarse: bool = False,
) -> dict[int, int | None]:
    """Label of each category id, from their names and numbers of boxes.

    Categories without boxes are left out if they are unknown, or another one is the same class. The
    label of an unknown one with boxes is None. For the options see `AnnotationFile`.

    Raises:
        TaxonomyError: Categories and taxonomy do not match.
    """
    annotated = {id for id in names if boxes[id]}
    labels = {id: taxonomy.find(names[id], coarse=coarse and id in annotated) for id in names}
    repeated = namesakes_without_boxes(labels, annotated)
    used = [id for id in names if id in annotated or labels[id] is not None and id not in repeated]
    options = dict(allow_missing=allow_missing, allow_unknown=allow_unknown, coarse=coarse)
    labels = taxonomy.match_categories([names[id] for id in used], source, **options)
    return dict(zip(used, labels, strict=True))


def left_out_categories(
    names: Mapping[int, str], label_of: Mapping[int, int | None], taxonomy: Taxonomy
) -> list[str]:
    """The categories without boxes that `match_categories` leaves out for another of their class."""
    return [
        f'{show(name)} (id {id})'
        for id, name in names.items()
        if id not in label_of and taxonomy.find(name) is not None
    ]


def _entries(
    content: Mapping[str, Any], source: object, key: str, *required: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and content of each entry of a list; entries have all the required keys."""
    entries = content.get(key)
    if not isinstance(entries, list):
        raise AnnotationError(f"{source}: no list '{key}'; is it a COCO file?")
    for position, entry in enumerate(entries):
        where = f'{source}: {key}[{position}]'
        for name in required:
            if not isinstance(entry, dict) or entry.get(name) is None:
                raise AnnotationError(f"{where} has no '{name}'; add it or remove the entry")
        yield where, entry


def _new_id(value: Any, seen: Any, where: str, kind: type | tuple[type, ...]) -> Any:
    """The id, if it is valid and not yet used."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise AnnotationError(f'{where}: id {show(value)} is not an integer')
    if value in seen:
        raise AnnotationError(f'{where}: id {show(value)} is used twice; make ids unique')
    return value


def _is_finite(value: object) -> bool:
    """Whether a value is a number that arrays can hold: not NaN, infinite or a huge integer."""
    return is_number(value) and abs(value) <= sys.maxsize
