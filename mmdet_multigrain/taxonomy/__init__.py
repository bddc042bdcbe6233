"""Taxonomies: fine classes, the superclasses that group them, and the names data files use.

Needs PyYAML only: no torch, no mmcv, no mmdet.
"""

from mmdet_multigrain.coco.hierarchy import coco_parent_categories
from mmdet_multigrain.utils.messages import TaxonomyError
from mmdet_multigrain.visualization.palette import superclass_palette

from .taxonomy import Taxonomy

__all__ = ['Taxonomy', 'TaxonomyError', 'coco_parent_categories', 'superclass_palette']
