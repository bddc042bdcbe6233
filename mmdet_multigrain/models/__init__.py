"""Modules of the detector, registered in mmdet's `MODELS`."""

from .backbones.efficientnet_lite import EfficientNetLite, PackagedEfficientNetLite0
from .bbox_heads.merged_bbox_head import MergedBBoxHead
from .bbox_heads.multi_branch_bbox_head import MultiBranchBBoxHead
from .bbox_heads.multi_grained_bbox_head import MultiGrainedBBoxHead
from .dense_heads.float32_rpn_head import Float32RPNHead
from .dense_heads.node_dino_head import NodeDINOHead
from .dense_heads.node_head import NodeHead
from .dense_heads.node_rtmdet_head import NodeRTMDetSepBNHead
from .detectors.node_dino import NodeDINO
from .losses.hierarchical_cross_entropy_loss import HierarchicalCrossEntropyLoss
from .losses.score_fusion import ConditionalFusion, NorCal, ProductFusion
from .roi_extractors.plain_roi_extractor import PlainRoIExtractor
from .roi_heads.federated import FederatedCascadeRoIHead, FederatedStandardRoIHead
from .roi_heads.lineage import LineageCascadeRoIHead, LineageStandardRoIHead
from .task_modules.ignore_region_assigner import IgnoreRegionAssigner
from .task_modules.node_soft_label_assigner import NodeSoftLabelAssigner

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
