"""Detections in little text: quantized, the best of each class, columns compressed with LZMA.

Scores of an experiment are computed from the packed detections, so they can be computed again, and
resampled, from the result file alone (and the annotations).
"""

from __future__ import annotations

import base64
import lzma
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmdet_multigrain.evaluation import Detections
from mmdet_multigrain.utils.errors import EvaluationError

MAX_BYTES = 200_000  # of the text
FILTERS = [{'id': lzma.FILTER_LZMA2, 'preset': 9 | lzma.PRESET_EXTREME, 'lc': 0, 'pb': 0}]


def pack(
    detections: Detections,
    num_images: int,
    limits: Sequence[int],
    *,
    box_step: float,
    score_step: float,
) -> dict[str, Any]:
    """Quantize and compress.

    Args:
        detections: Of one run.
        num_images: Images evaluated on.
        limits: Detections kept of each class, over all images, those with the highest scores. An
            AP hardly depends on the others: precision is low down there.
        box_step: Boxes are rounded to multiples of this number of pixels; none gets thinner.
        score_step: Scores are rounded to multiples of this.

    Returns:
        The settings, how many detections were kept and dropped, and `text`.

    Raises:
        EvaluationError: The text is larger than 200 kB.
    """
    order = np.lexsort((-detections.scores, detections.labels))  # stable: ties keep their order
    counts = np.bincount(detections.labels, minlength=len(limits))
    rank = np.arange(len(order)) - np.repeat(counts.cumsum() - counts, counts)
    kept = np.sort(order[rank < np.repeat(limits, counts)])
    boxes = np.rint(detections.boxes[kept] / box_step).astype(np.int64)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    # Neighbors from left to right are often boxes of one object: differences of them are small.
    by_place = np.lexsort((boxes[:, 0], detections.images[kept]))
    kept, boxes = kept[by_place], boxes[by_place]
    scores = np.rint(detections.scores[kept] / score_step).astype(np.int64)
    columns = [
        np.bincount(detections.images[kept], minlength=num_images),
        detections.labels[kept],
        scores,
        *np.diff(boxes, axis=0, prepend=0).T,
    ]
    raw = b''.join(_to_bytes(column) for column in columns)
    text = base64.b85encode(lzma.compress(raw, lzma.FORMAT_RAW, filters=FILTERS)).decode()
    if len(text) > MAX_BYTES:
        raise EvaluationError(
            f'{len(kept)} packed detections take {len(text)} bytes, more than {MAX_BYTES}; keep '
            'fewer, or round more (`packing` in the file of runs)'
        )
    return dict(
        box_step=box_step,
        score_step=score_step,
        limits=list(map(int, limits)),
        images=num_images,
        kept=len(kept),
        dropped=len(order) - len(kept),
        text=text,
    )


def unpack(packed: Mapping[str, Any]) -> Detections:
    """The detections of `pack`, images ascending, from left to right within each."""
    raw = lzma.decompress(base64.b85decode(packed['text']), lzma.FORMAT_RAW, filters=FILTERS)
    kept, images = packed['kept'], packed['images']
    sizes = np.array([images, *[kept] * 6])
    ends = 4 * sizes.cumsum()
    columns = [
        _from_bytes(raw[end - 4 * size : end], size) for size, end in zip(sizes, ends, strict=True)
    ]
    counts, labels, scores, *differences = columns
    return Detections(
        images=np.repeat(np.arange(images), counts),
        labels=labels,
        boxes=np.cumsum(differences, axis=1).T * float(packed['box_step']),
        scores=scores * packed['score_step'],
    )


def _to_bytes(column: np.ndarray) -> bytes:
    """All low bytes, then the next ones: bytes of one kind compress best next to each other."""
    zigzag = np.where(column < 0, -2 * column - 1, 2 * column).astype('<u4')
    return zigzag.view(np.uint8).reshape(-1, 4).T.tobytes()


def _from_bytes(raw: bytes, size: int) -> np.ndarray:
    planes = np.frombuffer(raw, np.uint8).reshape(4, size)
    zigzag = np.ascontiguousarray(planes.T).view('<u4').ravel().astype(np.int64)
    return np.where(zigzag % 2, -(zigzag + 1) // 2, zigzag // 2)
