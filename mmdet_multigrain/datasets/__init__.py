"""Data sets with a taxonomy, and orders of training; registered in mmdet's registries."""

from . import samplers, transforms
from .deepfashion2 import DeepFashion2Dataset
from .openimages_v4_clothing import OpenImagesV4ClothingDataset
from .seeded_dataset import SeededDataset
from .superclass_coco import SuperclassCocoDataset, taxonomy_metainfo
from .taxonomy_coco import TaxonomyCOCO

__all__ = [
    'DeepFashion2Dataset',
    'OpenImagesV4ClothingDataset',
    'SeededDataset',
    'SuperclassCocoDataset',
    'TaxonomyCOCO',
    'samplers',
    'taxonomy_metainfo',
    'transforms',
]
