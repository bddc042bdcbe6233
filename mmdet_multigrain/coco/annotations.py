"""Read a COCO annotation file and match its categories to a taxonomy by name.

Here belongs what makes a COCO file safe to index: checks, defaults for left-out fields, and the
order of categories. Data set, metric and report all read their files here, so that a label means
the same in each. Needs neither torch nor mmdet.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError
from mmdet_multigrain.utils.files import load_json
from mmdet_multigrain.utils.messages import show, show_list
from mmdet_multigrain.utils.paths import leaves_folder


class AnnotationFile:
    """A COCO file whose categories are in the label order of a taxonomy.

    Categories are matched by name and alias, never by position. `area` and `iscrowd` are filled
    in where they are left out, and annotations are numbered anew from 1 if some have no id or
    one that COCOeval cannot match (0, text).

    Args:
        path: The COCO JSON file.
        taxonomy: Classes to match.
        allow_missing: Accept that the file lacks classes of the taxonomy. They get a negative id
            that no annotation has.
        allow_unknown: Accept annotated categories that the taxonomy lacks; their boxes have no
            label.

    Attributes:
        dataset (dict): The content, completed.
        category_ids (list[int]): Category id of each label.
        notes (list[str]): What was filled in, numbered anew or left out; each one line.

    Raises:
        AnnotationError: If the file is missing, is no COCO file, or is inconsistent.
        TaxonomyError: If categories and taxonomy do not match.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        taxonomy: Taxonomy,
        allow_missing: bool = False,
        allow_unknown: bool = False,
    ) -> None:
        self.path = str(path)
        self.taxonomy = taxonomy
        self.notes: list[str] = []
        self.dataset = _read_json(self.path)
        self._check()
        self.category_ids = self._match_categories(allow_missing, allow_unknown)

    def _entries(self, key: str, *required: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Place and content of each entry of a list; entries have all the required keys."""
        entries = self.dataset.get(key)
        if not isinstance(entries, list):
            raise AnnotationError(f"{self.path}: no list '{key}'; is it a COCO file?")
        for position, entry in enumerate(entries):
            where = f'{self.path}: {key}[{position}]'
            for name in required:
                if not isinstance(entry, dict) or entry.get(name) is None:
                    raise AnnotationError(f"{where} has no '{name}'; add it or remove the entry")
            yield where, entry

    def _check(self) -> None:
        """Check all entries, fill in what may be left out."""
        image_ids, category_ids = set(), set()
        for where, image in self._entries('images', 'id', 'file_name', 'height', 'width'):
            _add_id(image['id'], image_ids, where, (int, str))
            if not isinstance(image['file_name'], str):
                raise AnnotationError(f'{where}: file_name {show(image["file_name"])} is not text')
            if leaves_folder(image['file_name']):
                raise AnnotationError(
                    f'{where}: file_name {show(image["file_name"])} leaves the image folder; name '
                    'files below it (a folder above all of them can be the image folder)'
                )
            for key in ('height', 'width'):
                if not (_is_number(image[key]) and image[key] > 0):
                    raise AnnotationError(f'{where}: {key} {show(image[key])} is no size in pixels')
        for where, category in self._entries('categories', 'id', 'name'):
            _add_id(category['id'], category_ids, where, int)
            if not isinstance(category['name'], str):
                raise AnnotationError(f'{where}: name {show(category["name"])} is not text')
        filled = Counter()
        for where, item in self._entries('annotations', 'image_id', 'category_id', 'bbox'):
            for key, ids in (('image_id', image_ids), ('category_id', category_ids)):
                if not isinstance(item[key], (int, str)) or item[key] not in ids:
                    raise AnnotationError(f'{where}: no {key[:-3]} has id {show(item[key])}')
            box, area = item['bbox'], item.get('area')
            if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
                raise AnnotationError(f'{where}: bbox {show(box)} is not [x, y, width, height]')
            size = box[2] * box[3]
            if not _is_number(area) or area <= 0 < size:
                item['area'] = size
                filled['area'] += 1
            if item.get('iscrowd') is None:
                item['iscrowd'] = 0
                filled['iscrowd'] += 1
            elif item['iscrowd'] not in (0, 1):
                raise AnnotationError(f'{where}: iscrowd {show(item["iscrowd"])} is not 0 or 1')
        for key, count in filled.items():
            self.notes.append(f"{self.path}: filled in '{key}' of {count} annotations")
        self._number_annotations()

    def _number_annotations(self) -> None:
        annotations = self.dataset['annotations']
        ids = [item.get('id') for item in annotations]
        if not all(isinstance(number, int) and number > 0 for number in ids):
            for number, item in enumerate(annotations, start=1):
                item['id'] = number
            self.notes.append(
                f'{self.path}: numbered annotations from 1 (some ids missing, 0 or not whole)'
            )
        elif len(set(ids)) < len(ids):
            twice = Counter(ids).most_common(1)[0][0]
            raise AnnotationError(
                f'{self.path}: annotation id {twice} stands twice; make ids unique'
            )

    def _match_categories(self, allow_missing: bool, allow_unknown: bool) -> list[int]:
        """Category id of each label; unannotated categories that are unknown do not matter."""
        boxes = Counter(item['category_id'] for item in self.dataset['annotations'])
        categories = [
            category
            for category in self.dataset['categories']
            if boxes[category['id']] or self.taxonomy.find(category['name']) is not None
        ]
        labels = self.taxonomy.match_categories(
            [category['name'] for category in categories],
            source=self.path,
            allow_missing=allow_missing,
            allow_unknown=allow_unknown,
        )
        # Ids below those of the file: a class without category matches no annotation.
        unused = min([0, *(category['id'] for category in self.dataset['categories'])]) - 1
        ids = [unused - label for label in range(self.taxonomy.num_classes)]
        unknown = {}
        for category, label in zip(categories, labels, strict=True):
            if label is None:
                unknown[category['name']] = boxes[category['id']]
            else:
                ids[label] = category['id']
        if unknown:
            self.notes.append(
                f'{self.path}: left out {sum(unknown.values())} boxes of classes that taxonomy '
                f'{self.taxonomy.name!r} lacks: {show_list(unknown)}'
            )
        return ids


def _add_id(value: object, seen: set, where: str, kind: type | tuple[type, ...]) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise AnnotationError(f'{where}: id {show(value)} is no whole number')
    if value in seen:
        raise AnnotationError(f'{where}: id {show(value)} stands twice; make ids unique')
    seen.add(value)


def _is_number(value: object) -> bool:
    """Whether a value is a number that arrays can hold: no NaN, no infinity, no huge integer."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= sys.maxsize
    )


def _read_json(path: str) -> dict[str, Any]:
    try:
        # NaN is read, so that the message can name the entry that holds it.
        content = load_json(path, allow_nan=True)
    except FileNotFoundError:
        raise AnnotationError(f'{path}: no such annotation file; check the path') from None
    except OSError as error:
        raise AnnotationError(f'{path}: cannot be read ({error.strerror})') from None
    except ValueError as error:
        raise AnnotationError(f'{path}: not valid JSON ({error}); write it again') from None
    if not isinstance(content, dict):
        raise AnnotationError(f'{path}: not a COCO file, its top level is no object')
    return content
