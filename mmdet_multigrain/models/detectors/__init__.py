"""Detectors that hand on labels which stock ones do not know."""

from .node_dino import NodeDINO

__all__ = ['NodeDINO']
