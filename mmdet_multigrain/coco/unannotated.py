"""Classes that annotations leave out: those of an image, by the fields of LVIS, or of a whole file.

An image with `neg_category_ids` was searched for these categories, which it does not show, and for
those of its boxes; of all others it may show objects without a box. Of the categories in
`not_exhaustive_category_ids`, some objects have a box and others do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError, TaxonomyError
from mmdet_multigrain.utils.messages import did_you_mean, show, show_list

from .annotations import AnnotationFile

# The same in the metainfo of a sample: labels of classes that its image does not (all) annotate.
UNANNOTATED = 'unannotated'
# The value of a data set's `annotated` that follows these fields.
PER_IMAGE = 'per_image'
NEGATIVE, PARTIAL = 'neg_category_ids', 'not_exhaustive_category_ids'


def tells_annotated(file: AnnotationFile) -> bool:
    """Whether images of a file tell which classes they annotate."""
    images = file.dataset['images']
    return any(image.get(NEGATIVE) is not None or image.get(PARTIAL) for image in images)


def unannotated_classes(file: AnnotationFile) -> dict[Hashable, tuple[int, ...]]:
    """Labels of the classes of which an image may show objects without a box, by image id.

    Images that are annotated in full are left out. A category that is a group stands for all its
    classes; a box of a group does not make its classes annotated.

    Raises:
        AnnotationError: A field is not a list of ids.
    """
    if not tells_annotated(file):
        return {}
    # One object for each label: with 1,203 classes and 100,000 images, copies take gigabytes.
    labels, sets = [*range(file.taxonomy.num_classes)], file.taxonomy.labels.sets[:, :-1]
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
        left_out = _classes(image, PARTIAL, classes_of, where)
        if image.get(NEGATIVE) is not None:
            searched = positive[image['id']] | _classes(image, NEGATIVE, classes_of, where)
            left_out.update(label for label in labels if label not in searched)
        if left_out:
            found[image['id']] = tuple(label for label in labels if label in left_out)
    return found


def _classes(
    image: Mapping, key: str, classes_of: Mapping[Hashable, Iterable[int]], where: str
) -> set[int]:
    ids = image.get(key) or []
    if not isinstance(ids, list) or not all(isinstance(id, (int, str)) for id in ids):
        raise AnnotationError(f'{where}: {key} {show(ids)} is not a list of category ids')
    return {label for id in ids for label in classes_of.get(id, ())}


def all_but(
    annotated: Sequence[str], file: AnnotationFile, *, allow_missing: bool = False
) -> frozenset[int]:
    """Labels of the classes that a file does not annotate, on none of its images.

    It does annotate the named classes, or groups for all their classes; with `allow_missing` some
    may have no category.

    Raises:
        ConfigError: `annotated` is not a list of names.
        TaxonomyError: A name is unknown, or there is no category for it.
    """
    taxonomy = file.taxonomy
    if isinstance(annotated, str) or not annotated:
        raise ConfigError(
            f'{file.path}: annotated is {show(annotated)}, not a list of classes or groups, or '
            f'{PER_IMAGE!r}'
        )
    named: set[int] = set()
    for name in annotated:
        classes = _classes_of(name, taxonomy)
        if not classes:
            known = taxonomy.labels.names
            raise TaxonomyError(
                f'{file.path}: annotated names {show(name)}, which taxonomy {show(taxonomy.name)} '
                f'lacks{did_you_mean(name, known, "correct it")}'
            )
        named |= classes
    categories = (_classes_of(item['name'], taxonomy) for item in file.dataset['categories'])
    missing = named.difference(*categories)
    if missing and not allow_missing:
        raise TaxonomyError(
            f'{file.path}: no category for {len(missing)} of the classes that annotated names: '
            f'{show_list(taxonomy.classes[label] for label in sorted(missing))}; leave them out of '
            'annotated, or add the categories if they were looked for'
        )
    return frozenset(range(taxonomy.num_classes)) - named


def _classes_of(name: object, taxonomy: Taxonomy) -> set[int]:
    """The classes that a name stands for; none if it is unknown."""
    label = taxonomy.find(name, coarse=True)
    if label is not None:
        return set(np.flatnonzero(taxonomy.labels.sets[label, :-1]).tolist())
    only = taxonomy.labels.only_class.get(normalize(name)) if isinstance(name, str) else None
    return set() if only is None else {taxonomy.label_of(only)}
