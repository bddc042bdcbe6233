"""Whether two detectors see the same in pictures, detection by detection.

Score thresholds hide most detections of a weakly trained model, so compare without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from mmdet_multigrain.utils.errors import ExportError
from mmdet_multigrain.utils.images import is_image

_FAR = 0.5  # pixels, or scores: beyond it a detection is not the other's counterpart


@dataclass(frozen=True)
class Found:
    """Detections of one picture, by falling score."""

    boxes: np.ndarray  # (N, 4) float32, x1, y1, x2, y2 in pixels of the picture
    scores: np.ndarray  # (N,) float32
    labels: np.ndarray  # (N,) whole numbers
    lineage: np.ndarray | None = None  # (N, L) probabilities, if the detector tells them


@dataclass(frozen=True)
class Difference:
    """How far two lists of detections are apart."""

    pictures: int
    detections: int
    box: float  # largest difference of a coordinate, in pixels
    score: float  # largest difference of a score, or of a probability in a lineage
    alone: int = 0  # detections that have no counterpart

    def __str__(self) -> str:
        counts = f'{self.detections} detections in {self.pictures} pictures'
        if self.alone:
            counts += f' ({self.alone} more have no counterpart)'
        if self.box == self.score == 0:
            return f'{counts}: bit-equal'
        return f'{counts}: boxes within {self.box:.1e} px, scores within {self.score:.1e}'


def difference(ours: Sequence[Found], theirs: Sequence[Found]) -> Difference:
    """Compare detections one by one, in their order.

    Raises:
        ExportError: Number, labels or order differ.
    """
    box = score = 0.0
    for number, (left, right) in enumerate(zip(ours, theirs, strict=True)):
        if not np.array_equal(left.labels, right.labels):
            raise ExportError(
                f'the exported detector sees other objects in picture {number}: '
                f'{len(right.labels)} detections, not the {len(left.labels)} of the original'
            )
        box = max(box, float(np.abs(left.boxes - right.boxes).max(initial=0)))
        score = max(score, float(np.abs(left.scores - right.scores).max(initial=0)))
    return Difference(len(ours), sum(len(found.labels) for found in ours), box, score)


def nearest_difference(
    ours: Sequence[Found], theirs: Sequence[Found], *, slack: float, at_most: int
) -> Difference:
    """Compare each detection with the nearest one of its label; other programs round differently.

    Where two boxes score alike to the last digits, rounding decides which of them suppresses the
    other. Such detections have no counterpart; the caller judges whether they are too many.

    Lists hold the best `at_most` of a picture. Where one is full, detections that score by less
    than `slack` above its last one may be missing in the other.
    """
    count, alone, box, score = 0, 0, 0.0, 0.0
    for left, right in zip(ours, theirs, strict=True):
        rows, columns = _nearest_pairs(left, right)
        alone += _num_alone(left, rows, slack=slack, at_most=at_most)
        alone += _num_alone(right, columns, slack=slack, at_most=at_most)
        count += len(rows)
        box = max(box, float(np.abs(left.boxes[rows] - right.boxes[columns]).max(initial=0)))
        for mine, other in ((left.scores, right.scores), (left.lineage, right.lineage)):
            if mine is not None:
                score = max(score, float(np.abs(mine[rows] - other[columns]).max(initial=0)))
    return Difference(len(ours), count, box, score, alone)


def _num_alone(found: Found, paired: np.ndarray, *, slack: float, at_most: int) -> int:
    """Detections without counterpart, those at the end of a full list not counted."""
    full = len(found.scores) >= at_most
    sure = found.scores >= (found.scores[-1] + slack if full else 0)
    return len(np.setdiff1d(sure.nonzero()[0], paired))


def _nearest_pairs(left: Found, right: Found) -> tuple[np.ndarray, np.ndarray]:
    """Rows of both lists, paired for the least distances; labels agree within a pair."""
    boxes = np.abs(left.boxes[:, None] - right.boxes[None]).max(-1)
    scores = np.abs(left.scores[:, None] - right.scores[None])
    distance = np.where(left.labels[:, None] == right.labels[None], boxes + scores, np.inf)
    distance = np.minimum(distance, _FAR)
    rows, columns = linear_sum_assignment(distance)
    near = distance[rows, columns] < _FAR
    return rows[near], columns[near]


def made_pictures() -> list[np.ndarray]:
    """Pictures of colored patches, one wide and one tall: (height, width, 3) uint8.

    The patches run into each other and are noisy: from flat ones come equal scores, of which
    every program takes another one first.
    """
    random = np.random.default_rng(0)
    pictures = []
    for rows, columns in ((6, 8), (9, 7)):
        patches = random.integers(0, 256, (rows, columns, 3)).astype(np.float32)
        picture = cv2.resize(patches, (60 * columns, 60 * rows), interpolation=cv2.INTER_CUBIC)
        picture += random.normal(0, 12, picture.shape)
        pictures.append(picture.clip(0, 255).astype(np.uint8))
    return pictures


def read_pictures(source: Path, *, at_most: int = 16) -> list[np.ndarray]:
    """Read a picture, or the first ones of a folder, as MMDetection does.

    Raises:
        ExportError: There is none, or one cannot be read.
    """
    paths = [source]
    if source.is_dir():
        paths = sorted(path for path in source.iterdir() if is_image(path))[:at_most]
    if not paths:
        raise ExportError(f'{source}: no picture in this folder that OpenCV reads')
    pictures = {path: cv2.imread(str(path)) for path in paths}
    for path, picture in pictures.items():
        if picture is None:
            raise ExportError(f'{path}: not a readable picture')
    return [*pictures.values()]
