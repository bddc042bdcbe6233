"""Augmentation, and faster ways through stock pipelines, registered in mmdet's `TRANSFORMS`."""

from .fast_loading import FastLoading, use_fast_loading
from .load_resized import LoadResized
from .packing import PlanarPackDetInputs, collate_by_value
from .random_crop_resize import RandomCropResize

__all__ = [
    'FastLoading',
    'LoadResized',
    'PlanarPackDetInputs',
    'RandomCropResize',
    'collate_by_value',
    'use_fast_loading',
]
