"""A class that arrives later: held out of a detector's training, then added from a few boxes."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from mmdet_multigrain.utils.errors import ConfigError

from .coarse import coarse_name
from .plan import Experiment, Results

BASE = 1  # replicate of the detectors that a class is added to, and of their data


def set_aside(train: dict[str, Any], share: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Training photos and, of all of them, a share for the pool; always the same."""
    ids = [image['id'] for image in train['images']]
    aside = set(random.Random('aside').sample(ids, round(share * len(ids))))
    return of_images(train, set(ids) - aside), of_images(train, aside)


def unused(everything: dict[str, Any], *parts: Mapping[str, Any]) -> dict[str, Any]:
    """The photos of a file, by their file names, that none of the parts has."""
    used = {image['file_name'] for part in parts for image in part['images']}
    left = {image['id'] for image in everything['images'] if image['file_name'] not in used}
    return of_images(everything, left)


def of_images(coco: Mapping[str, Any], ids: set[Any]) -> dict[str, Any]:
    """The photos with these ids and their boxes."""
    return dict(
        coco,
        images=[image for image in coco['images'] if image['id'] in ids],
        annotations=[box for box in coco['annotations'] if box['image_id'] in ids],
    )


def without(coco: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The file as it was before the class: without category and boxes; its objects are background.

    Raises:
        ConfigError: It does not have the class.
    """
    number = _category(coco, name)
    return dict(
        coco,
        categories=[item for item in coco['categories'] if item['id'] != number],
        annotations=[box for box in coco['annotations'] if box['category_id'] != number],
    )


def as_superclass(coco: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The file as it was before the class: its objects have the category of its superclass."""
    left = without(coco, name)
    (item,) = (item for item in coco['categories'] if item not in left['categories'])
    known = dict(id=item['id'], name=coarse_name(item['supercategory']))
    return dict(coco, categories=[*left['categories'], known])


def draw_shots(pool: Mapping[str, Any], name: str, *, boxes: int, seed: int) -> dict[str, Any]:
    """Photos in random order, until they have that many boxes of the class; all their boxes of it.

    A photo with more boxes than are left to draw is passed over, so that no object of the class is
    without a box. Boxes of other classes are removed: nobody has drawn them.

    Raises:
        ConfigError: The pool does not have so many.
    """
    number = _category(pool, name)
    of_photo = defaultdict(list)
    for box in pool['annotations']:
        if box['category_id'] == number:
            of_photo[box['image_id']].append(box)
    order = [image['id'] for image in pool['images'] if image['id'] in of_photo]
    random.Random(f'shots {seed}').shuffle(order)
    kept: dict[Any, list[dict[str, Any]]] = {}
    left = boxes
    for photo in order:
        if len(of_photo[photo]) <= left:
            kept[photo] = of_photo[photo]
            left -= len(of_photo[photo])
    if left:
        raise ConfigError(f'{boxes} boxes of {name!r} cannot be drawn: the pool lacks {left}')
    return of_images(pool, set(kept)) | dict(
        annotations=[box for own in kept.values() for box in own]
    )


def _category(coco: Mapping[str, Any], name: str) -> int:
    for item in coco['categories']:
        if item['name'] == name:
            return item['id']
    raise ConfigError(f'held_out: {name!r}: no such class in the data')


def added_table(experiment: Experiment, results: Results) -> str:
    """What adding a class cost and brought, mean (SD) over draws of its boxes; empty without any.

    `old AP` and `new AP` are sets of classes of the experiment. Seconds are those of the training
    with the new class alone.
    """
    rows = []
    for variant in experiment.variants:
        own = [one for (name, _), one in results.items() if name == variant.name and variant.shots]
        before = results.get((variant.base, BASE))
        if not own or before is None:
            continue
        old = before['scores']['old AP']
        columns = [
            [one['scores']['new AP'] for one in own],
            [one['scores']['new AP50'] for one in own],
            [one['scores']['old AP'] - old for one in own],
            [one['added']['seconds'] for one in own],
        ]
        cells = [
            _mean_sd(values, sign) for values, sign in zip(columns, ('', '', '+', ''), strict=True)
        ]
        rows.append(
            f'| {variant.name} | {variant.shots} | {len(own)} | {old:.2f} | {" | ".join(cells)} |'
        )
    head = [
        '| variant | boxes | draws | old AP before | new AP | new AP50 | change of old AP | seconds |',
        '|---' * 8 + '|',
    ]
    return '\n'.join([*head, *rows]) if rows else ''


def _mean_sd(values: list[float], sign: str) -> str:
    spread = f' ({statistics.stdev(values):.2f})' if len(values) > 1 else ''
    return f'{statistics.fmean(values):{sign}.2f}{spread}'
