"""Modules of the detector: heads, losses, RoI extractors, registered in mmdet's `MODELS`."""

from .bbox_heads import MergedBBoxHead, MultiBranchBBoxHead, MultiGrainedBBoxHead
from .dense_heads import Float32RPNHead
from .losses import HierarchicalCrossEntropyLoss
from .roi_extractors import PlainRoIExtractor

__all__ = [
    'Float32RPNHead',
    'HierarchicalCrossEntropyLoss',
    'MergedBBoxHead',
    'MultiBranchBBoxHead',
    'MultiGrainedBBoxHead',
    'PlainRoIExtractor',
]
