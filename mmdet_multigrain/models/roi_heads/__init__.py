"""RoI heads that hand on what stock ones keep: facts about images, and where detections come from."""

from .federated import FederatedCascadeRoIHead, FederatedRoIHeadMixin, FederatedStandardRoIHead
from .lineage import LineageCascadeRoIHead, LineageRoIHeadMixin, LineageStandardRoIHead

__all__ = [
    'FederatedCascadeRoIHead',
    'FederatedRoIHeadMixin',
    'FederatedStandardRoIHead',
    'LineageCascadeRoIHead',
    'LineageRoIHeadMixin',
    'LineageStandardRoIHead',
]
