"""Modules of the detector, registered in mmdet's `MODELS`."""

from .backbones import EfficientNetLite, PackagedEfficientNetLite0
from .bbox_heads import MergedBBoxHead, MultiBranchBBoxHead, MultiGrainedBBoxHead
from .dense_heads import Float32RPNHead, NodeDINOHead, NodeHead, NodeRTMDetSepBNHead
from .detectors import NodeDINO
from .losses import ConditionalFusion, HierarchicalCrossEntropyLoss, NorCal, ProductFusion
from .roi_extractors import PlainRoIExtractor
from .roi_heads import (
    FederatedCascadeRoIHead,
    FederatedStandardRoIHead,
    LineageCascadeRoIHead,
    LineageStandardRoIHead,
)
from .task_modules import IgnoreRegionAssigner, NodeSoftLabelAssigner

__all__ = [
    'ConditionalFusion',
    'EfficientNetLite',
    'FederatedCascadeRoIHead',
    'FederatedStandardRoIHead',
    'Float32RPNHead',
    'HierarchicalCrossEntropyLoss',
    'IgnoreRegionAssigner',
    'LineageCascadeRoIHead',
    'LineageStandardRoIHead',
    'MergedBBoxHead',
    'MultiBranchBBoxHead',
    'MultiGrainedBBoxHead',
    'NodeDINO',
    'NodeDINOHead',
    'NodeHead',
    'NodeRTMDetSepBNHead',
    'NodeSoftLabelAssigner',
    'NorCal',
    'PackagedEfficientNetLite0',
    'PlainRoIExtractor',
    'ProductFusion',
]
