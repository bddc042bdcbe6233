"""Taxonomies: fine classes, the superclasses that group them, and the names data files use.

Needs PyYAML, orjson and NumPy only: no torch, no mmcv, no mmdet.
"""

from mmdet_multigrain.utils.errors import TaxonomyError

from .taxonomy import Taxonomy

__all__ = ['Taxonomy', 'TaxonomyError']
