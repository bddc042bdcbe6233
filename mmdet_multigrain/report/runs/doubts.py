"""Doubts about detections of other frameworks: would they fit the ground truth better, read otherwise?

The best boxes are compared with the nearest annotated ones, whatever their classes: as they are, and
read as corners, centers, fractions, or in the pixels of a resized photo. Where boxes meet, classes
are compared, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.matching import (
    Pairs,
    find_pairs,
    pair_ious,
    within_limit,
)

if TYPE_CHECKING:
    from .inputs import TestSet

SAMPLE = 400  # detections that are compared
MIN_SAMPLE = 8  # fewer tell nothing
GOOD = 0.7  # mean IoU with the nearest annotated box from which no doubt is left
LIKELY, UNLIKELY = 0.4, 0.1  # below the first no reading is believed, below the second not theirs
MEETS = 0.5  # IoU from which classes are compared
BEYOND, MAX_BEYOND = 0.05, 0.1  # sides by which a box leaves its image, and the share that may
SCALES = 2 ** (np.arange(-24, 25) / 8)  # of resized photos
FINE = np.linspace(0.95, 1.05, 41)  # on top of these

_FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    '': lambda boxes: boxes,
    'corners (x1, y1, x2, y2)': lambda boxes: _from_corners(boxes),
    'center, width, height': lambda boxes: np.hstack(
        [boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]]
    ),
    'y before x': lambda boxes: boxes[:, [1, 0, 3, 2]],
    'corners with y before x (y1, x1, y2, x2)': lambda boxes: _from_corners(boxes[:, [1, 0, 3, 2]]),
}
_UNITS = {'': None, 'fractions of the image': 1, 'percent': 100, 'thousandths of the image': 1000}


def find_doubt(detections: Detections, test_set: TestSet) -> str:
    """What makes numbers of these detections doubtful, and the likely cause, in one line.

    Empty if there is no doubt, or too little to judge by.
    """
    image_of = {image['id']: image for image in test_set.annotations.dataset['images']}
    images = [image_of[id] for id in test_set.ground_truth.image_ids]
    sizes = np.array([[image['width'], image['height']] for image in images], dtype=np.float64)
    sample = _Sample.of(detections, test_set.ground_truth, sizes.reshape(-1, 2))
    if len(sample.boxes) < MIN_SAMPLE:
        return ''
    name, boxes = _best_reading(sample)
    corners, sides = detections.boxes[:, :2], sizes[detections.images]
    ends = corners + detections.boxes[:, 2:]
    leave = (corners < -BEYOND * sides) | (ends > (1 + BEYOND) * sides)
    beyond = float(leave.any(1).mean())  # share of the boxes that leave their image
    doubts = [_box_doubt(sample, name, boxes, beyond), _class_doubt(sample, boxes, test_set)]
    return '; '.join(filter(None, doubts))


def shifted_ids(known: Iterable[int]) -> dict[str, dict[int, int]]:
    """The category id that another number may stand for, by what the numbers then are."""
    known = sorted(known)
    place = 'the place in the list of categories, counted from'
    return {
        f'{place} 0': dict(enumerate(known)),
        f'{place} 1': dict(enumerate(known, start=1)),
        '1 too low': {id - 1: id for id in known},
        '1 too high': {id + 1: id for id in known},
    }


@dataclass(frozen=True, eq=False)
class _Sample:
    """The best detections of some images with annotated boxes, and these."""

    boxes: np.ndarray  # (N, 4) as they were read
    labels: np.ndarray  # (N,) their classes
    sizes: np.ndarray  # (N, 2) width and height of their images
    pairs: Pairs  # each with all boxes of its image
    truths: np.ndarray  # (P, 4) the annotated boxes of the pairs
    classes: np.ndarray  # the classes of all annotated boxes

    @classmethod
    def of(cls, detections: Detections, truth: GroundTruth, sizes: np.ndarray) -> _Sample:
        """As many detections of an image as it has boxes, the best ones, of evenly chosen images."""
        per_image = np.bincount(truth.images[~truth.crowd], minlength=len(sizes))
        # With the image as label, the limit is one for each image.
        by_image = replace(detections, labels=detections.images)
        limits = np.append(per_image, 0)
        best = np.flatnonzero(within_limit(by_image, limits) & (per_image[detections.images] > 0))
        best = best[np.argsort(detections.images[best], kind='stable')]
        found = detections[best[:: max(1, len(best) // SAMPLE)]]
        pairs = find_pairs(truth, found, counted=np.ones(len(found.labels), bool), min_iou=0)
        pairs = pairs[~truth.crowd[pairs.truths]]
        # In the order of the boxes: of equally near ones, the first counts.
        pairs = pairs[np.lexsort((pairs.truths, pairs.detections))]
        own = found.boxes, found.labels, sizes[found.images]
        return cls(*own, pairs, truth.boxes[pairs.truths], truth.labels)

    def nearest(self, boxes: np.ndarray) -> Pairs:
        """Each detection with the nearest annotated box if the detections had these boxes."""
        ious = pair_ious(boxes[self.pairs.detections], self.truths)
        return replace(self.pairs, ious=ious).best()

    def fit(self, boxes: np.ndarray) -> float:
        """Mean IoU of the detections with the nearest annotated box."""
        return float(self.nearest(boxes).ious.mean())

    def met(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the detections that meet an annotated box, and of the nearest such box."""
        pairs = self.nearest(boxes)
        pairs = pairs[pairs.ious >= MEETS]
        return self.labels[pairs.detections], self.classes[pairs.truths]


def _best_reading(sample: _Sample) -> tuple[str, np.ndarray]:
    """The reading that fits clearly better than the boxes as they are; these, without a name, if none."""
    now = sample.fit(sample.boxes)
    best, best_fit = ('', sample.boxes), now
    if now >= GOOD:
        return best
    # Few boxes, or many readings, find a better fit by chance.
    margin = 0.1 + 1 / np.sqrt(len(sample.boxes))
    for name, boxes in _readings(sample.boxes, sample.sizes):
        fit = sample.fit(boxes)
        if fit >= max(LIKELY, now + margin) and fit > best_fit + 0.02:
            best, best_fit = (name, boxes), fit
    if best_fit < GOOD:
        name, boxes = _best_scale(sample)
        if sample.fit(boxes) >= max(LIKELY, now + margin, best_fit + 0.05):
            best = name, boxes
    return best


def _readings(boxes: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for unit, whole in _UNITS.items():
        factors = 1 if whole is None else np.tile(sizes / whole, 2)
        if whole is not None and np.median(boxes[:, 2:]) > whole:
            continue
        for form, read in _FORMS.items():
            yield ', '.join(filter(None, (form, unit))), read(boxes) * factors


def _best_scale(sample: _Sample) -> tuple[str, np.ndarray]:
    """The best fit of boxes in the pixels of photos of another size."""
    longer = sample.sizes.max(1, keepdims=True)
    side = float(np.median(longer))

    def best(
        scales: np.ndarray, forms: Sequence[str], kinds: Iterable[str], digits: int
    ) -> tuple[Any, ...]:
        tried = (
            (form, kind, scale, _rescaled(_FORMS[form](sample.boxes), sample.sizes, kind, scale))
            for form in forms
            for kind in kinds
            for scale in scales
        )
        return max(tried, key=lambda one: round(sample.fit(one[-1]), digits))

    form, kind, scale, _ = best(SCALES, list(_FORMS)[:3], _SCALED, 2)
    form, kind, scale, boxes = best(scale * FINE, [form], [kind], 4)
    text = _SCALED[kind].format(scale=scale, side=scale * side)
    return ', '.join(filter(None, (form, text))), boxes


_SCALED = {
    'scale': 'pixels of a photo {scale:.2g} times as large',
    'longer': 'pixels of a photo with a longer side of {side:.0f}',
    'square': 'pixels of a photo resized to {side:.0f} x {side:.0f}',
    'padded': 'pixels of a photo padded to {side:.0f} x {side:.0f}',
}


def _rescaled(boxes: np.ndarray, sizes: np.ndarray, kind: str, scale: float) -> np.ndarray:
    """Boxes of the photos, read in the pixels of resized ones."""
    longer = sizes.max(1, keepdims=True)
    side = scale * np.median(longer)
    if kind == 'scale':
        return boxes / scale
    if kind == 'square':
        return boxes * np.tile(sizes / side, 2)
    factor = longer / side
    start = (side - sizes / factor) / 2 if kind == 'padded' else 0
    return np.hstack([(boxes[:, :2] - start) * factor, boxes[:, 2:] * factor])


def _box_doubt(sample: _Sample, name: str, boxes: np.ndarray, beyond: float) -> str:
    now, fit = sample.fit(sample.boxes), sample.fit(boxes)
    count = f'the {len(boxes)} boxes that were compared'
    leave = f'{beyond:.0%} of all boxes leave their image'
    if name:
        return (
            f'its boxes look like {name}, instead of x, y, width, height in pixels: read so, {count} '
            f'have a mean IoU of {fit:.2f} with the nearest annotated box, as they are {now:.2f}; {leave}'
        )
    if beyond > MAX_BEYOND or now < UNLIKELY and len(boxes) > 4 * MIN_SAMPLE:
        return (
            f'its boxes may be in another form, or of other images: {count} have a mean IoU of '
            f'{now:.2f} with the nearest annotated box; {leave}'
        )
    return ''


def _class_doubt(sample: _Sample, boxes: np.ndarray, test_set: TestSet) -> str:
    labels, classes = sample.met(boxes)
    if len(labels) < MIN_SAMPLE:
        return ''
    ids = test_set.category_ids
    label_of = {id: label for label, id in enumerate(ids)}
    known = [category['id'] for category in test_set.annotations.dataset['categories']]
    now = np.mean(labels == classes)

    def share(meant: Mapping[int, int]) -> float:
        read = np.array([label_of.get(meant.get(ids[label]), -1) for label in labels])
        return float(np.mean(read == classes))

    shares = {name: share(meant) for name, meant in shifted_ids(known).items()}
    name = max(shares, key=shares.__getitem__)
    if shares[name] < max(MEETS, now + 0.3):
        return ''
    return (
        f'its category_id looks like {name}: of {len(labels)} boxes on an annotated one, '
        f'{shares[name]:.0%} then have its class, and {now:.0%} as they are'
    )


def _from_corners(boxes: np.ndarray) -> np.ndarray:
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
