"""Classification losses over the levels of a taxonomy."""

from .hierarchical_cross_entropy_loss import HierarchicalCrossEntropyLoss

__all__ = ['HierarchicalCrossEntropyLoss']
