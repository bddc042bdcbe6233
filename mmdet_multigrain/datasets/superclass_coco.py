"""COCO data sets whose classes have superclasses.

Here belongs what MMDetection's CocoDataset does not do: label order from a taxonomy, errors for
what does not match, and counts of what is left out. Reading the file is `taxonomy_coco`'s part.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from mmdet_multigrain.taxonomy import Taxonomy, superclass_palette

from .taxonomy_coco import AnnotationError, TaxonomyCOCO


def taxonomy_metainfo(taxonomy: Taxonomy) -> dict[str, Any]:
    """What a data set of this taxonomy tells about itself: plain values, so checkpoints keep it."""
    return dict(
        classes=taxonomy.classes,
        palette=superclass_palette(taxonomy),
        taxonomy=taxonomy.to_dict(),
    )


@DATASETS.register_module()
class SuperclassCocoDataset(CocoDataset):
    """A COCO file read with a taxonomy.

    Label n is the n-th class of the taxonomy, wherever the file lists it and whichever of its
    aliases the file uses. Classes that do not match raise an error; boxes that are left out
    (outside the image, smaller than a pixel) are counted and reported once.

    Args:
        ann_file (str): COCO JSON file, relative to `data_root`.
        taxonomy (Taxonomy | str | Mapping, optional): The taxonomy, or what `Taxonomy.load`
            takes. Defaults to the one in METAINFO.
        metainfo (Mapping, optional): Further entries; `classes` may only repeat the taxonomy's.
        allow_missing (bool): Accept a file that lacks classes of the taxonomy.
            Defaults to False.
        allow_unknown (bool): Leave out boxes of classes that the taxonomy lacks instead of
            raising. Defaults to False.
        **kwargs: Arguments of CocoDataset.

    Attributes:
        taxonomy (Taxonomy): The taxonomy.
        box_counts (list[int]): Boxes of each class in the file, crowds not counted.

    Raises:
        ValueError: If there is no taxonomy, or if file and taxonomy do not fit.
    """

    METAINFO: dict = dict()

    def __init__(
        self,
        ann_file: str = '',
        *,
        taxonomy: Taxonomy | str | Mapping | None = None,
        metainfo: Mapping | None = None,
        allow_missing: bool = False,
        allow_unknown: bool = False,
        **kwargs,
    ) -> None:
        taxonomy = taxonomy if taxonomy is not None else self.METAINFO.get('taxonomy')
        if taxonomy is None:
            raise ValueError(f'{type(self).__name__} needs a taxonomy: a name, a YAML or COCO file')
        self.taxonomy = Taxonomy.load(taxonomy)
        metainfo = dict(metainfo or {})
        classes = metainfo.pop('classes', None)
        if classes is not None and tuple(classes) != self.taxonomy.classes:
            raise ValueError(
                f'{ann_file}: metainfo classes differ from those of taxonomy '
                f'{self.taxonomy.name!r}; leave them out, the taxonomy gives them'
            )
        self.box_counts = [0] * self.taxonomy.num_classes
        self._num_left_out = 0
        # CocoDataset builds its reader as self.COCOAPI(path).
        self.COCOAPI = functools.partial(
            TaxonomyCOCO,
            taxonomy=self.taxonomy,
            allow_missing=allow_missing,
            allow_unknown=allow_unknown,
        )
        super().__init__(
            ann_file=ann_file,
            metainfo={**taxonomy_metainfo(self.taxonomy), **metainfo},
            **kwargs,
        )

    def full_init(self) -> None:
        """Read and filter the annotations; an empty result is an error."""
        if self._fully_initialized:
            return
        super().full_init()
        if len(self) == 0:
            raise AnnotationError(
                f'{self.ann_file}: no image is left after filtering; its boxes are missing or '
                'all left out, or every image is smaller than filter_cfg.min_size'
            )

    def load_data_list(self) -> list[dict]:
        """Read the annotation file; tell once what it holds and what was left out."""
        images = Path(self.data_prefix.get('img', ''))
        if str(images) and not images.is_dir():
            raise AnnotationError(f'{images}: no such image folder; check data_root, data_prefix')
        data_list = super().load_data_list()
        message = (
            f'{self.ann_file}: {len(data_list)} images, {sum(self.box_counts)} boxes of '
            f'{self.taxonomy.num_classes} classes'
        )
        if self._num_left_out:
            message += (
                f'; left out {self._num_left_out} boxes (outside the image, smaller than a '
                'pixel, marked ignore, or of an unknown class)'
            )
        print_log(message, 'current')
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Parse one image as CocoDataset does, counting boxes."""
        data_info = super().parse_data_info(raw_data_info)
        instances = data_info['instances']
        for instance in instances:
            self.box_counts[instance['bbox_label']] += not instance['ignore_flag']
        self._num_left_out += len(raw_data_info['raw_ann_info']) - len(instances)
        return data_info

    def prepare_data(self, idx: int) -> Any:
        """Load and transform one sample; an unreadable image is named."""
        try:
            return super().prepare_data(idx)
        except FileNotFoundError as error:
            raise AnnotationError(
                f'{error.filename or error}: image not found, but {self.ann_file} lists it; '
                'add it or remove its entry'
            ) from None
        except AssertionError as error:
            # LoadImageFromFile asserts that decoding gave an image.
            if 'failed to load image' not in str(error):
                raise
            path = self.get_data_info(idx)['img_path']
            raise AnnotationError(
                f'{path}: not a readable image; replace it or remove its entry from {self.ann_file}'
            ) from None
