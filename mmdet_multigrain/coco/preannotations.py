"""Detections as a COCO file that annotation tools import, to be corrected by hand.

Its categories are the classes and the groups, so that a box may have either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import OBJECT
from mmdet_multigrain.taxonomy.nodes import Nodes
from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import show


def preannotations(images: Iterable[Mapping[str, Any]], taxonomy: Taxonomy) -> dict[str, Any]:
    """The content of a COCO file; each annotation has a `score`.

    Read with the same taxonomy, each box has the label that it was written with.

    Args:
        images: Of each image `file_name`, `width`, `height`, and `detections` and perhaps `answers`
            as `apis.detector.describe` gives them. Of answers, each is a box of a class, a group or
            "object"; of a group that has no name of its own, as that of a class, it is the next
            group above.
        taxonomy: The detector's; of several trees, the first counts.

    Raises:
        TaxonomyError: An answer is "object", which is the name of a class or a group, too.
    """
    taxonomy = taxonomy.tree()
    nodes, names = Nodes.of(taxonomy), named_labels(taxonomy)
    entries, annotations = [], []
    for number, image in enumerate(images, 1):
        fields = {key: image[key] for key in ('file_name', 'width', 'height')}
        entries.append(dict(id=number, **fields))
        found = image['detections']
        labels = [taxonomy.label_of(row['class']) for row in found]
        if 'answers' in image:
            found = image['answers']
            labels = [
                _answer_label(taxonomy, nodes, names, labels[row['members'][0]], row['level'])
                for row in found
            ]
        for label, row in zip(labels, found, strict=True):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=label + 1,
                    bbox=row['box'],
                    area=round(row['box'][2] * row['box'][3], 2),
                    iscrowd=0,
                    score=row['score'],
                )
            )
    categories = category_tree(taxonomy)
    anything = len(taxonomy.labels)  # only where there is one: without boxes it would be a class
    if any(annotation['category_id'] == anything for annotation in annotations):
        if taxonomy.find(OBJECT, coarse=True) != anything - 1:
            raise TaxonomyError(
                f'taxonomy {show(taxonomy.name)} calls a class or a group {show(OBJECT)}, as boxes of '
                'any class are called in annotations; rename it'
            )
        categories.append(dict(id=anything, name=OBJECT, supercategory='none'))
    return dict(images=entries, annotations=annotations, categories=categories)


def category_tree(taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Classes and groups as COCO categories: id = label + 1, the next category above as parent."""
    names, table = named_labels(taxonomy), taxonomy.labels
    groups = {name for label, name in names.items() if label > taxonomy.num_classes}
    categories = []
    for label, name in names.items():
        path = taxonomy.paths[table.sets[label, :-1].argmax()]
        if label > taxonomy.num_classes:
            path = path[: path.index(name)]
        above = [group for group in path if group in groups] or path or ['none']
        categories.append(dict(id=label + 1, name=name, supercategory=above[-1]))
    return categories


def named_labels(taxonomy: Taxonomy) -> dict[int, str]:
    """Labels of classes and groups that a file can give by their names."""
    names = dict(enumerate(taxonomy.classes))
    for label in range(taxonomy.num_classes + 1, len(taxonomy.labels) - 1):
        name = taxonomy.labels.names[label]
        with contextlib.suppress(TaxonomyError):  # several groups have this name
            if taxonomy.find(name, coarse=True) == label:  # not that of a class
                names[label] = name
    return names


def _answer_label(
    taxonomy: Taxonomy, nodes: Nodes, names: Mapping[int, str], label: int, level: int
) -> int:
    """The label of the node of a class at an answer level, or of the next one with a name."""
    for higher in range(level, taxonomy.num_levels):
        classes = nodes.index[higher] == nodes.index[higher, label]
        same = (taxonomy.labels.sets[:, :-1] == classes).all(axis=1)
        found = next((number for number in same.nonzero()[0].tolist() if number in names), None)
        if found is not None:
            return found
    return len(taxonomy.labels) - 1
