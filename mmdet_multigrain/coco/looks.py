"""How photos look to OpenCV, as detectors read them: how dark they are, and which look the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SIDE = 32  # of a thumbnail, in pixels
REDUCED = 64  # a JPEG is decoded at 1/2, 1/4 or 1/8, but not below these sides
# Two photos look the same if thumbnails of 9 x 8 pixels have the same gradients (the difference hash
# of 64 bits), but for a few, and those of 32 x 32 pixels nearly the same gray values.
MAX_BITS = 3
MIN_STEP = 1.0  # gray values from one pixel to the next that make a gradient
MAX_GRAY = 6.0  # mean difference of gray values, of 255; and below
MAX_SHARE = 0.15  # of their standard deviation
MAX_DARK, MAX_PEAK = 16, 64  # of 255; all but 0.5% of the pixels, and all, of a black photo
MIN_RANGE = 8  # of the gray values of a photo, without 0.5% at each end
CHUNK = 1024  # photos that are compared with all others at a time


@dataclass(frozen=True, eq=False)
class Look:
    """A photo in gray."""

    thumbnail: np.ndarray  # (32, 32) uint8
    gradients: np.ndarray  # (64,) bool; the difference hash
    low: float  # the gray value below which 0.5% of the pixels are,
    high: float  # 99.5%,
    peak: float  # and all

    @property
    def is_black(self) -> bool:
        """Whether nothing can be seen in it: 16-bit photos that use few bits come out so."""
        return self.high <= MAX_DARK or self.peak <= MAX_PEAK

    @property
    def is_blank(self) -> bool:
        """Whether it is of one color, as a drawing in the alpha channel comes out."""
        return self.high - self.low <= MIN_RANGE


def look_at(path: str | os.PathLike[str]) -> Look | None:
    """Decode a photo, JPEGs at a reduced size; None if that fails."""
    import cv2  # slow to import

    cv2.setNumThreads(1)
    try:
        content = np.fromfile(path, np.uint8)
        gray = cv2.imdecode(content, _flag(content)) if content.size else None
    except (OSError, cv2.error):
        return None
    if gray is None:
        return None
    thumbnail = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    tiny = cv2.resize(gray.astype(np.float32), (9, 8), interpolation=cv2.INTER_AREA)
    gradients = (tiny[:, 1:] > tiny[:, :-1] + MIN_STEP).ravel()
    low, high = np.percentile(gray, (0.5, 99.5)).tolist()
    return Look(thumbnail, gradients, low, high, float(gray.max()))


def _flag(content: np.ndarray) -> int:
    """How to decode: other formats than JPEG would be reduced without averaging."""
    import cv2

    from mmdet_multigrain.utils.images import jpeg_size

    size = jpeg_size(content[: 1 << 16].tobytes())
    for factor in (8, 4, 2):
        if size is not None and min(size) >= factor * REDUCED:
            return getattr(cv2, f'IMREAD_REDUCED_GRAYSCALE_{factor}')
    return cv2.IMREAD_GRAYSCALE


def look_alikes(first: Sequence[Look], second: Sequence[Look]) -> Iterator[tuple[int, int]]:
    """Pairs of photos that look the same, one of each sequence: copies, resized, re-encoded, bursts.

    Photos of one color are left out: they all look the same.
    """
    rows, others = (
        [number for number, look in enumerate(looks) if not look.is_blank]
        for looks in (first, second)
    )
    if not rows or not others:
        return
    bits, other_bits = (
        np.stack([looks[number].gradients for number in numbers]).astype(np.float32) * 2 - 1
        for looks, numbers in ((first, rows), (second, others))
    )
    least = bits.shape[1] - 2 * MAX_BITS  # each bit that differs takes 2 off
    for start in range(0, len(rows), CHUNK):
        near = bits[start : start + CHUNK] @ other_bits.T >= least
        for row, other in zip(*np.nonzero(near), strict=True):
            pair = rows[start + row], others[other]
            if _look_same(first[pair[0]].thumbnail, second[pair[1]].thumbnail):
                yield pair


def _look_same(one: np.ndarray, other: np.ndarray) -> bool:
    one, other = one.astype(np.float32), other.astype(np.float32)
    return np.abs(one - other).mean() <= min(MAX_GRAY, 1 + MAX_SHARE * one.std())
