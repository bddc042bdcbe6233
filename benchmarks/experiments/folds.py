"""Cross-validation as one replicate: deal the photos out to folds, and join the folds' results.

Scores of models that were trained on different photos are never ranked together: each fold has its
own AP of a class, and their mean has weights, the boxes that the class has in the fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_multigrain.coco.columns import CocoColumns
from mmdet_multigrain.coco.split import group_images, join_near_duplicates, split
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import load_json

from .plan import Experiment, Run

METRICS = ('AP', 'AP50')


def deal(source: Path, images: Path, *, folds: int, fold: int) -> dict[str, dict[str, Any]]:
    """Training and evaluation photos of a fold: `train` and `val`, two COCO files.

    All photos of train.json and val.json are dealt out as `tools/split_dataset.py --folds` does
    with seed 0; photos that look the same stay together.

    Args:
        source: The data set's folder.
        images: That of its photos.
        folds: How many there are.
        fold: Which one is evaluated on, from 1.

    Raises:
        ConfigError: The two files have other categories, or share an image id.
    """
    parts = [load_json(source / f'{part}.json') for part in ('train', 'val')]
    entries = {
        key: [item for part in parts for item in part[key]] for key in ('images', 'annotations')
    }
    ids = {image['id'] for image in entries['images']}
    if parts[0]['categories'] != parts[1]['categories'] or len(ids) < len(entries['images']):
        raise ConfigError(
            f'{source}: train.json and val.json have other categories or an image id in common; '
            'they cannot be dealt out to folds together'
        )
    numbered = [dict(item, id=number) for number, item in enumerate(entries['annotations'], 1)]
    coco = CocoColumns({**parts[0], **entries, 'annotations': numbered})
    group_of = join_near_duplicates(coco, group_images(coco, None), images)
    dealt = split(coco, [1 / folds] * folds, group_of=group_of)
    others = [part for part in range(folds) if part != fold - 1]
    return dict(train=dealt.content(others), val=dealt.content([fold - 1]))


def parts_of(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The results of the folds of a replicate; without folds, the result."""
    return result.get('parts', [result])


def by_replicate(
    experiment: Experiment, results: Mapping[Run, Mapping[str, Any]]
) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Results by variant and replicate; of replicates with folds, those with all of them."""
    found = {}
    for run in dict.fromkeys((run.variant, run.replicate) for run in results):
        runs = [Run(experiment.name, *run, fold) for fold in experiment.folds]
        if all(one in results for one in runs):
            parts = [results[one] for one in runs]
            found[run] = parts[0] if len(parts) == 1 else join(parts, experiment.class_sets)
    return found


def join(
    parts: Sequence[Mapping[str, Any]], class_sets: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """One result of those of all folds; they stay in it as `parts`."""
    classes = _join_classes([part['classes'] for part in parts])
    superclasses = _join_classes([part['superclasses'] for part in parts])
    scores = {}
    for metric in METRICS:
        scores[metric] = _mean(row[metric] for row in classes.values())
        scores[f'superclass {metric}'] = _mean(row[metric] for row in superclasses.values())
        for name, members in class_sets.items():
            if set(members) <= set(classes):
                scores[f'{name} {metric}'] = _mean(classes[member][metric] for member in members)
    return dict(
        parts[0],
        minutes=sum(part['minutes'] for part in parts),
        scores=scores,
        classes=classes,
        superclasses=superclasses,
        parts=list(parts),
    )


def _join_classes(folds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """AP of each class, averaged over the folds that have boxes of it, with these as weights."""
    joined = {}
    for name in dict.fromkeys(name for fold in folds for name in fold):
        rows = [fold[name] for fold in folds if name in fold and fold[name]['val_boxes']]
        boxes = [row['val_boxes'] for row in rows]
        joined[name] = dict(
            val_boxes=sum(boxes),
            **{
                metric: float(np.average([row[metric] for row in rows], weights=boxes))
                if rows
                else None
                for metric in METRICS
            },
        )
    return joined


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
