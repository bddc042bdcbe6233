"""Batches for the benchmark of detectors: loaded as a config says, or drawn."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch.utils.data import DataLoader

from mmdet_multigrain.taxonomy.labels import LabelTable

BOXES_PER_IMAGE = 1.65  # as in DeepFashion2's training set


def build_loader(loader: Any, *, batch: int, seed: int, workers: int | None = None) -> DataLoader:
    """A loader of a config; its processes live no longer than an iterator over it.

    With 0 workers it loads in this process. Default: as many as the config says.
    """
    loader = copy.deepcopy(loader)
    workers = loader['num_workers'] if workers is None else workers
    loader.update(batch_size=batch, num_workers=workers, persistent_workers=False)
    if not workers:
        loader.pop('prefetch_factor', None)
    return Runner.build_dataloader(loader, seed=seed)


def load_batches(loader: DataLoader, number: int) -> list[dict]:
    """The first batches; a data set that is too short starts over."""
    return list(itertools.islice(_endless(loader), number))


def loading_seconds(loader: DataLoader, batches: int) -> float:
    """Seconds for so many batches of a loader at work.

    Its processes are started here and end here, so nothing is loaded while others are timed. What
    they have loaded in advance by the time of the first batches does not count.
    """
    iterator = _endless(loader)
    for _ in range(1 + (loader.prefetch_factor or 0) * loader.num_workers):
        next(iterator)
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return time.perf_counter() - start


def _endless(loader: DataLoader) -> Iterator[dict]:
    while True:
        yield from loader


def draw_batches(
    number: int, *, batch: int, size: tuple[int, int], num_classes: int, seed: int
) -> list[dict[str, list]]:
    """Batches of drawn images of this width and height with boxes, as a loader gives them.

    All labels below `num_classes` are equally likely.
    """
    rng = np.random.default_rng(seed)
    return [
        pseudo_collate([_draw_sample(rng, *size, num_classes) for _ in range(batch)])
        for _ in range(number)
    ]


def coarsen(batches: Sequence[dict], labels: LabelTable, *, seed: int) -> None:
    """Give half of the boxes, in place, any label of a superclass (or of any object) that holds."""
    rng = np.random.default_rng(seed)
    num_classes = labels.sets.shape[1] - 1
    for sample in itertools.chain.from_iterable(batch['data_samples'] for batch in batches):
        found = sample.gt_instances.labels
        for place in np.nonzero(rng.random(len(found)) < 0.5)[0]:
            allowing = np.nonzero(labels.sets[num_classes + 1 :, found[place]])[0]
            found[place] = num_classes + 1 + int(rng.choice(allowing))


def _draw_sample(rng: np.random.Generator, width: int, height: int, num_classes: int) -> dict:
    # Grainy patches of color: cheap, with edges of all sizes, as in photos.
    coarse = rng.integers(0, 200, (3, -(-height // 32), -(-width // 32)), dtype=np.uint8)
    image = coarse.repeat(32, axis=1).repeat(32, axis=2)[:, :height, :width]
    image = image + rng.integers(0, 55, image.shape, dtype=np.uint8)
    count = 1 + rng.poisson(BOXES_PER_IMAGE - 1)
    sizes = rng.uniform(0.15, 0.7, (count, 2)) * (width, height)
    corners = rng.uniform(0, 1, (count, 2)) * ((width, height) - sizes)
    boxes = torch.from_numpy(np.hstack([corners, corners + sizes]).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, num_classes, count))
    metainfo = dict(img_id=0, img_path='', ori_shape=(height, width), img_shape=(height, width))
    metainfo |= dict(scale_factor=(1.0, 1.0), flip=False, flip_direction=None)
    sample = DetDataSample(metainfo=metainfo)
    sample.gt_instances = InstanceData(bboxes=HorizontalBoxes(boxes), labels=labels)
    sample.ignored_instances = InstanceData(bboxes=HorizontalBoxes(boxes[:0]), labels=labels[:0])
    return dict(inputs=torch.from_numpy(image), data_samples=sample)
