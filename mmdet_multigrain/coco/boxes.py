"""A COCO file as columns of boxes: what statistics need of it, and what had to be left out.

Tolerant where one entry is broken (it is counted and left out), strict where the file as a whole
does not fit. Which boxes are left out follows what training does with them, so that the numbers
are those of the boxes that a detector sees.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.files import load_json
from mmdet_multigrain.utils.messages import show
from mmdet_multigrain.utils.problems import Problems

MAX_NUMBER = 1e9  # beyond it (infinity, NaN) a number is no coordinate and no size


@dataclass(frozen=True, eq=False)
class BoxColumns:
    """All usable boxes of a COCO file.

    Attributes:
        taxonomy: What the labels mean.
        listed: (K,) bool; whether the class is among the file's categories.
        labels: (N,) class of each box.
        images: (N,) position of its image, 0 to I - 1.
        areas: (N,) in square pixels: the annotation's area, else that of its box.
        crowd: (N,) bool; a box around several objects.
        image_areas: (I,) in square pixels; NaN where the file does not tell the size.
        problems: What was left out, by kind.
    """

    taxonomy: Taxonomy
    listed: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    image_areas: np.ndarray
    problems: Problems


def read_coco(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a COCO file whose three lists are there.

    Raises:
        ReportError: There is no such file, it is not JSON, or no COCO file with annotations.
    """
    try:
        # NaN is read, so that one broken box does not hide the others.
        content = load_json(path, allow_nan=True)
    except FileNotFoundError:
        raise ReportError(f'{path}: no such annotation file; check the path') from None
    except OSError as error:
        raise ReportError(f'{path}: cannot be read ({error.strerror})') from None
    except ValueError as error:
        raise ReportError(f'{path}: not valid JSON ({error}); write it again') from None
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ReportError(f"{path}: no list '{key}'; name a COCO file with boxes")
    if not content['annotations']:
        raise ReportError(f'{path}: it has no annotations; name a COCO file with boxes')
    return content


def box_columns(coco: Mapping[str, Any], taxonomy: Taxonomy, source: object) -> BoxColumns:
    """The usable boxes of a loaded COCO file; classes are matched by name or alias.

    As in training, a category that the taxonomy lacks is an error if it has annotations and does
    not matter otherwise. A class that the file lacks has no boxes.

    Args:
        coco: What `read_coco` returns.
        taxonomy: The classes.
        source: The file, for messages.

    Raises:
        TaxonomyError: The file has boxes of a class that the taxonomy lacks.
        ReportError: Its categories cannot be used, or no box is left.
    """
    problems = Problems()
    labels_of = _match_categories(coco, taxonomy, source)
    position_of, sizes = _read_images(coco['images'], problems)
    numbers, places = [], []
    for place, item in enumerate(coco['annotations']):
        try:
            label, image = labels_of[item['category_id']], position_of[item['image_id']]
            x, y, width, height = item['bbox']
        except (KeyError, TypeError, ValueError):
            problems.add(*_why_unusable(item, place, labels_of, position_of))
            continue
        if not (_is_number(x) and _is_number(y) and _is_number(width) and _is_number(height)):
            problems.add(*_why_unusable(item, place, labels_of, position_of))
        elif item.get('ignore'):
            problems.add('annotation marked "ignore"', f'annotations[{place}]')
        else:
            area = item.get('area')
            if not (_is_number(area) and area > 0):
                area = width * height
            numbers.append((label, image, bool(item.get('iscrowd')), area, x, y, width, height))
            places.append(place)
    columns = np.array(numbers, dtype=float).reshape(-1, 8)
    kept = _usable(columns, sizes, places, problems)
    labels, images, crowd, areas = columns[kept, :4].T
    if crowd.all():
        raise ReportError(
            f'{source}: none of its {len(coco["annotations"]):,} annotations is a '
            f'usable box that is no crowd{problems.first()}'
        )
    listed = np.zeros(taxonomy.num_classes, dtype=bool)
    listed[list(labels_of.values())] = True
    return BoxColumns(
        taxonomy,
        listed,
        labels.astype(int),
        images.astype(int),
        areas,
        crowd.astype(bool),
        sizes[:, 0] * sizes[:, 1],
        problems,
    )


def _match_categories(
    coco: Mapping[str, Any],
    taxonomy: Taxonomy,
    source: object,
) -> dict[Any, int]:
    """Label of each category id."""
    names: dict[int, str] = {}
    for place, category in enumerate(coco['categories']):
        id, name = (
            category.get(key) if isinstance(category, dict) else None for key in ('id', 'name')
        )
        if type(id) is not int or not isinstance(name, str):
            raise ReportError(
                f'{source}: categories[{place}] is {show(category)}; '
                'give it a whole number as id, and a name'
            )
        if id in names:
            raise ReportError(f'{source}: category id {id} stands twice; number them apart')
        names[id] = name
    annotated = Counter(
        item['category_id']
        for item in coco['annotations']
        if isinstance(item, dict) and isinstance(item.get('category_id'), int)
    )
    used = [id for id, name in names.items() if annotated[id] or taxonomy.find(name) is not None]
    labels = taxonomy.match_categories([names[id] for id in used], source, allow_missing=True)
    return dict(zip(used, labels, strict=True))


def _read_images(images: list[Any], problems: Problems) -> tuple[dict[Any, int], np.ndarray]:
    """Position of each image id, and (I, 2) width and height, NaN where unknown."""
    position_of: dict[Any, int] = {}
    sizes = []
    for place, image in enumerate(images):
        id = image.get('id') if isinstance(image, dict) else None
        if not isinstance(id, (int, str)):
            problems.add('image without id', f'images[{place}]')
            continue
        if id in position_of:
            problems.add('image whose id stands before', f'images[{place}] has id {show(id)}')
            continue
        position_of[id] = len(sizes)
        size = image.get('width'), image.get('height')
        sizes.append(
            size if all(_is_number(side) and side > 0 for side in size) else (np.nan, np.nan)
        )
    return position_of, np.array(sizes, dtype=float).reshape(-1, 2)


def _usable(
    columns: np.ndarray, sizes: np.ndarray, places: list[int], problems: Problems
) -> np.ndarray:
    """Which boxes training uses: at least a pixel wide and high, and partly in their image."""
    x, y, width, height = columns[:, 4:].T
    image_width, image_height = sizes[columns[:, 1].astype(int)].T
    tiny = (width < 1) | (height < 1)
    # Comparisons with NaN, an unknown size, are false.
    outside = ~tiny & (
        (np.minimum(x + width, image_width) <= np.maximum(x, 0))
        | (np.minimum(y + height, image_height) <= np.maximum(y, 0))
    )
    for kind, found in (
        ('box narrower or lower than a pixel', tiny),
        ('box outside its image', outside),
    ):
        if found.any():
            first = int(found.argmax())
            problems.add(
                kind,
                f'annotations[{places[first]}] {columns[first, 4:].tolist()}',
                int(found.sum()),
            )
    return ~(tiny | outside)


def _why_unusable(
    item: Any, place: int, labels_of: Mapping[Any, int], position_of: Mapping[Any, int]
) -> tuple[str, str]:
    """The kind of problem of an annotation without class, image or box, and where it stands."""
    where = f'annotations[{place}]'
    if not isinstance(item, dict):
        return 'annotation that is no JSON object', where
    for key, known in (('category_id', labels_of), ('image_id', position_of)):
        value = item.get(key)
        if not isinstance(value, (int, str)) or value not in known:
            return f'annotation with unknown {key}', f'{where} has {show(value)}'
    return 'bbox that is not [x, y, width, height]', f'{where} has {show(item.get("bbox"))}'


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -MAX_NUMBER <= value <= MAX_NUMBER
