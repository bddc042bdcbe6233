"""Sizes of Open Images' images: of the files in a folder, or from a CSV file.

The release's box files do not have them, but COCO's boxes are in pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.images import TURNS, image_headers
from mmdet_multigrain.utils.problems import Problems

from .openimages_rows import add_rows, leave_out, read_rows

IMAGE_SUFFIX = '.jpg'  # after the ImageID, in the release
SIZE_COLUMNS = ('ImageID', 'Width', 'Height')
MAX_SIDE = 1 << 16  # pixels; a JPEG image has no longer one
_NO_SIZES = {'ImageID': pl.String, 'width': pl.Int64, 'height': pl.Int64}


def sizes_of_files(
    image_ids: pl.Series,
    folder: str | Path,
    *,
    problems: Problems,
    workers: int | None = None,
    progress: bool = False,
) -> pl.DataFrame:
    """A frame of `ImageID`, `width` and `height` of the images `{ImageID}.jpg` in a folder.

    Images that are absent, unreadable or turned by EXIF are counted; the last keep their boxes.

    Raises:
        ConverterError: There is no such folder.
    """
    try:
        there = {*os.listdir(folder)}
    except OSError as error:
        raise ConverterError(
            f'{folder}: no folder of images ({error.strerror}); check --images'
        ) from None
    names = [image_id + IMAGE_SUFFIX for image_id in image_ids]
    for name in names:
        if name not in there:
            problems.add('image that is not in the folder', name)
    names = [name for name in names if name in there]
    paths = [os.path.join(folder, name) for name in names]
    headers, sizes = image_headers(paths, workers=workers, progress=progress), []
    for name, header in zip(names, headers, strict=True):
        if isinstance(header, str):
            problems.add('unreadable image', f'{name} ({header})')
            continue
        sizes.append((name.removesuffix(IMAGE_SUFFIX), *header.size))
        if header.orientation > 1:  # the release's own copies have no such tag
            problems.add(
                'image that EXIF turns: its boxes may be those of the stored pixels '
                '(if so, remove its orientation tag)',
                f'{name} ({TURNS[header.orientation]})',
            )
    return pl.DataFrame(sizes, schema=_NO_SIZES, orient='row')


def sizes_of_csv(
    image_ids: pl.Series, path: str | Path, *, problems: Problems, progress: bool = False
) -> pl.DataFrame:
    """A frame of `ImageID`, `width` and `height` of images, from a CSV file with these columns.

    Unusable rows, and images that the file lacks, are counted.

    Raises:
        ConverterError: The file cannot be read, or a column is missing.
    """
    path = Path(path)
    wanted = image_ids.to_frame('ImageID')
    found = [pl.DataFrame(schema={'line': pl.UInt32, **_NO_SIZES})]
    for rows in read_rows(path, SIZE_COLUMNS, problems=problems, progress=progress):
        # By way of floats: a table with a gap in it writes 1024.0.
        sides = [pl.col(side).cast(pl.Float64, strict=False) for side in ('Width', 'Height')]
        usable = [side.is_between(1, MAX_SIDE) & (side == side.round()) for side in sides]
        rows = leave_out(
            rows.join(wanted, on='ImageID', how='semi'),
            ~pl.all_horizontal(usable).fill_null(False),
            problems,
            'size that is not a number of pixels',
            lambda row: f'{path.name} line {row["line"]} {row["Width"]} x {row["Height"]}',
        )
        width, height = (side.cast(pl.Int64) for side in sides)
        found.append(rows.select('line', 'ImageID', width=width, height=height))
    sizes = pl.concat(found).unique(['ImageID', 'width', 'height'], keep='first').sort('line')
    sizes = leave_out(
        sizes,
        ~pl.col('ImageID').is_first_distinct(),
        problems,
        'second size of an image',
        lambda row: f'{path.name} line {row["line"]} {row["ImageID"]}',
    ).drop('line')
    add_rows(
        problems,
        f'image without a size in {path.name}',
        wanted.join(sizes, on='ImageID', how='anti', maintain_order='left'),
        lambda row: row['ImageID'] + IMAGE_SUFFIX,
    )
    return sizes
