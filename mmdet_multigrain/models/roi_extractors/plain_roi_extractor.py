"""RoIAlign on what its kernels can read, whatever precision and memory format the body has."""

from __future__ import annotations

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class PlainRoIExtractor(SingleRoIExtractor):
    """SingleRoIExtractor that gives RoIAlign contiguous features in single precision.

    mmcv's RoIAlign has no kernel for bfloat16. It has one for half precision, but there the stock
    extractor rounds the boxes too, to whole pixels from 1024 on. And it takes the storage of
    channels-last features for that of contiguous ones, which silently gives wrong numbers.

    On contiguous features in single precision it is the stock extractor, bit for bit.
    """

    def forward(
        self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Features (N, C, h, w) in single precision, of RoIs (N, 5): image, x1, y1, x2, y2."""
        plain = tuple(feat.float().contiguous() for feat in feats)
        with torch.autocast(rois.device.type, enabled=False):
            return super().forward(plain, rois, roi_scale_factor)
