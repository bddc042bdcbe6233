"""Taxonomies: fine classes, the superclasses that group them, and the names data files use.

Needs PyYAML only: no torch, no mmcv, no mmdet.
"""

from .coco import coco_parent_categories
from .errors import TaxonomyError
from .palette import superclass_palette
from .taxonomy import Taxonomy

__all__ = ['Taxonomy', 'TaxonomyError', 'coco_parent_categories', 'superclass_palette']
