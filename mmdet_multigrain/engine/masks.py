"""Boxes without a mask, before a model with masks begins to train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mmdet_multigrain.utils.errors import AnnotationError

from .data_access import bare_model, inner_datasets


def check_masks(model: nn.Module, dataset: Any, metrics: Sequence[Any] | None = None) -> None:
    """Raise a one-line AnnotationError if a model with masks is to learn from boxes without them.

    `metrics` evaluate on the data, and need masks for 'segm' only; None: it is to train on.
    """
    if not getattr(getattr(bare_model(model), 'roi_head', None), 'with_mask', False):
        return
    if metrics is not None and not any('segm' in getattr(m, 'metrics', ()) for m in metrics):
        return
    for part in inner_datasets(dataset):
        infos = map(part.get_data_info, range(len(part)))
        boxes = [one for info in infos for one in info['instances']]
        without = sum('mask' not in one for one in boxes)
        if without:
            purpose = 'train with' if metrics is None else "evaluate ('segm')"
            raise AnnotationError(
                f'{part.ann_file}: {without} of {len(boxes)} boxes have no mask (segmentation) to '
                f'{purpose}; add masks, or leave mask out of the bases of the config'
            )
