"""Take the fine label of some training boxes, photo by photo: only their superclass stays known."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy


def coarse_name(superclass: str) -> str:
    """Name of a superclass as a label: in some data sets a class has the name of its group."""
    return f'any {superclass}'


def regroup_coarse(taxonomy: Taxonomy) -> Taxonomy:
    """The same classes in the same groups, whose names are those of the coarse categories."""
    groups = defaultdict(list)
    for name in taxonomy.classes:
        groups[coarse_name(taxonomy.superclass_of(name))].append(name)
    return Taxonomy.load(dict(name='coarse', groups=dict(groups), classes=list(taxonomy.classes)))


def coarsen(
    coco: Mapping[str, Any], taxonomy: Taxonomy, *, share: float, seed: int, drop: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A COCO file in which a share of the boxes has only the label of its superclass.

    Photos are taken in random order, each with all its boxes, until the share is reached. The photos of
    a smaller share are among those of a larger one with the same seed. Boxes of a class without
    siblings keep their label, and so does a photo with the last boxes of a class that have one.

    Args:
        coco: The content of the file.
        taxonomy: Its classes and superclasses.
        share: Of all boxes, 0 to 1.
        seed: Of the order of the photos.
        drop: Remove these boxes instead; the photos stay.

    Returns:
        The content, and what was done: the share that was reached, the photos that were taken, and
        the fine and coarse boxes of each class.
    """
    name_of = {item['id']: item['name'] for item in coco['categories']}
    group_of = {name: coarse_name(taxonomy.superclass_of(name)) for name in name_of.values()}
    sizes = Counter(group_of.values())
    classes_on: dict[Any, list[str]] = defaultdict(list)
    for box in coco['annotations']:
        classes_on[box['image_id']].append(name_of[box['category_id']])
    total = Counter(name for names in classes_on.values() for name in names)

    photos, lost = set(), Counter()
    order = [image['id'] for image in coco['images']]
    random.Random(f'coarse {seed}').shuffle(order)
    for photo in order:
        own = Counter(name for name in classes_on[photo] if sizes[group_of[name]] > 1)
        if lost.total() >= share * total.total():
            break
        if own and all(lost[name] + count < total[name] for name, count in own.items()):
            photos.add(photo)
            lost += own

    first = max(name_of) + 1
    id_of = {name: id for id, name in enumerate(dict.fromkeys(group_of.values()), start=first)}
    annotations, used = [], set()
    for box in coco['annotations']:
        name = name_of[box['category_id']]
        if box['image_id'] in photos and sizes[group_of[name]] > 1:
            if drop:
                continue
            used.add(group_of[name])
            box = box | dict(category_id=id_of[group_of[name]])
        annotations.append(box)
    coarse = [dict(id=id, name=name) for name, id in id_of.items() if name in used]
    content = dict(
        images=coco['images'],
        categories=[*coco['categories'], *coarse],
        annotations=annotations,
    )
    done = dict(
        share=share,
        reached=lost.total() / total.total(),
        photos=len(photos),
        of_photos=len(order),
        dropped=drop,
        boxes={
            name: dict(fine=total[name] - lost[name], coarse=lost[name])
            for name in taxonomy.classes
        },
    )
    return content, done
