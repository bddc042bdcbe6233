"""Image sizes from file headers: as a reader sees the image, without decoding it.

Needs neither torch nor mmdet. Decoding belongs to the data sets' pipelines.
"""

from __future__ import annotations

import os

from PIL import Image

IMAGE_SUFFIXES = frozenset({'.jpg', '.jpeg', '.png'})
EXIF_ORIENTATION = 0x0112


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(width, height) as an image reader sees them, from the file's header only.

    OpenCV, and with it MMDetection, turns an image upright by its EXIF orientation: 5 to 8 swap
    the sides.

    Raises:
        ValueError: The file is not a readable JPEG or PNG.
    """
    try:
        with Image.open(path, formats=('JPEG', 'PNG')) as image:
            width, height = image.size
            turned = image.getexif().get(EXIF_ORIENTATION) in (5, 6, 7, 8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from None
    return (height, width) if turned else (width, height)
