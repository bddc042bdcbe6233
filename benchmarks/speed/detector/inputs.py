"""Drawn batches for the benchmark of detectors, as a data loader gives them."""

from __future__ import annotations

import copy

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

BOXES_PER_IMAGE = 1.65  # as in DeepFashion2's training set


def draw_batches(
    number: int, *, batch: int, width: int, height: int, num_classes: int, seed: int
) -> list[dict[str, list]]:
    """Batches of drawn images with boxes, as a loader gives them.

    Args:
        number: Of batches.
        batch: Images in each.
        width: Of the images, pixels.
        height: Of the images, pixels.
        num_classes: Labels are below it, all as likely.
        seed: Of the drawing.

    Returns:
        Each with 'inputs', uint8 tensors of shape (3, height, width), and 'data_samples'.
    """
    rng = np.random.default_rng(seed)
    return [
        pseudo_collate([_draw_sample(rng, width, height, num_classes) for _ in range(batch)])
        for _ in range(number)
    ]


def _draw_sample(rng: np.random.Generator, width: int, height: int, num_classes: int) -> dict:
    # Patches of color with grain: edges at all sizes, as in photos, and cheap.
    coarse = rng.integers(0, 200, (3, -(-height // 32), -(-width // 32)), dtype=np.uint8)
    image = coarse.repeat(32, axis=1).repeat(32, axis=2)[:, :height, :width]
    image = image + rng.integers(0, 55, image.shape, dtype=np.uint8)
    count = 1 + rng.poisson(BOXES_PER_IMAGE - 1)
    sizes = rng.uniform(0.15, 0.7, (count, 2)) * (width, height)
    corners = rng.uniform(0, 1, (count, 2)) * ((width, height) - sizes)
    boxes = np.hstack([corners, corners + sizes]).astype(np.float32)
    sample = DetDataSample(
        metainfo=dict(
            img_id=0,
            img_path='',
            ori_shape=(height, width),
            img_shape=(height, width),
            scale_factor=(1.0, 1.0),
            flip=False,
            flip_direction=None,
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.from_numpy(boxes)),
        labels=torch.from_numpy(rng.integers(0, num_classes, count)),
    )
    sample.ignored_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=torch.zeros(0, dtype=torch.long)
    )
    return dict(inputs=torch.from_numpy(image), data_samples=sample)


def fresh(batch: dict[str, list]) -> dict[str, list]:
    """The batch for one step: a step writes to the samples, not to the images."""
    return dict(batch, data_samples=copy.deepcopy(batch['data_samples']))
