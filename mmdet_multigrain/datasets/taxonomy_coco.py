"""Read a COCO annotation file and match its categories to a taxonomy by name.

Here belongs what makes a COCO file safe to index: checks, defaults for left-out fields, and the
order of categories. The data set and the metric both read their files through this class, so
that a label means the same in both.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from mmdet_multigrain.taxonomy import Taxonomy


class AnnotationError(ValueError):
    """An annotation file that cannot be used; the message names file, entry and mend."""


class TaxonomyCOCO(COCO):
    """A COCO file whose categories are in the label order of a taxonomy.

    Categories are matched by name and alias, never by position. `area` and `iscrowd` are filled
    in where they are left out, and annotations are numbered anew from 1 if ids are missing or 0,
    which COCOeval never matches; both are logged.

    Args:
        annotation_file (str | Path): The COCO JSON file.
        taxonomy (Taxonomy): Classes to match.
        allow_missing (bool): Accept that the file lacks classes of the taxonomy. They get a
            negative id that no annotation has. Defaults to False.
        allow_unknown (bool): Accept annotated categories that the taxonomy lacks; their boxes
            are left out and counted. Defaults to False.

    Attributes:
        category_ids (list[int]): Category id of each label.
        num_unknown (int): Boxes left out because the taxonomy lacks their category.

    Raises:
        AnnotationError: If the file is missing, is no COCO file, or is inconsistent.
        TaxonomyError: If categories and taxonomy do not match.
    """

    def __init__(
        self,
        annotation_file: str | Path,
        *,
        taxonomy: Taxonomy,
        allow_missing: bool = False,
        allow_unknown: bool = False,
    ) -> None:
        super().__init__()
        self.path = str(annotation_file)
        self.taxonomy = taxonomy
        self.dataset = _read_json(self.path)
        self._check_images()
        self._check_annotations()
        self.category_ids = self._match_categories(allow_missing, allow_unknown)
        known = set(self.category_ids)
        annotations = self.dataset['annotations']
        self.num_unknown = sum(item['category_id'] not in known for item in annotations)
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(
        self,
        cat_names: Sequence[str] = (),
        sup_names: Sequence[str] = (),
        cat_ids: Sequence[int] = (),
    ) -> list[int]:
        """Category ids in label order; with `cat_names`, in the order of these names.

        Stock CocoDataset and CocoMetric take the n-th id for label n but get them in the order
        of the file; this is the seam where the order becomes the taxonomy's.
        """
        if cat_names:
            return [self.category_ids[self.taxonomy.label_of(name)] for name in cat_names]
        return super().get_cat_ids(cat_names, sup_names, cat_ids)

    def _check_images(self) -> None:
        for key in ('images', 'annotations', 'categories'):
            if not isinstance(self.dataset.get(key), list):
                raise AnnotationError(f"{self.path}: no list '{key}'; is it a COCO file?")
        seen = set()
        for position, image in enumerate(self.dataset['images']):
            where = f'{self.path}: images[{position}]'
            for key in ('id', 'file_name', 'height', 'width'):
                if not isinstance(image, dict) or key not in image:
                    raise AnnotationError(f"{where} has no '{key}'; add it")
            if image['id'] in seen:
                raise AnnotationError(f'{where}: id {image["id"]} stands twice; make ids unique')
            seen.add(image['id'])

    def _check_annotations(self) -> None:
        annotations = self.dataset['annotations']
        image_ids = {image['id'] for image in self.dataset['images']}
        category_ids = {item.get('id') for item in self.dataset['categories']}
        filled = Counter()
        for position, item in enumerate(annotations):
            where = f'{self.path}: annotations[{position}]'
            for key in ('image_id', 'category_id', 'bbox'):
                if not isinstance(item, dict) or key not in item:
                    raise AnnotationError(f"{where} has no '{key}'; add it or remove the entry")
            if item['image_id'] not in image_ids:
                raise AnnotationError(f'{where}: no image has id {item["image_id"]}')
            if item['category_id'] not in category_ids:
                raise AnnotationError(f'{where}: no category has id {item["category_id"]}')
            box = item['bbox']
            if not (isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))):
                raise AnnotationError(f'{where}: bbox {box} is not [x, y, width, height]')
            if not _is_finite(item.get('area')):
                item['area'] = box[2] * box[3]
                filled['area'] += 1
            if item.get('iscrowd') is None:
                item['iscrowd'] = 0
                filled['iscrowd'] += 1
        for key, count in filled.items():
            print_log(f"{self.path}: filled in '{key}' of {count} annotations", 'current')
        counts = Counter(item.get('id') for item in annotations)
        if counts[None] or counts[0]:
            for number, item in enumerate(annotations, start=1):
                item['id'] = number
            print_log(f'{self.path}: numbered annotations from 1 (ids missing or 0)', 'current')
        elif len(counts) < len(annotations):
            twice = counts.most_common(1)[0][0]
            raise AnnotationError(
                f'{self.path}: annotation id {twice} stands twice; make ids unique'
            )

    def _match_categories(self, allow_missing: bool, allow_unknown: bool) -> list[int]:
        """Category id of each label; unannotated categories that are unknown do not matter."""
        annotated = {item['category_id'] for item in self.dataset['annotations']}
        categories = []
        for position, category in enumerate(self.dataset['categories']):
            if 'id' not in category or not isinstance(category.get('name'), str):
                raise AnnotationError(f"{self.path}: categories[{position}] lacks 'id' or 'name'")
            if category['id'] in annotated or self.taxonomy.find(category['name']) is not None:
                categories.append(category)
        labels = self.taxonomy.match_categories(
            [category['name'] for category in categories],
            source=self.path,
            allow_missing=allow_missing,
            allow_unknown=allow_unknown,
        )
        # No file uses negative ids: a class without category matches no annotation.
        ids = [-1 - label for label in range(self.taxonomy.num_classes)]
        for category, label in zip(categories, labels, strict=True):
            if label is not None:
                ids[label] = category['id']
        return ids


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _read_json(path: str) -> dict:
    try:
        content = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise AnnotationError(f'{path}: no such annotation file; check the path') from None
    except OSError as error:
        raise AnnotationError(f'{path}: cannot be read ({error.strerror})') from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f'{path}: not valid JSON ({error}); write it again') from None
    if not isinstance(content, dict):
        raise AnnotationError(f'{path}: not a COCO file, its top level is no object')
    return content
