"""Assigners that replace the stock ones in two-stage detectors."""

from .ignore_region_assigner import IgnoreRegionAssigner

__all__ = ['IgnoreRegionAssigner']
