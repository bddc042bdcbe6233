"""What a config loads and how it is evaluated: its batches, its loader's pace, its metric's."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS, METRICS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from benchmarks.speed.evaluation import HEIGHT, WIDTH, draw_detections, draw_truth, plain_coco
from mmdet_multigrain.evaluation import Detections
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.files import dump_json, write_whole


def build_loader(loader: Any, *, batch: int, workers: int, seed: int) -> DataLoader:
    """A loader of a config, its processes living no longer than an iterator over it.

    Args:
        loader: `train_dataloader` or `test_dataloader` of a config.
        batch: Images of a batch.
        workers: Processes; 0 loads in this one.
        seed: Of order and pipeline.
    """
    loader = copy.deepcopy(loader)
    loader.update(batch_size=batch, num_workers=workers, persistent_workers=False)
    if not workers:
        loader.pop('prefetch_factor', None)
    return Runner.build_dataloader(loader, seed=seed)


def load_batches(loader: DataLoader, number: int) -> list[dict]:
    """The first batches; the data set begins anew where it is too short."""
    return list(itertools.islice(_endless(loader), number))


def loading_seconds(loader: DataLoader, batches: int) -> float:
    """Seconds for so many batches of a loader at work.

    Its processes are started here and ended here, so nothing is loaded while others are timed.
    What they have loaded ahead by the time of the first batches does not count.
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


class Evaluation:
    """The metric of a config on drawn truth and 100 drawn detections in each image.

    Args:
        cfg: The config; its metric and the classes of its validation data are used.
        images: How many.
        folder: For the file of the truth.
        seed: Of the drawing.
    """

    def __init__(self, cfg: Any, *, images: int, folder: Path, seed: int) -> None:
        # Classes are known without the files.
        dataset = DATASETS.build(dict(cfg.val_dataloader['dataset'], lazy_init=True))
        self._meta = dataset.metainfo
        taxonomy = Taxonomy.load(self._meta['taxonomy'])
        frequency = np.full(taxonomy.num_classes, 1 / taxonomy.num_classes)
        rng = np.random.default_rng(seed)
        truth = draw_truth(rng, images, frequency)
        detections = draw_detections(rng, truth, taxonomy, frequency, quality=0.9)
        content, _ = plain_coco(truth, detections, taxonomy.num_classes)
        for image in content['images']:
            image.update(file_name=f'{image["id"]}.jpg', width=WIDTH, height=HEIGHT)
        for category, name in zip(content['categories'], taxonomy.classes, strict=True):
            category['name'] = name
        path = folder / f'truth_{images}_{seed}.json'
        write_whole(path, dump_json(content))
        self._evaluator = dict(cfg.val_evaluator, ann_file=str(path))
        if 'train_ann_file' in self._evaluator:
            self._evaluator['train_ann_file'] = str(path)
        self._samples = _samples(detections, images)

    def seconds(self) -> float:
        """From the file of the truth and the detector's output to the numbers."""
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # of pycocotools
            metric = METRICS.build(self._evaluator)
            metric.dataset_meta = self._meta
            metric.process({}, self._samples)
            metric.evaluate(len(self._samples))
        return time.perf_counter() - start


def _samples(detections: Detections, images: int) -> list[dict[str, Any]]:
    """Detections as a detector hands them to a metric: one dict for each image."""
    boxes = detections.boxes.copy()
    boxes[:, 2:] += boxes[:, :2]
    ends = np.cumsum(np.bincount(detections.images, minlength=images))
    parts = [
        np.split(values, ends[:-1]) for values in (boxes, detections.scores, detections.labels)
    ]
    return [
        dict(
            img_id=image,
            ori_shape=(HEIGHT, WIDTH),
            pred_instances=dict(
                bboxes=torch.from_numpy(of_boxes),
                scores=torch.from_numpy(scores),
                labels=torch.from_numpy(labels),
            ),
        )
        for image, (of_boxes, scores, labels) in enumerate(zip(*parts, strict=True))
    ]
