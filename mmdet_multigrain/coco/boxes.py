"""The boxes of a COCO file that training uses, as columns for statistics.

A broken entry is counted and left out; a file that does not match the taxonomy raises.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError
from mmdet_multigrain.utils.messages import show
from mmdet_multigrain.utils.problems import Problems

from .annotations import left_out_categories, match_categories, read_categories
from .areas import judge_areas
from .columns import CocoColumns, first_rows, id_key
from .files import LISTS, load_coco


@dataclass(frozen=True, eq=False)
class BoxColumns:
    """All usable boxes of a COCO file."""

    taxonomy: Taxonomy
    # (labels,) bool; whether a category of the file has the label. Labels above K are those of
    # groups (`Taxonomy.labels`), listed if they have boxes.
    listed: np.ndarray
    labels: np.ndarray  # (N,) a class, or above K if only the superclass is known
    images: np.ndarray  # (N,) index of its image, 0 to I - 1
    areas: np.ndarray  # (N,) in square pixels: the annotation's, else that of its mask or box
    crowd: np.ndarray  # (N,) bool; a box around several objects
    image_areas: np.ndarray  # (I,) in square pixels; NaN where the file does not state the size
    problems: Problems  # what was left out


def read_coco(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a COCO file that has annotations.

    Raises:
        AnnotationError: The file cannot be read, or it is not a COCO file with annotations.
    """
    content = load_coco(path).content
    for key in LISTS:
        if not isinstance(content.get(key), list):
            raise AnnotationError(f"{path}: no list '{key}'; name a COCO file with boxes")
    if not content['annotations']:
        raise AnnotationError(f'{path}: it has no annotations; name a COCO file with boxes')
    return content


def box_columns(
    coco: Mapping[str, Any], taxonomy: Taxonomy, source: object, *, min_size: float = 0
) -> BoxColumns:
    """The usable boxes of a loaded COCO file; classes are matched by name or alias.

    As in training, a category that the taxonomy lacks is an error only if it has annotations, and
    one with the name of a group has boxes of which only the superclass is known. A class that the
    file lacks has no boxes. Boxes in images below `min_size` are left out: `MIN_IMAGE_SIDE` for
    training data.

    Raises:
        TaxonomyError: The file has boxes of a class that the taxonomy lacks.
        AnnotationError: Its categories cannot be used, or no box is left.
    """
    columns, problems = CocoColumns(coco), Problems()
    names = read_categories(coco, source)
    boxes = dict(zip(names, columns.boxes_per_category.tolist(), strict=True))
    label_of = match_categories(names, boxes, taxonomy, source, allow_missing=True, coarse=True)
    labels = np.array([*(label_of.get(id, -1) for id in names), -1])[columns.category_of]
    for name in left_out_categories(names, label_of, taxonomy):
        problems.add('category without boxes, of the class of another category', name)
    image_rows = _image_rows(columns, problems)
    kept = _usable(columns, labels, problems, min_size)
    crowd, areas = columns.crowd[kept], judge_areas(columns)
    for row in np.flatnonzero(areas.are_wrong & kept):
        kind = 'area of something else than the object (that of its mask or box is used)'
        problems.add(kind, f'annotation {show(columns.annotations[row].get("id"))}')
    if crowd.all():
        raise AnnotationError(f'{source}: {nothing_counts(columns, min_size=min_size)}')
    listed = np.zeros(len(taxonomy.labels), dtype=bool)
    listed[list(label_of.values())] = True
    return BoxColumns(
        taxonomy=taxonomy,
        listed=listed,
        labels=labels[kept],
        images=np.searchsorted(image_rows, columns.image_of[kept]),
        areas=areas.areas[kept],
        crowd=crowd,
        image_areas=columns.stated[image_rows].prod(1),
        problems=problems,
    )


def nothing_counts(columns: CocoColumns, *, min_size: float = 0) -> str:
    """Why no box of a file is trained on, and what to do, for a message."""
    boxes = len(columns.annotations)
    why = columns.why_not_counted(min_size=min_size) or 'unknown image_id or category_id'
    return (
        f'none of its {boxes:,} boxes can be trained on ({why}); correct them '
        '(tools/check_dataset.py names them)'
    )


def _image_rows(columns: CocoColumns, problems: Problems) -> np.ndarray:
    """(I,) rows of the images with an id; of several with the same id, the first."""
    places = _places(columns.content, 'images', 'image without id', problems)
    rows = []
    for row, first in enumerate(first_rows(columns.images).tolist()):
        id = columns.images[row].get('id')
        if id_key(id) is None:
            problems.add('image without id', f'images[{places[row]}]')
        elif first != row:
            where = f'images[{places[row]}] has id {show(id)}'
            problems.add('image whose id was used before', where)
        else:
            rows.append(row)
    return np.array(rows, dtype=np.int64)


def _usable(
    columns: CocoColumns, labels: np.ndarray, problems: Problems, min_size: float
) -> np.ndarray:
    """(N,) whether an annotation has a class, an image, and a box that training uses."""
    kind = 'annotation that is not a JSON object'
    places = _places(columns.content, 'annotations', kind, problems)
    kept = np.ones(len(labels), dtype=bool)
    for kind, key, mask in (
        ('annotation with unknown category_id', 'category_id', labels < 0),
        ('annotation with unknown image_id', 'image_id', columns.image_of < 0),
        *((reason, 'bbox', mask) for reason, mask in columns.left_out(min_size=min_size).items()),
    ):
        for row in np.flatnonzero(mask & kept):
            value = show(columns.annotations[row].get(key))
            problems.add(kind, f'annotations[{places[row]}] has {value}')
        kept &= ~mask
    return kept


def _places(coco: Mapping[str, Any], key: str, kind: str, problems: Problems) -> list[int]:
    """Positions of the objects in a list; its other entries are problems."""
    for place, entry in enumerate(coco[key]):
        if not isinstance(entry, dict):
            problems.add(kind, f'{key}[{place}]')
    return [place for place, entry in enumerate(coco[key]) if isinstance(entry, dict)]
