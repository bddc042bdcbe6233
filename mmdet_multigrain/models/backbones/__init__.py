"""Backbones for small machines."""

from .efficientnet_lite import EfficientNetLite, PackagedEfficientNetLite0

__all__ = ['EfficientNetLite', 'PackagedEfficientNetLite0']
