"""RoI heads that tell their box heads which classes the annotations of an image leave out."""

from .federated import FederatedCascadeRoIHead, FederatedRoIHeadMixin, FederatedStandardRoIHead

__all__ = ['FederatedCascadeRoIHead', 'FederatedRoIHeadMixin', 'FederatedStandardRoIHead']
