"""How boxes are meant, judged for each image with all that the file tells.

Witnesses are the mask, the `area`, and the image's size. A mask or an area decides; a size only
raises a doubt, since boxes that leave their image may also be careless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .data import CocoData

XYWH, CORNERS, DOUBTFUL, FRACTIONS = range(4)  # as COCO has it; told; perhaps corners; 0 to 1
SLACK = 2.0  # pixels between two descriptions of one box, or beyond an image
SAME_AREA = 1e-3  # relative, on top of half a square pixel
MIN_TELLING = 0.9  # of areas without a mask that are those of their boxes; else areas tell nothing
MIN_BOXES = 5  # fewer do not show how a file's boxes are meant
MAX_LEAVING, MIN_FITTING = 0.5, 0.95  # of a file's boxes as they are, and as corners


def box_layouts(data: CocoData) -> np.ndarray:
    """(N,) `XYWH`, `CORNERS`, `DOUBTFUL` or `FRACTIONS` for each box."""
    boxes, usable = data.boxes, data.usable
    could = usable & (boxes[:, :2] >= 0).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    sizes = data.of_boxes(np.fmax(data.stated, data.seen))
    leaves = (data.corners[:, 2:] > sizes + SLACK).any(1)
    fits = could & (boxes[:, 2:] <= sizes + 1).all(1)
    as_corners, as_xywh = _told(data, could)

    def images(mask: np.ndarray, *, every: bool = False) -> np.ndarray:
        """(N,) whether the mask holds for a usable box of the same image, or for every one."""
        held = usable & (~mask if every else mask)
        count = np.bincount(data.image_of + 1, weights=held, minlength=len(data.images) + 1)
        return (count[data.image_of + 1] > 0) ^ every

    open_ = usable & ~as_corners & ~as_xywh
    layouts = np.full(len(boxes), XYWH)
    like_others = images(as_corners) & ~images(as_xywh)
    layouts[as_corners | open_ & could & like_others] = CORNERS
    # An image with both kinds, or with a box that cannot be what its neighbors are.
    layouts[open_ & images(as_corners) & ~(could & like_others)] = DOUBTFUL
    layouts[open_ & images(leaves & open_) & images(fits | ~open_, every=True)] = DOUBTFUL
    known = open_ & np.isfinite(sizes).all(1)
    if (
        known.sum() >= MIN_BOXES
        and leaves[known].mean() > MAX_LEAVING
        and fits[known].mean() >= MIN_FITTING
    ):
        layouts[open_] = DOUBTFUL
    is_small = (np.abs(boxes) <= 1).all(1)
    is_fraction = is_small & (boxes != np.floor(boxes)).any(1)
    is_all = usable.any() and is_small[usable].all() and is_fraction[usable].any()
    layouts[usable & (is_all | images(is_small, every=True) & images(is_fraction))] = FRACTIONS
    return layouts


def _told(data: CocoData, could: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) whether a mask or an area tells that a box is corners, and that it is not."""
    boxes, corners, masks = data.boxes, data.corners, data.outlines
    with np.errstate(invalid='ignore', over='ignore'):
        of_mask = [(np.abs(masks - box) <= SLACK).all(1) for box in (boxes, corners)]
        products = boxes[:, 2:].prod(1), (boxes[:, 2:] - boxes[:, :2]).prod(1)
        of_area = [np.abs(data.areas - area) <= SAME_AREA * area + 0.5 for area in products]
    has_area = data.usable & (data.areas > 0) & ~data.has_mask
    of_area[0] &= has_area
    of_area[1] &= has_area & could & ~of_area[0]
    telling = has_area.any() and (of_area[0] | of_area[1])[has_area].mean() >= MIN_TELLING
    as_corners = could & of_mask[0] & ~of_mask[1] | of_area[1] & telling
    # Tools that fill in an area multiply whatever stands for width and height: this tells something
    # only if other areas of the file contradict their boxes.
    is_product = of_area[0] & np.any(of_area[1] & telling)
    return as_corners, (of_mask[1] | is_product) & data.usable & ~as_corners


def swapped_sizes(data: CocoData) -> np.ndarray:
    """(images,) whether boxes leave the stated size, and fit it with its sides swapped.

    A photo that was read settles it, so that only images without one are doubtful.
    """
    swapped = data.stated[:, ::-1]
    doubtful = np.isnan(data.seen).any(1) & (swapped != data.stated).any(1)
    near, far = data.corners[:, :2], data.corners[:, 2:]
    leaves = (far > data.of_boxes(data.stated) + SLACK).any(1)
    fails = data.usable & ~(
        (near >= -SLACK).all(1) & (far <= data.of_boxes(swapped) + SLACK).all(1)
    )
    return doubtful & data.with_any(leaves) & ~data.with_any(fails)
