"""Boxes of Open Images as a COCO file: coordinates in pixels, and the fields that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from mmdet_multigrain.coco.writer import open_coco
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.progress import progress_bar

from .openimages_sizes import IMAGE_SUFFIX

#: Columns of 1, 0 and -1 for "unknown", and what they are called in the COCO file.
FLAGS = {
    'IsOccluded': 'is_occluded',
    'IsTruncated': 'is_truncated',
    'IsGroupOf': 'is_group_of',
    'IsDepiction': 'is_depiction',
    'IsInside': 'is_inside',
}
TEXTS = {'Source': 'source'}
CONFIDENCE = {'Confidence': 'confidence'}
OPTIONAL = {**FLAGS, **TEXTS, **CONFIDENCE}
DECIMALS = 3  # of a pixel: the release's six of an image's side tell no more
WRITTEN_IMAGES = 20_000  # at a time


def in_pixels() -> list[pl.Expr]:
    """COCO's x, y, w, h as columns; between corners that are rounded alike, boxes fit together."""
    left, right, top, bottom = (
        (pl.col(corner) * pl.col(side)).round(DECIMALS)
        for corner, side in (('x1', 'width'), ('x2', 'width'), ('y1', 'height'), ('y2', 'height'))
    )
    return [
        left.alias('x'),
        top.alias('y'),
        (right - left).round(DECIMALS).alias('w'),
        (bottom - top).round(DECIMALS).alias('h'),
    ]


def write_boxes(
    boxes: pl.DataFrame,
    fields: pl.DataFrame,
    out_file: Path,
    info: dict[str, Any],
    taxonomy: Taxonomy,
    *,
    progress: bool,
) -> int:
    """Write boxes that are sorted by image, and further fields of images; the number of images."""
    is_crowd = pl.col('is_group_of') == 1 if 'is_group_of' in boxes.columns else pl.lit(False)
    annotation = pl.struct(
        (pl.col('label') + 1).alias('category_id'),
        pl.concat_list('x', 'y', 'w', 'h').alias('bbox'),
        (pl.col('w') * pl.col('h')).round(DECIMALS).alias('area'),
        is_crowd.cast(pl.Int8).alias('iscrowd'),
        *(new for new in OPTIONAL.values() if new in boxes.columns),
    )
    more = fields.columns[1:]
    image = pl.struct(
        (pl.col('ImageID') + IMAGE_SUFFIX).alias('file_name'), 'width', 'height', *more
    )
    images = (
        boxes.group_by('ImageID', maintain_order=True)
        .agg(pl.len().alias('count'), pl.col('width', 'height').first())
        .join(fields, on='ImageID', how='left', maintain_order='left')
    )
    coarse = boxes['label'].filter(boxes['label'] > taxonomy.num_classes).unique().sort()
    first = 0
    with (
        open_coco(out_file, info, taxonomy, coarse=coarse.to_list()) as coco,
        progress_bar(total=len(images), desc='writing', unit='image', show=progress) as bar,
    ):
        for part in images.iter_slices(WRITTEN_IMAGES):
            count = part['count'].sum()
            coco.add_all(
                _encode(part, image),
                _encode(boxes[first : first + count], annotation),
                part['count'],
            )
            first += count
            bar.update(len(part))
    return len(images)


def _encode(rows: pl.DataFrame, value: pl.Expr) -> list[bytes]:
    return rows.select(value.struct.json_encode().cast(pl.Binary)).to_series().to_list()
