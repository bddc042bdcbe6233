"""Data sets with a taxonomy, registered in mmdet's `DATASETS`."""

from .deepfashion2 import DeepFashion2Dataset
from .openimages_v4_clothing import OpenImagesV4ClothingDataset
from .superclass_coco import SuperclassCocoDataset, taxonomy_metainfo
from .taxonomy_coco import AnnotationError, TaxonomyCOCO

__all__ = [
    'AnnotationError',
    'DeepFashion2Dataset',
    'OpenImagesV4ClothingDataset',
    'SuperclassCocoDataset',
    'TaxonomyCOCO',
    'taxonomy_metainfo',
]
