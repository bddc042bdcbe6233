"""Which photos and boxes are worth a look: where runs differ most, and examples of each error.

Only the choice is here. What became of a detection is decided in `evaluation.error_analysis`,
how it is drawn in `gallery_pictures`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import (
    BOTH,
    CLASS,
    ERRORS,
    Kind,
    analyze_errors,
)
from mmdet_multigrain.taxonomy import Taxonomy

Box = tuple[float, float, float, float]
GALLERIES = ERRORS
_CONFUSED = (*CLASS, *BOTH)


@dataclass(frozen=True)
class Case:
    """A detection, or a box that was missed.

    Attributes:
        kind: What became of it.
        image: Position of its photo in the ground truth's `image_ids`.
        predicted: Label that the detector gave; None if missed.
        true: Label of the ground truth that it is about; None on the background.
        score: Of the detection; None if missed.
        iou: Of the detection with that ground truth; None if there is none.
        box: x, y, width, height in pixels: the detection, or what was missed.
        true_box: The ground truth that it is about; None if there is none.
    """

    kind: Kind
    image: int
    predicted: int | None
    true: int | None
    score: float | None
    iou: float | None
    box: Box
    true_box: Box | None

    @property
    def is_confused(self) -> bool:
        """Whether it is about a ground truth of another class."""
        return self.kind in _CONFUSED

    def is_about(self, labels: Collection[int]) -> bool:
        """Whether it was predicted as, or truly is, one of these classes."""
        return self.predicted in labels or self.true in labels


def judge(
    ground_truth: GroundTruth,
    detections: Detections,
    taxonomy: Taxonomy,
    *,
    score_thr: float,
    iou_thr: float = 0.5,
) -> list[Case]:
    """What became of each detection from a score on, and what is missed without the others.

    Detections on crowd boxes, and those beyond COCO's limit, count for nothing and are left out.

    Args:
        ground_truth: Annotated boxes.
        detections: Detected boxes.
        taxonomy: Of the labels of both.
        score_thr: Lowest score.
        iou_thr: IoU from which a detection is right.

    Returns:
        By photo; the detections of one by falling score, then what is missed.
    """
    kept = detections.scores >= score_thr
    detections = Detections(
        detections.images[kept],
        detections.labels[kept],
        detections.boxes[kept],
        detections.scores[kept],
    )
    table = analyze_errors(ground_truth, detections, taxonomy, pos_thr=iou_thr).detections
    order = np.lexsort((-detections.scores, detections.images))
    cases = []
    for number in order[table.kinds[order] < Kind.MISSED].tolist():
        truth = int(table.truths[number])
        found = truth >= 0
        cases.append(
            Case(
                kind=Kind(table.kinds[number]),
                image=int(detections.images[number]),
                predicted=int(detections.labels[number]),
                true=int(ground_truth.labels[truth]) if found else None,
                score=float(detections.scores[number]),
                iou=float(table.ious[number]) if found else None,
                box=tuple(detections.boxes[number].tolist()),
                true_box=tuple(ground_truth.boxes[truth].tolist()) if found else None,
            )
        )
    for truth in table.missed.tolist():
        box = tuple(ground_truth.boxes[truth].tolist())
        cases.append(
            Case(
                Kind.MISSED,
                int(ground_truth.images[truth]),
                None,
                int(ground_truth.labels[truth]),
                None,
                None,
                box,
                box,
            )
        )
    return sorted(cases, key=lambda case: case.image)


def choose_cases(
    cases: Iterable[Case], kind: Kind, *, file_names: Sequence[str], count: int
) -> list[Case]:
    """The cases of a kind to show: the surest detections, or the largest missed boxes.

    Each photo comes once before any comes again; ties are decided by file name.

    Args:
        cases: Of one run.
        kind: Which ones.
        file_names: Of the photos.
        count: How many at most.
    """

    def weight(case: Case) -> float:
        return case.box[2] * case.box[3] if case.score is None else case.score

    ranked = sorted(
        (case for case in cases if case.kind == kind),
        key=lambda case: (-weight(case), file_names[case.image]),
    )
    times: Counter[int] = Counter()
    turns = []
    for case in ranked:
        turns.append(times[case.image])
        times[case.image] += 1
    order = sorted(range(len(ranked)), key=turns.__getitem__)  # stable
    return [ranked[place] for place in order[:count]]


def choose_photos(
    runs: Sequence[Sequence[Case]], *, file_names: Sequence[str], count: int
) -> list[int]:
    """The photos on which runs differ most, or on which a single run errs most.

    Runs differ by right minus wrong detections, the highest of all runs minus the lowest. A
    single run errs where detections are wrong or boxes missed. Ties are decided by file name.

    Args:
        runs: The cases of each run.
        file_names: Of the photos.
        count: How many at most.
    """
    balances = [_sums(cases, hit=1, error=-1, missed=0) for cases in runs]
    if len(runs) == 1:
        balances = [_sums(runs[0], hit=0, error=1, missed=1), Counter()]

    def interest(image: int) -> int:
        values = [balance[image] for balance in balances]
        return max(values) - min(values)

    order = sorted(range(len(file_names)), key=lambda image: (-interest(image), file_names[image]))
    return order[:count]


def _sums(cases: Iterable[Case], *, hit: int, error: int, missed: int) -> Counter[int]:
    """The sum of what the cases of each photo count."""
    sums: Counter[int] = Counter()
    for case in cases:
        sums[case.image] += {Kind.HIT: hit, Kind.MISSED: missed}.get(case.kind, error)
    return sums


def by_photo(cases: Iterable[Case]) -> defaultdict[int, list[Case]]:
    """The cases of each photo, in their order."""
    photos = defaultdict(list)
    for case in cases:
        photos[case.image].append(case)
    return photos
