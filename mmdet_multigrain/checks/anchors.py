"""Which boxes get a positive anchor with a config: the others teach the RPN nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.models.task_modules.prior_generators import anchor_inside_flags
from mmdet.registry import DATASETS, TASK_UTILS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.nested import dicts
from mmdet_multigrain.utils.progress import progress_bar
from mmdet_multigrain.utils.seeding import Stream, drawing_from, permutation
from mmdet_multigrain.utils.table import Column, Table

MAX_IMAGES = 1000
_LOADER = 'LoadImageFromFile'


@dataclass(frozen=True)
class AnchorCoverage:
    """Boxes as training sees them, and those without a positive anchor."""

    classes: tuple[str, ...]  # in the order of labels; then groups that boxes have instead
    boxes: np.ndarray  # (len(classes),) boxes of each
    without: np.ndarray  # (len(classes),) of these, boxes without a positive anchor
    images: tuple[int, int]  # that were looked at, and how many there are

    @property
    def share(self) -> float:
        """Share of boxes without a positive anchor, 0 to 1."""
        return float(self.without.sum() / max(self.boxes.sum(), 1))

    def table(self) -> Table:
        """The classes with such boxes, the largest share first."""
        rows = [[*counts, counts[2] / counts[1]] for counts in self._counts() if counts[2]]
        rows.sort(key=lambda row: -row[3])
        columns = [
            Column('class', left=True),
            Column('boxes', form=','),
            Column('without_anchor', 'without anchor', form=','),
            Column('share', form='.0%'),
        ]
        return Table(columns, rows)

    def text(self) -> str:
        """The share in one line, then the classes concerned."""
        looked_at, there_are = self.images
        of = '' if looked_at == there_are else f' in {looked_at:,} of {there_are:,} images'
        line = (
            f'anchors: {int(self.without.sum()):,} of {int(self.boxes.sum()):,} boxes{of} '
            f'({self.share:.1%}) get no positive anchor'
        )
        return f'{line}\n{self.table().text()}' if self.without.any() else line

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        keys = 'class', 'boxes', 'without_anchor'
        rows = [dict(zip(keys, counts, strict=True)) for counts in self._counts()]
        return {'images': self.images[0], 'classes': rows}

    def _counts(self) -> Iterator[tuple[str, int, int]]:
        return zip(self.classes, self.boxes.tolist(), self.without.tolist(), strict=True)


def anchor_coverage(
    cfg: Config, *, max_images: int = MAX_IMAGES, seed: int = 0, progress: bool = False
) -> AnchorCoverage:
    """Count the boxes that get a positive anchor in training with a resolved config.

    The training pipeline runs on blank images, so photos need not be there. Where it draws sizes at
    random, each image is drawn once. Of more than `max_images` so many are drawn, by the seed.

    Raises:
        ConfigError: The model has no RPN with anchors.
    """
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    assign = _Assignment(cfg.model)
    entry = cfg.train_dataloader.dataset.to_dict()
    pipelines = [part['pipeline'] for part in dicts(entry) if part.get('pipeline')]
    for part in dicts(entry):
        if 'pipeline' in part:
            part['pipeline'] = []
    dataset = DATASETS.build(entry)
    compose = Compose([_blank if step.get('type') == _LOADER else step for step in pipelines[0]])
    names = classes = tuple(dataset.metainfo['classes'])
    if 'taxonomy' in dataset.metainfo:
        names = Taxonomy.load(dataset.metainfo['taxonomy']).labels.names
    boxes, without = np.zeros((2, len(names)), np.int64)
    chosen = permutation(len(dataset), (seed, Stream.ORDER))[:max_images]
    with drawing_from((seed, Stream.SAMPLE)):
        for index in progress_bar(chosen, desc='anchors', unit='image', show=progress):
            results = compose(dataset.get_data_info(int(index)))
            if results is None:  # given up by the pipeline
                continue
            sample = results['data_samples']
            has_anchor = assign(sample.gt_instances, sample.img_shape)
            labels = sample.gt_instances.labels.numpy()
            np.add.at(boxes, labels, 1)
            np.add.at(without, labels[~has_anchor], 1)
    kept = (boxes > 0) | (np.arange(len(names)) < len(classes))
    names = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    return AnchorCoverage(names, boxes[kept], without[kept], (len(chosen), len(dataset)))


def _blank(results: dict[str, Any]) -> dict[str, Any]:
    """Stands in for the photo: an image of the stated size."""
    shape = results['height'], results['width']
    image = np.zeros((*shape, 3), np.uint8)
    return {**results, 'img': image, 'img_shape': shape, 'ori_shape': shape}


class _Assignment:
    """Tells which boxes of an image get a positive anchor, by the config of the detector."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        try:
            self._generator = TASK_UTILS.build(model['rpn_head']['anchor_generator'])
            settings = model['train_cfg']['rpn']
            self._assigner = TASK_UTILS.build(settings['assigner'])
        except KeyError as error:
            raise ConfigError(
                f'model has no {error.args[0]}: anchors are counted for detectors with an RPN'
            ) from None
        self._border = settings.get('allowed_border', -1)
        self._divisor = (model.get('data_preprocessor') or {}).get('pad_size_divisor', 1)

    def __call__(self, instances: InstanceData, shape: tuple[int, int]) -> np.ndarray:
        """(N,) whether each box of an image of this height and width has one."""
        padded = [self._divisor * math.ceil(side / self._divisor) for side in shape]
        strides = np.array(self._generator.strides)[:, ::-1]  # of x and y
        sizes = np.ceil(padded / strides).astype(int).tolist()
        anchors = torch.cat(self._generator.grid_priors(sizes, device='cpu'))
        valid = torch.cat(self._generator.valid_flags(sizes, padded, device='cpu'))
        anchors = anchors[anchor_inside_flags(anchors, valid, shape, self._border)]
        boxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
        targets = InstanceData(bboxes=boxes, labels=instances.labels)
        assigned = self._assigner.assign(InstanceData(priors=anchors), targets).gt_inds
        return np.isin(np.arange(len(instances)) + 1, assigned.numpy())
