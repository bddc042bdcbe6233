"""A COCO file to be checked, what is known of its photos, and which image sizes are right."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_multigrain.coco.areas import JudgedAreas, judge_areas
from mmdet_multigrain.coco.columns import MIN_IMAGE_SIDE, CocoColumns
from mmdet_multigrain.coco.files import load_coco
from mmdet_multigrain.coco.masks import outline

from .layout import XYWH, box_layouts, swapped_sizes
from .photos import Photo

ROUNDING = 0.05  # pixels; boxes are often written with one or two decimals
SAME_SCALE = 0.02  # sizes that differ by less are not those of a resized photo


class CocoData(CocoColumns):
    """A COCO file, and what is known of its photos.

    Args:
        content: The loaded file.
        path: Where it is from.
        split: `train`, `val` or nothing, for findings.
        photos: By file name; None if photos are not read.
        not_strict, recovered: See `CocoFile`.
        max_examples: Of each kind of finding.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        *,
        path: Path,
        split: str = '',
        photos: Mapping[str, Photo] | None = None,
        not_strict: str = '',
        recovered: Mapping[str, int] | None = None,
        max_examples: int = 3,
    ) -> None:
        super().__init__(content)
        self.path, self.split = path, split
        self.photos, self.not_strict, self.max_examples = photos, not_strict, max_examples
        self.recovered = dict(recovered or {})

    def replaced(self, content: Mapping[str, Any]) -> CocoData:
        """The same with another content; what is known of photos stays."""
        kept = {name: getattr(self, name) for name in ('path', 'split', 'photos', 'max_examples')}
        return CocoData(content, **kept)

    def with_lists(self, **lists: list[dict[str, Any]]) -> dict[str, Any]:
        """The content with other lists; no list is added."""
        return {
            key: lists[key] if key in lists and isinstance(value, list) else value
            for key, value in self.content.items()
        }

    # ------------------------------------------------------------------ boxes

    @property
    def min_size(self) -> int:
        """Images with a smaller side do not count: training leaves them out, evaluation does not."""
        return 0 if self.split == 'val' else MIN_IMAGE_SIDE

    @cached_property
    def is_counted(self) -> np.ndarray:
        """(N,) whether training (`val`: evaluation) counts a box."""
        return self.counted(min_size=self.min_size)

    @cached_property
    def outlines(self) -> np.ndarray:
        """(N, 4) x1, y1, x2, y2 around the mask of each annotation; NaN where it has none."""
        outlines = [outline(item.get('segmentation')) for item in self.annotations]
        return np.array(outlines, dtype=np.float64).reshape(len(outlines), 4)

    @cached_property
    def judged_areas(self) -> JudgedAreas:
        """Which `area` is not that of its object, and what it is instead."""
        return judge_areas(self)

    @cached_property
    def layouts(self) -> np.ndarray:
        """(N,) how each box is meant; see `box_layouts`."""
        return box_layouts(self)

    @cached_property
    def is_swapped(self) -> np.ndarray:
        """(images,) whether width and height look swapped; see `swapped_sizes`."""
        return swapped_sizes(self)

    @cached_property
    def is_placed(self) -> np.ndarray:
        """(N,) whether layout and image size are beyond doubt, so that a place can be judged."""
        return (self.layouts == XYWH) & ~np.append(self.is_swapped, False)[self.image_of]

    def with_any(self, mask: np.ndarray) -> np.ndarray:
        """(images,) whether the mask (N,) holds for a box of the image."""
        rows = self.image_of[mask & (self.image_of >= 0)]
        return np.bincount(rows, minlength=len(self.images)) > 0

    def leaving(self, sizes: np.ndarray) -> np.ndarray:
        """(N,) whether a usable box reaches beyond its image; sizes as in `is_outside`."""
        of_box = self.of_boxes(sizes)
        near, far = self.corners[:, :2], self.corners[:, 2:]
        return ((near < -ROUNDING) & np.isfinite(of_box) | (far > of_box + ROUNDING)).any(1)

    # ------------------------------------------------------------------ photos

    def photo(self, row: int) -> Photo | None:
        """What is known of the photo of an image."""
        name = self.file_name(row)
        return self.photos.get(name) if self.photos is not None and name is not None else None

    def known_photos(self) -> Iterator[tuple[int, Photo]]:
        """Row and photo of each image whose photo was looked for."""
        photos = map(self.photo, range(len(self.images)))
        return ((row, photo) for row, photo in enumerate(photos) if photo is not None)

    @cached_property
    def seen(self) -> np.ndarray:
        """(images, 2) width and height of the photos; NaN where not read or unreadable."""
        sizes = np.full((len(self.images), 2), np.nan)
        for row, photo in self.known_photos():
            if photo.size:
                sizes[row] = photo.size
        return sizes

    @cached_property
    def differs(self) -> np.ndarray:
        """(images,) whether the photo has another size than stated."""
        return np.isfinite(self.seen).all(1) & (self.stated != self.seen).any(1)

    @cached_property
    def orientations(self) -> np.ndarray:
        """(images,) EXIF orientation of the photos; 1 where not read."""
        orientations = np.ones(len(self.images), int)
        for row, photo in self.known_photos():
            orientations[row] = photo.orientation
        return orientations

    @cached_property
    def _swaps_sides(self) -> np.ndarray:
        return (self.orientations >= 5) & (self.seen[:, 0] != self.seen[:, 1])

    @cached_property
    def _sized_as_stored(self) -> np.ndarray:
        return self._swaps_sides & (self.stated == self.seen[:, ::-1]).all(1)

    @cached_property
    def _is_silent(self) -> np.ndarray:
        """(images,) whether EXIF turns a photo with boxes and its stated size cannot tell."""
        can_tell = self._swaps_sides | self.differs | (self.boxes_per_image == 0)
        return (self.orientations > 1) & ~can_tell

    @cached_property
    def _frame(self) -> str:
        """Which pixels boxes refer to, `stored` or `upright`, as the sizes of this file tell."""
        stored = self._sized_as_stored.any()
        upright = (self._swaps_sides & (self.stated == self.seen).all(1)).any()
        return '' if stored == upright else 'stored' if stored else 'upright'

    @cached_property
    def is_turned(self) -> np.ndarray:
        """(images,) whether size and boxes are those of the pixels as stored, before EXIF's turn.

        Where a size cannot tell, that of other photos in the file does.
        """
        return self._sized_as_stored | self._is_silent & (self._frame == 'stored')

    @cached_property
    def may_be_turned(self) -> np.ndarray:
        """(images,) whether EXIF turns the photo and nothing tells if boxes follow."""
        return self._is_silent & (self._frame == '')

    @cached_property
    def is_rescaled(self) -> np.ndarray:
        """(images,) whether the boxes were drawn on a photo of the stated size, not on this one.

        Photo and stated size then have the same shape but another scale, or boxes are within the
        stated size and leave the photo.
        """
        scale = self.seen / self.stated
        other = self.differs & ~self.is_turned & (np.abs(scale - 1) > SAME_SCALE).any(1)
        same_shape = np.abs(scale[:, 0] / scale[:, 1] - 1) < SAME_SCALE / 2
        contradicts = self.leaving(self.seen) & ~self.leaving(self.stated) & (self.layouts == XYWH)
        drawn = same_shape | self.with_any(contradicts)
        return other & np.isfinite(self.stated).all(1) & drawn

    @cached_property
    def sizes(self) -> np.ndarray:
        """(images, 2) the size that boxes refer to: the photo's, unless it contradicts them."""
        keep = self.is_turned | self.is_rescaled | ~np.isfinite(self.seen).all(1)
        return np.where(keep[:, None], self.stated, self.seen)


def load(path: str | os.PathLike[str], **options: Any) -> CocoData:
    """Load a COCO file to be checked, with options of `CocoData`; errors are those of `load_coco`."""
    file = load_coco(path)
    read = {'not_strict': file.not_strict, 'recovered': file.recovered}
    return CocoData(file.content, path=Path(path), **read, **options)
