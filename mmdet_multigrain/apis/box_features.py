"""What the classifiers of a detector see on annotated boxes: a mean feature for each class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmcv.transforms import Compose
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.utils import get_test_pipeline_cfg
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.utils.errors import AnnotationError

from .detector import Detector


@torch.no_grad()
def class_features(
    detector: Detector, shots: AnnotationFile, images: Path, labels: Sequence[int]
) -> dict[str, Tensor]:
    """Mean input of each classifier of the box heads on the boxes of each class.

    The detector reads and scales the photos as in a test.

    Args:
        detector: A trained detector; it need not know the classes.
        shots: Photos with boxes of the classes.
        images: Their folder.
        labels: Labels of the classes in the file's taxonomy.

    Returns:
        (n, D) for each classifier, by the name of its module.

    Raises:
        AnnotationError: A class has no box.
        ImageError: A photo cannot be read.
    """
    row_of = {shots.category_ids[label]: row for row, label in enumerate(labels)}
    boxes = defaultdict(list)
    for item in shots.dataset['annotations']:
        if item['category_id'] in row_of and not (item['iscrowd'] or item.get('ignore')):
            boxes[item['image_id']].append((row_of[item['category_id']], item['bbox']))
    transform = Compose(get_test_pipeline_cfg(detector.cfg)[1:])
    sums: dict[str, Tensor] = {}
    total = torch.zeros(len(labels))
    for image in shots.dataset['images']:
        if not (of_image := boxes.get(image['id'])):
            continue
        rows, xywh = zip(*of_image, strict=True)
        sample = transform(detector.read(images / image['file_name']))
        seen = _inputs(detector.model, sample, torch.tensor(xywh).float())
        for name, features in seen.items():
            zeros = features.new_zeros(len(labels), features.shape[1])
            sums[name] = sums.get(name, zeros).index_add(0, torch.tensor(rows), features)
        total += torch.bincount(torch.tensor(rows), minlength=len(labels))
    if not total.all():
        name = shots.taxonomy.classes[labels[int(total.argmin())]]
        raise AnnotationError(f'{shots.path}: no box of {name!r}; imprinting needs one')
    return {name: value / total[:, None] for name, value in sums.items()}


def _inputs(model: nn.Module, sample: dict[str, Any], xywh: Tensor) -> Mapping[str, Tensor]:
    """The input of each classifier on some boxes of a photo, (N, D), on the CPU."""
    batch = model.data_preprocessor(pseudo_collate([sample]), False)
    scale = torch.tensor(batch['data_samples'][0].scale_factor).repeat(2)
    corners = torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1) * scale
    levels = model.extract_feat(batch['inputs'])
    rois = torch.cat([corners.new_zeros(len(corners), 1), corners], dim=1).to(levels[0])
    seen: dict[str, Tensor] = {}
    roi_head = model.roi_head
    own = roi_head.bbox_roi_extractor
    extractors = own if isinstance(own, nn.ModuleList) else [own]  # stages of a cascade
    heads = {name: part for name, part in model.named_modules() if isinstance(part, BBoxHead)}
    for (name, head), extractor in zip(heads.items(), extractors, strict=True):
        feature = extractor(levels[: extractor.num_inputs], rois)
        if roi_head.with_shared_head:
            feature = roi_head.shared_head(feature)
        with ExitStack() as stack:
            for layer, part in head.named_modules():
                if layer == 'fc_cls' or layer.startswith('coarse_fc_cls.'):
                    hook = partial(_keep, seen, f'{name}.{layer}')
                    stack.callback(part.register_forward_pre_hook(hook).remove)
            head.training = True  # all branches; its layers stay in evaluation
            stack.callback(setattr, head, 'training', False)
            head(feature)
    return seen


def _keep(
    seen: dict[str, Tensor], name: str, module: nn.Module, inputs: tuple[Tensor, ...]
) -> None:
    seen[name] = inputs[0].float().cpu()
