"""COCO's index over an annotation file that is read with a taxonomy.

`mmdet_multigrain.coco.annotations` reads, checks and matches; here is only what CocoDataset and
CocoMetric need from their reader.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError

__all__ = ['AnnotationError', 'TaxonomyCOCO']


class TaxonomyCOCO(COCO):
    """A COCO index whose categories are in the label order of a taxonomy.

    Args:
        annotation_file (str | Path): The COCO JSON file.
        taxonomy (Taxonomy): Classes to match.
        allow_missing (bool): Accept that the file lacks classes of the taxonomy.
            Defaults to False.
        allow_unknown (bool): Accept annotated categories that the taxonomy lacks; their boxes
            are left out, counted and logged. Defaults to False.
        coarse (bool): Accept categories that are groups of the taxonomy. Defaults to False.
        on_unknown (str): What the log says is done with boxes of unknown classes.
            Defaults to 'left out'.

    Attributes:
        category_ids (list[int]): Category id of each label; with `coarse`, of all granularities.
        file (AnnotationFile): The checked file.

    Raises:
        AnnotationError: If the file is missing, is not a COCO file, or is inconsistent.
        TaxonomyError: If categories and taxonomy do not match.
    """

    def __init__(
        self,
        annotation_file: str | Path,
        *,
        taxonomy: Taxonomy,
        allow_missing: bool = False,
        allow_unknown: bool = False,
        coarse: bool = False,
        on_unknown: str = 'left out',
    ) -> None:
        super().__init__()
        file = AnnotationFile(
            annotation_file,
            taxonomy=taxonomy,
            allow_missing=allow_missing,
            allow_unknown=allow_unknown,
            coarse=coarse,
            on_unknown=on_unknown,
        )
        for note in file.notes:
            print_log(note, 'current')
        self.file, self.path, self.taxonomy = file, file.path, taxonomy
        self.dataset = file.dataset
        self.category_ids = file.category_ids
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
