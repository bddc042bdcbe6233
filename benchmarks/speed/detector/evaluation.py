"""The metric of a config, timed on drawn boxes and detections."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS, METRICS

from benchmarks.speed.drawn_results import (
    HEIGHT,
    PER_IMAGE,
    WIDTH,
    draw_detections,
    draw_truth,
    plain_coco,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.files import dump_json, write_whole


class Evaluation:
    """The metric of a config on drawn images of its validation classes; their file is in a folder."""

    def __init__(self, cfg: Any, *, images: int, folder: Path, seed: int) -> None:
        # The classes are known without the files.
        dataset = DATASETS.build(dict(cfg.val_dataloader['dataset'], lazy_init=True))
        self._meta = dataset.metainfo
        taxonomy = Taxonomy.load(self._meta['taxonomy'])
        frequency = np.full(taxonomy.num_classes, 1 / taxonomy.num_classes)
        rng = np.random.default_rng(seed)
        truth = draw_truth(rng, images, frequency)
        detections = draw_detections(rng, truth, taxonomy, frequency, quality=0.9)
        path = folder / f'truth_{images}_{seed}.json'
        write_whole(path, dump_json(plain_coco(truth, detections, taxonomy.classes)[0]))
        keys = {'ann_file', 'train_ann_file'} & {'ann_file', *cfg.val_evaluator}
        self._evaluator = dict(cfg.val_evaluator, **dict.fromkeys(keys, str(path)))
        # As a detector gives them to a metric: a dict for each image, corners for boxes.
        corners = detections.boxes + np.pad(detections.boxes[:, :2], ((0, 0), (2, 0)))
        values = dict(bboxes=corners, scores=detections.scores, labels=detections.labels)
        parts = {key: torch.from_numpy(value).split(PER_IMAGE) for key, value in values.items()}
        self._samples = [
            dict(
                img_id=image,
                ori_shape=(HEIGHT, WIDTH),
                pred_instances={key: part[image] for key, part in parts.items()},
            )
            for image in range(images)
        ]

    def seconds(self) -> float:
        """From the file of the boxes and the detector's output to the numbers."""
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # of pycocotools
            metric = METRICS.build(self._evaluator)
            metric.dataset_meta = self._meta
            metric.process({}, self._samples)
            metric.evaluate(len(self._samples))
        return time.perf_counter() - start
