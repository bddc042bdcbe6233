"""COCO's index over an annotation file that is read with a taxonomy (`coco.annotations`)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from mmdet_multigrain.coco.annotations import AnnotationFile


class TaxonomyCOCO(COCO):
    """A COCO index whose categories are in the label order of a taxonomy.

    Args:
        annotation_file: The COCO JSON file.
        **options: `taxonomy` and other arguments of `AnnotationFile`, which raises what is wrong.

    Attributes:
        category_ids: Category id of each label; with `coarse`, of all granularities.
        file: The checked file.
    """

    def __init__(self, annotation_file: str | Path, **options: Any) -> None:
        super().__init__()
        file = AnnotationFile(annotation_file, **options)
        for note in file.notes:
            print_log(note, 'current')
        self.file, self.path, self.taxonomy = file, file.path, file.taxonomy
        self.dataset, self.category_ids = file.dataset, file.category_ids
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(
        self,
        cat_names: Sequence[str] = (),
        sup_names: Sequence[str] = (),
        cat_ids: Sequence[int] = (),
    ) -> list[int]:
        """Category ids in label order; with `cat_names`, in the order of these names.

        Those of coarse labels, which have other names than classes, follow behind.

        Stock CocoDataset and CocoMetric take the n-th id for label n but get them in the order
        of the file; this is the seam where the order becomes the taxonomy's.
        """
        if cat_names:
            ids = [self.category_ids[self.taxonomy.label_of(name)] for name in cat_names]
            return ids + self.category_ids[self.taxonomy.num_classes :]
        return super().get_cat_ids(cat_names, sup_names, cat_ids)
