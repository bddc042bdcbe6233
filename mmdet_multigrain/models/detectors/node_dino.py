"""DINO for boxes of which only the superclass is known; experimental."""

from __future__ import annotations

import torch
from mmdet.models.detectors import DINO
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_multigrain.utils.errors import ConfigError

from ..dense_heads.node_dino_head import NodeDINOHead


@MODELS.register_module()
class NodeDINO(DINO):
    """DINO with a NodeDINOHead, whose denoising queries are those of classes.

    The query of a box with a coarse label has one of its classes, drawn in each step; the label
    noise comes on top. What the query learns is the coarse label. Without such boxes, it is DINO.

    Raises:
        ConfigError: The head is another.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.bbox_head, NodeDINOHead):
            raise ConfigError(
                f'model.bbox_head of type {type(self.bbox_head).__name__}: {type(self).__name__} '
                'needs NodeDINOHead'
            )
        self.bbox_head.takes_coarse_labels = True

    def pre_decoder(
        self, *args, batch_data_samples: list[DetDataSample] | None = None, **kwargs
    ) -> tuple[dict, dict]:
        """Prepare the queries as in DINO, which reads the samples for denoising only."""
        if self.training:
            batch_data_samples = [self._of_classes(sample) for sample in batch_data_samples]
        return super().pre_decoder(*args, batch_data_samples=batch_data_samples, **kwargs)

    def _of_classes(self, sample: DetDataSample) -> DetDataSample:
        """A sample with a class for each coarse label."""
        boxes = sample.gt_instances
        if not (boxes.labels > self.bbox_head.num_classes).any():
            return sample
        allowed = self.bbox_head.loss_cls.allowed[boxes.labels]
        classes = torch.multinomial(allowed.float(), 1)[:, 0]
        instances = InstanceData(bboxes=boxes.bboxes, labels=classes)
        return DetDataSample(metainfo=sample.metainfo, gt_instances=instances)
