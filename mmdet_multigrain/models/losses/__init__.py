"""Classification losses over the levels of a taxonomy, and how levels become probabilities."""

from .hierarchical_cross_entropy_loss import HierarchicalCrossEntropyLoss
from .node_loss import NodeLoss
from .score_fusion import ConditionalFusion, NorCal, ProductFusion, ScoreFusion

__all__ = [
    'ConditionalFusion',
    'HierarchicalCrossEntropyLoss',
    'NodeLoss',
    'NorCal',
    'ProductFusion',
    'ScoreFusion',
]
