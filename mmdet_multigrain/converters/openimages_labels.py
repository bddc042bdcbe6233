"""What the verified image labels of Open Images tell: the classes that each image annotates.

Annotators drew boxes only of classes that were verified to be on an image. Of the others, a place
without a box says nothing, unless the class was verified to be absent. LVIS has fields for that:
`neg_category_ids` are absent, `not_exhaustive_category_ids` have boxes, but not of all objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from mmdet_multigrain.coco.unannotated import NEGATIVE, PARTIAL
from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.problems import Problems

from .openimages_rows import leave_out, read_rows
from .openimages_selection import Selection

COLUMNS = ('ImageID', 'LabelName', 'Confidence')
FIELDS = (NEGATIVE, PARTIAL)
_PAIR = ['ImageID', 'label']
_NO_PAIRS = {'ImageID': pl.String, 'label': pl.Int32}


def read_absent(
    path: str | Path, selection: Selection, *, problems: Problems, progress: bool = False
) -> pl.DataFrame:
    """A frame of `ImageID` and `label`: classes verified to be absent, or below an absent node.

    The file, e.g. `train-annotations-human-imagelabels-boxable.csv`, has Confidence 1 (present) or
    0 (absent). Unusable rows are counted as problems.

    Raises:
        ConverterError: The file cannot be read, a column is missing, or its labels are not verified.
    """
    path, found, wrong = Path(path), [pl.DataFrame(schema=_NO_PAIRS)], 0
    classes = _table(selection.below)
    for rows in read_rows(
        path, COLUMNS, problems=problems, progress=progress, containing=selection.below
    ):
        confidence = pl.col('Confidence').cast(pl.Float64, strict=False)
        is_verified = confidence.is_in([0.0, 1.0]).fill_null(False)
        verified = leave_out(
            rows,
            ~is_verified,
            problems,
            'image label with a Confidence other than 0 and 1',
            lambda row: f'{path.name} line {row["line"]} {row["Confidence"]}',
        )
        wrong += len(rows) - len(verified)
        found.append(verified.filter(confidence == 0).join(classes, 'LabelName')[_PAIR])
    absent = pl.concat(found).unique()
    if wrong and not len(absent):
        raise ConverterError(
            f'{path}: no class with Confidence 0, and {wrong:,} with fractions; these labels are of a '
            'machine: name the file of human-verified ones'
        )
    return absent


def image_fields(
    boxes: pl.DataFrame, left_out: pl.DataFrame, absent: pl.DataFrame, selection: Selection
) -> pl.DataFrame:
    """A frame of `ImageID` and LVIS's `FIELDS` of images with boxes; ids are label + 1, as in COCO.

    Args:
        boxes: `ImageID` and `label` of the boxes in the file.
        left_out: `ImageID` and `LabelName` of boxes of the classes that were left out: other boxes of
            these classes are not all there are.
        absent: What `read_absent` returns.
        selection: The classes.
    """
    boxed = boxes[_PAIR].unique()
    absent = absent.join(boxed, on=_PAIR, how='anti')
    missing = left_out.unique().join(_table(selection.below), 'LabelName')[_PAIR].unique()
    partly = missing.join(boxed, on=_PAIR, how='semi')
    images = boxes.select(pl.col('ImageID').unique())
    for name, pairs in zip(FIELDS, (absent, partly), strict=True):
        ids = pairs.group_by('ImageID').agg((pl.col('label') + 1).sort().alias(name))
        images = images.join(ids, 'ImageID', 'left')
    return images.with_columns(pl.col(FIELDS).fill_null([]))


def _table(classes: Mapping[str, Iterable[int]]) -> pl.DataFrame:
    """A row for each LabelName and each of its classes."""
    rows = [(name, label) for name, labels in classes.items() for label in sorted(labels)]
    return pl.DataFrame(rows, schema={'LabelName': pl.String, 'label': pl.Int32}, orient='row')
