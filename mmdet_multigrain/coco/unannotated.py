"""Classes that the annotation of an image leaves out, by the fields of LVIS.

An image with `neg_category_ids` was searched for these categories, which it does not show, and for
those of its boxes; of all others it may show objects without a box. Of the categories in
`not_exhaustive_category_ids`, some objects have a box and others do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from mmdet_multigrain.utils.errors import AnnotationError
from mmdet_multigrain.utils.messages import show

from .annotations import AnnotationFile

# The same in the metainfo of a sample: labels of classes that its image does not (all) annotate.
UNANNOTATED = 'unannotated'
_NEGATIVE, _PARTIAL = 'neg_category_ids', 'not_exhaustive_category_ids'


def unannotated_classes(file: AnnotationFile) -> dict[Hashable, frozenset[int]]:
    """Labels of the classes of which an image may show objects without a box, by image id.

    Images that are annotated in full are left out. A category that is a group stands for all its
    classes; a box of a group does not make its classes annotated.

    Raises:
        AnnotationError: A field is not a list of ids.
    """
    if not any(key in image for image in file.dataset['images'] for key in (_NEGATIVE, _PARTIAL)):
        return {}
    num_classes, sets = file.taxonomy.num_classes, file.taxonomy.labels.sets[:, :-1]
    classes_of = {
        id: frozenset(np.flatnonzero(sets[label]).tolist())
        for label, id in enumerate(file.category_ids)
    }
    positive = defaultdict(set)
    for item in file.dataset['annotations']:
        classes = classes_of.get(item['category_id'], ())
        positive[item['image_id']].update(classes if len(classes) == 1 else ())
    found = {}
    for number, image in enumerate(file.dataset['images']):
        where = f'{file.path}: images[{number}]'
        classes = _classes(image, _PARTIAL, classes_of, where)
        if image.get(_NEGATIVE) is not None:
            searched = positive[image['id']] | _classes(image, _NEGATIVE, classes_of, where)
            classes |= set(range(num_classes)) - searched
        if classes:
            found[image['id']] = frozenset(classes)
    return found


def _classes(
    image: Mapping, key: str, classes_of: Mapping[Hashable, Iterable[int]], where: str
) -> set[int]:
    ids = image.get(key) or []
    if not isinstance(ids, list) or not all(isinstance(id, (int, str)) for id in ids):
        raise AnnotationError(f'{where}: {key} {show(ids)} is not a list of category ids')
    return {label for id in ids for label in classes_of.get(id, ())}
