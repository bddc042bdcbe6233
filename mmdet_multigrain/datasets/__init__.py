"""Data sets with a taxonomy, and orders of training; registered in mmdet's registries."""

from .deepfashion2 import DeepFashion2Dataset
from .openimages_v4_clothing import OpenImagesV4ClothingDataset
from .samplers import (
    ExactAspectRatioBatchSampler,
    ExactClassAwareSampler,
    ExactInfiniteSampler,
    ExactSampler,
)
from .seeded_dataset import SeededDataset
from .superclass_coco import SuperclassCocoDataset, taxonomy_metainfo
from .taxonomy_coco import TaxonomyCOCO
from .transforms import FastLoading

__all__ = [
    'DeepFashion2Dataset',
    'ExactAspectRatioBatchSampler',
    'ExactClassAwareSampler',
    'ExactInfiniteSampler',
    'ExactSampler',
    'FastLoading',
    'OpenImagesV4ClothingDataset',
    'SeededDataset',
    'SuperclassCocoDataset',
    'TaxonomyCOCO',
    'taxonomy_metainfo',
]
