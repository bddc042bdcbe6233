"""DeepFashion2: 13 garment classes in 3 superclasses."""

from mmdet.registry import DATASETS

from mmdet_multigrain.taxonomy import Taxonomy

from .superclass_coco import SuperclassCocoDataset, taxonomy_metainfo


@DATASETS.register_module()
class DeepFashion2Dataset(SuperclassCocoDataset):
    """DeepFashion2 in COCO format, from our converter or the official script.

    Takes the category names of the release ("short sleeve top"), of the official converter
    ("short_sleeved_shirt") and of the paper ("short sleeve shirt").
    """

    METAINFO = taxonomy_metainfo(Taxonomy.load('deepfashion2'))
