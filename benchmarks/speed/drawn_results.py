"""Drawn boxes and detections of the shape of DeepFashion2's validation set.

About 1.65 boxes and exactly 100 detections on each image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.taxonomy import Taxonomy

PER_IMAGE = 100
NEAR_TRUTH = 15  # detections of an image that are near a box; the others are anywhere
WIDTH, HEIGHT = 500, 700


def draw_truth(rng: np.random.Generator, num_images: int, frequency: np.ndarray) -> GroundTruth:
    """One box on each image, often more; classes as frequent as given."""
    images = np.repeat(np.arange(num_images), 1 + rng.poisson(0.65, num_images))
    sizes = rng.uniform((80, 80), (350, 450), (len(images), 2))
    corners = rng.uniform(0, 1, (len(images), 2)) * ((WIDTH, HEIGHT) - sizes)
    return GroundTruth(
        image_ids=tuple(range(num_images)),
        images=images,
        labels=rng.choice(len(frequency), len(images), p=frequency),
        boxes=np.hstack([corners, sizes]),
        areas=sizes.prod(axis=1),
        crowd=np.zeros(len(images), dtype=bool),
    )


def draw_detections(
    rng: np.random.Generator,
    truth: GroundTruth,
    taxonomy: Taxonomy,
    frequency: np.ndarray,
    *,
    quality: float,
) -> Detections:
    """100 detections on each image, not sorted by score.

    Wrong classes are mostly from the same superclass; where nothing is, they are as frequent as
    given. `quality` is the share of the boxes that are found with a good score.
    """
    num_images = len(truth.image_ids)
    count = num_images * PER_IMAGE
    images, place = np.divmod(np.arange(count), PER_IMAGE)
    per_image = np.bincount(truth.images, minlength=num_images)
    first = np.cumsum(per_image) - per_image
    # The first detections are of one box each, some more are near any of them.
    source = first[images] + place % per_image[images]
    main = (place < per_image[images]) & (rng.random(count) < quality)
    near = main | (place < NEAR_TRUTH)
    shift = np.where(main, 0.05, 0.2)[:, None] * rng.normal(size=(count, 4))
    boxes = truth.boxes[source]
    boxes = boxes + shift * np.tile(boxes[:, 2:], 2)
    sizes = rng.uniform(20, 300, (count, 2))
    anywhere = np.hstack([rng.uniform(0, 1, sizes.shape) * ((WIDTH, HEIGHT) - sizes), sizes])
    boxes = np.where(near[:, None], boxes, anywhere)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    groups = np.array(taxonomy.group_index(0))
    relatives = [np.flatnonzero(groups == group) for group in groups]
    likely = truth.labels[source]
    mistaken = rng.random(count) < np.where(main, 0.12, 0.6)
    chosen = zip(likely, rng.integers(0, 60, count), strict=True)
    relative = [relatives[label][number % len(relatives[label])] for label, number in chosen]
    labels = np.where(mistaken, relative, likely)
    labels = np.where(near, labels, rng.choice(len(frequency), count, p=frequency))
    good = rng.beta(6, 1.5, count)
    others = np.where(near, rng.beta(1, 6, count), rng.beta(0.6, 12, count))
    return Detections(images, labels, boxes, np.where(main, good, others))


def plain_coco(
    truth: GroundTruth, detections: Detections, classes: tuple[str, ...]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO data set and a list of results, as `json.load` gives them."""
    columns = (truth.images, truth.labels + 1, truth.boxes, truth.areas)
    annotations = [
        dict(id=number, image_id=image, category_id=label, bbox=box, area=area, iscrowd=0)
        for number, (image, label, box, area) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start=1
        )
    ]
    dataset = {
        'images': [
            dict(id=image, file_name=f'{image}.jpg', width=WIDTH, height=HEIGHT)
            for image in truth.image_ids
        ],
        'annotations': annotations,
        'categories': [dict(id=number, name=name) for number, name in enumerate(classes, start=1)],
    }
    columns = (detections.images, detections.labels + 1, detections.boxes, detections.scores)
    results = [
        dict(image_id=image, category_id=label, bbox=box, score=score)
        for image, label, box, score in zip(*(column.tolist() for column in columns), strict=True)
    ]
    return dataset, results
