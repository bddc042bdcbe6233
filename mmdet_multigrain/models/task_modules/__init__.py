"""Assigners that replace the stock ones."""

from .ignore_region_assigner import IgnoreRegionAssigner
from .node_soft_label_assigner import NodeSoftLabelAssigner

__all__ = ['IgnoreRegionAssigner', 'NodeSoftLabelAssigner']
