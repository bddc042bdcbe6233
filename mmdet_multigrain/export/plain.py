"""Test-time Faster R-CNN as one traceable function of an image, in plain torch.

MMDetection's own way from features to detections takes lists, configs and branches on values, which
no tracer follows. This does the same steps in the same order on a detector's own layers; only
non-maximum suppression and RoIAlign are operators of ONNX.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from mmcv.ops import RoIAlign, nms, roi_align
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors.two_stage import TwoStageDetector
from mmdet.models.roi_heads import SingleRoIExtractor, StandardRoIHead
from mmdet.models.task_modules import AnchorGenerator, DeltaXYWHBBoxCoder
from torch import Tensor, nn

from mmdet_multigrain.models import FederatedStandardRoIHead, Float32RPNHead, LineageStandardRoIHead
from mmdet_multigrain.models.roi_heads.lineage import lineages
from mmdet_multigrain.utils.errors import ExportError

_MAX_LOG_RATIO = abs(math.log(16 / 1000))  # of DeltaXYWHBBoxCoder: wh_ratio_clip


class PlainDetector(nn.Module):
    """A two-stage detector of MMDetection, restated.

    Args:
        model: A Faster R-CNN: any backbone, neck and box head; RPNHead and StandardRoIHead, or
            LineageStandardRoIHead.

    Raises:
        ExportError: Some part of it is of a kind that is not restated here.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        _check(model)
        self.model = model

    def forward(self, image: Tensor, scale_factor: Tensor, score_thr: Tensor) -> tuple[Tensor, ...]:
        """Detect in one image.

        Args:
            image: (3, height, width), 0 to 255, blue-green-red, as resized by the test pipeline.
            scale_factor: (2,) width and height of `image` per width and height of the original.
            score_thr: () detections have a score above it.

        Returns:
            Boxes (N, 4) as x1, y1, x2, y2 in pixels of the original, scores (N,) by falling
            score, and labels (N,); of a model that tells it also the lineages (N, L).
        """
        # Sizes as tensors, so that a trace keeps them open.
        width, height = (torch._shape_as_tensor(image)[axis] for axis in (2, 1))
        size = torch.stack([width, height]).float()
        features = self.model.neck(self.model.backbone(self._preprocess(image)))
        proposals = self._propose(features, size)
        return self._detect(features, proposals, size, scale_factor, score_thr)

    def _preprocess(self, image: Tensor) -> Tensor:
        """Normalize and pad, as DetDataPreprocessor; shape (1, 3, H, W)."""
        step = self.model.data_preprocessor
        if step._channel_conversion:
            image = image.flip(0)
        image = image.float()
        if step._enable_normalize:
            image = (image - step.mean) / step.std
        divisor = step.pad_size_divisor
        right, bottom = (-image.shape[axis] % divisor for axis in (2, 1))
        padded = nn.functional.pad(image, (0, right, 0, bottom), value=step.pad_value)
        return padded[None]

    def _propose(self, features: tuple[Tensor, ...], size: Tensor) -> Tensor:
        """Proposals (N, 4) of the RPN."""
        head, cfg = self.model.rpn_head, self.model.rpn_head.test_cfg
        rows = []
        for level, (score, delta) in enumerate(zip(*head(features), strict=True)):
            prior = self._anchors(level, score)
            score = score[0].permute(1, 2, 0).reshape(-1).sigmoid()
            delta = delta[0].permute(1, 2, 0).reshape(-1, 4)
            score, order = score.sort(descending=True)
            if (most := cfg.get('nms_pre', -1)) > 0:
                score, order = score[:most], order[:most]
            rows.append((delta[order], prior[order], score, torch.full_like(score, level)))
        deltas, anchors, scores, levels = zip(*rows, strict=True)
        score, level = torch.cat(scores), torch.cat(levels)
        boxes = _decode(head.bbox_coder, torch.cat(anchors), torch.cat(deltas), size)
        if (least := cfg.get('min_bbox_size', -1)) >= 0:
            large = ((boxes[:, 2:] - boxes[:, :2]) > least).all(1)
            chosen = large.nonzero().flatten()
            boxes, score, level = boxes[chosen], score[chosen], level[chosen]
        kept = _nms_by_group(boxes, score, level, cfg.nms.iou_threshold)
        return boxes[kept[: cfg.max_per_img]]

    def _anchors(self, level: int, score: Tensor) -> Tensor:
        """Anchors (H * W * A, 4) of a feature map."""
        generator = self.model.rpn_head.prior_generator
        width, height = generator.strides[level]
        x = torch.arange(score.shape[3], device=score.device).float() * width
        y = torch.arange(score.shape[2], device=score.device).float() * height
        y, x = torch.meshgrid(y, x, indexing='ij')
        shift = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
        return (generator.base_anchors[level].to(shift) + shift).reshape(-1, 4)

    def _detect(
        self,
        features: tuple[Tensor, ...],
        proposals: Tensor,
        size: Tensor,
        scale_factor: Tensor,
        score_thr: Tensor,
    ) -> tuple[Tensor, ...]:
        """Boxes (in pixels of the original), scores, labels, maybe lineages of the proposals."""
        roi_head = self.model.roi_head
        head, cfg = roi_head.bbox_head, roi_head.test_cfg
        logits, deltas = head(self._roi_features(features, proposals))
        if head.custom_cls_channels:
            scores = head.loss_cls.get_activation(logits)
        else:
            scores = logits.softmax(-1)
        of_classes = scores[:, :-1]
        num_classes = head.num_classes
        repeats = 1 if head.reg_class_agnostic else num_classes
        rois = proposals[:, None].expand(-1, repeats, 4).reshape(-1, 4)
        boxes = _decode(head.bbox_coder, rois, deltas.reshape(-1, 4), size)
        boxes = (boxes.reshape(-1, 2, 2) / scale_factor).reshape(-1, repeats, 4)
        boxes = boxes.expand(-1, num_classes, 4).reshape(-1, 4)
        labels = torch.arange(num_classes, device=scores.device).expand_as(of_classes).reshape(-1)
        scores = of_classes.reshape(-1)
        chosen = (scores > score_thr).nonzero().flatten()
        boxes, scores, labels = boxes[chosen], scores[chosen], labels[chosen]
        kept = _nms_by_group(boxes, scores, labels.float(), cfg.nms.iou_threshold)
        if cfg.max_per_img > 0:
            kept = kept[: cfg.max_per_img]
        found = boxes[kept], scores[kept], labels[kept]
        if isinstance(roi_head, LineageStandardRoIHead):
            rois = chosen[kept].div(num_classes, rounding_mode='floor')
            found += (lineages(of_classes[rois], found[-1], roi_head.taxonomy),)
        return found

    def _roi_features(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """RoI features (N, C, h, w), each from the level of its box's scale."""
        extractor = self.model.roi_head.bbox_roi_extractor
        layers = extractor.roi_layers
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        target = torch.floor(torch.log2(areas.sqrt() / extractor.finest_scale + 1e-6))
        target = target.clamp(min=0, max=len(layers) - 1)
        parts, places = [], []
        for level, layer in enumerate(layers):
            chosen = (target == level).nonzero().flatten()
            parts.append(_RoIAlign.apply(features[level], boxes[chosen], layer))
            places.append(chosen)
        return torch.cat(parts)[torch.cat(places).argsort()]


def _decode(coder: DeltaXYWHBBoxCoder, boxes: Tensor, deltas: Tensor, size: Tensor) -> Tensor:
    """DeltaXYWHBBoxCoder.decode with the borders (width, height) as a tensor."""
    deltas = deltas * deltas.new_tensor(coder.stds) + deltas.new_tensor(coder.means)
    sides = boxes[:, 2:] - boxes[:, :2]
    centers = (boxes[:, :2] + boxes[:, 2:]) * 0.5 + sides * deltas[:, :2]
    sides = sides * deltas[:, 2:].clamp(min=-_MAX_LOG_RATIO, max=_MAX_LOG_RATIO).exp()
    corners = torch.stack([centers - sides * 0.5, centers + sides * 0.5], dim=1)
    return torch.minimum(corners.clamp(min=0), size).reshape(-1, 4)


def _nms_by_group(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Kept rows by falling score; as in mmcv's batched_nms, groups are moved apart."""
    # With a zero, as the maximum of nothing is an error.
    largest = torch.cat([boxes.reshape(-1), boxes.new_zeros(1)]).max()
    moved = boxes + (groups * (largest + 1))[:, None]
    return _Nms.apply(moved, scores, iou_threshold)


class _Nms(torch.autograd.Function):
    """Non-maximum suppression: mmcv's here, NonMaxSuppression in an ONNX file."""

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        return nms(boxes, scores, iou_threshold)[1]

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float) -> Any:
        def constant(value: Any, dtype: torch.dtype) -> Any:
            return g.op('Constant', value_t=torch.tensor(value, dtype=dtype))

        found = g.op(
            'NonMaxSuppression',
            g.op('Unsqueeze', boxes, constant([0], torch.int64)),
            g.op('Unsqueeze', scores, constant([0, 1], torch.int64)),
            constant([torch.iinfo(torch.int64).max], torch.int64),
            constant([iou_threshold], torch.float32),
        )
        # Rows of (image, class, box), by falling score.
        return g.op('Gather', found, constant(2, torch.int64), axis_i=1)


class _RoIAlign(torch.autograd.Function):
    """RoIAlign of one image: mmcv's here, RoiAlign in an ONNX file."""

    @staticmethod
    def forward(ctx: Any, feature: Tensor, boxes: Tensor, layer: RoIAlign) -> Tensor:
        rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
        return roi_align(
            feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, 'avg', True
        )

    @staticmethod
    def symbolic(g: Any, feature: Any, boxes: Any, layer: RoIAlign) -> Any:
        first = g.op('Constant', value_t=torch.tensor([0]))
        count = g.op('Gather', g.op('Shape', boxes), first, axis_i=0)
        image = g.op('ConstantOfShape', count, value_t=torch.tensor([0]))
        height, width = layer.output_size
        return g.op(
            'RoiAlign', feature, boxes, image,
            coordinate_transformation_mode_s='half_pixel',
            mode_s='avg',
            output_height_i=height,
            output_width_i=width,
            sampling_ratio_i=layer.sampling_ratio,
            spatial_scale_f=layer.spatial_scale,
        )  # fmt: skip


# Subclasses with the same detections: they differ in training, in mixed precision or in lineages.
_PLAIN_IN_EVALUATION = Float32RPNHead, FederatedStandardRoIHead, LineageStandardRoIHead


def _check(model: nn.Module) -> None:
    """Refuse what is not restated here."""
    for name, kind, fits in (
        ('', TwoStageDetector, lambda part: part.with_neck and not part.with_mask),
        ('data_preprocessor', DetDataPreprocessor, lambda part: part.batch_augments is None),
        ('rpn_head', RPNHead, lambda part: part.use_sigmoid_cls),
        ('rpn_head.prior_generator', AnchorGenerator, lambda part: not part.use_box_type),
        ('rpn_head.bbox_coder', DeltaXYWHBBoxCoder, _is_plain_coder),
        ('roi_head', StandardRoIHead, lambda part: not part.with_shared_head),
        ('roi_head.bbox_roi_extractor', SingleRoIExtractor, _has_aligned_layers),
        ('roi_head.bbox_head.bbox_coder', DeltaXYWHBBoxCoder, _is_plain_coder),
    ):
        try:
            part = operator.attrgetter(name)(model) if name else model
        except AttributeError:
            part = None
        # Detectors are thin subclasses; another part's subclass computes something else.
        is_plain = not name or type(part) is kind or type(part) in _PLAIN_IN_EVALUATION
        is_kind = isinstance(part, kind) and is_plain
        if not (is_kind and fits(part)):
            place = f'model.{name}' if name else 'the model'
            raise ExportError(
                f'{place} is not a plain {kind.__name__} of MMDetection (type '
                f'{type(part).__name__}), the only kind that can go to this target'
            )
    for name, cfg in (('rpn', model.rpn_head.test_cfg), ('rcnn', model.roi_head.test_cfg)):
        nms_cfg = {key: value for key, value in cfg.nms.items() if key != 'split_thr'}
        if nms_cfg.pop('type', 'nms') != 'nms' or nms_cfg.keys() != {'iou_threshold'}:
            raise ExportError(
                f'test_cfg.{name}.nms is {dict(cfg.nms)}; only type nms with an iou_threshold '
                'can go to this target'
            )


def _is_plain_coder(coder: DeltaXYWHBBoxCoder) -> bool:
    return coder.clip_border and not coder.add_ctr_clamp and not coder.use_box_type


def _has_aligned_layers(extractor: SingleRoIExtractor) -> bool:
    return len(extractor.roi_layers) > 1 and all(
        isinstance(layer, RoIAlign) and layer.aligned and layer.pool_mode == 'avg'
        for layer in extractor.roi_layers
    )
