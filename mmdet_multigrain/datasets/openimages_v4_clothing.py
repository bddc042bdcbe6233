"""OpenImagesV4-Clothing: the 40 leaf classes below "Clothing" in Open Images V4."""

from mmdet.registry import DATASETS

from mmdet_multigrain.taxonomy import Taxonomy

from .superclass_coco import SuperclassCocoDataset, taxonomy_metainfo


@DATASETS.register_module()
class OpenImagesV4ClothingDataset(SuperclassCocoDataset):
    """Clothing boxes of Open Images V4 in COCO format.

    Takes display names ("High heels") and label names ("/m/...") as categories.
    """

    METAINFO = taxonomy_metainfo(Taxonomy.load('openimages_v4_clothing'))
