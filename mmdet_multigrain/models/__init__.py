"""Modules of the detector: box heads and losses, registered in mmdet's `MODELS`."""

from .bbox_heads import MergedBBoxHead, MultiBranchBBoxHead, MultiGrainedBBoxHead
from .losses import HierarchicalCrossEntropyLoss

__all__ = [
    'HierarchicalCrossEntropyLoss',
    'MergedBBoxHead',
    'MultiBranchBBoxHead',
    'MultiGrainedBBoxHead',
]
