"""Which photos and boxes to show: where runs differ most, and examples of each kind of error."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.error_analysis import BOTH, CLASS, Kind, analyze_errors
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Case:
    """A detection, or a missed box."""

    kind: Kind  # hit, missed, or the kind of error
    image: int  # index of its photo in the ground truth's `image_ids`
    predicted: int | None  # label of the detection; None if missed
    true: int | None  # label of the ground truth it is about; None on the background
    score: float | None  # of the detection; None if missed
    iou: float | None  # of the detection with that ground truth; None without one
    box: Box  # x, y, width, height in pixels of the detection, or of the missed box
    true_box: Box | None  # the ground truth it is about; None without one
    # the group, or "object", that a rule answers the detection with; None for the class or without
    # a rule
    answer: str | None = None

    @property
    def is_confused(self) -> bool:
        """Whether it is about a ground truth of another class."""
        return self.kind in (*CLASS, *BOTH)

    @property
    def labels(self) -> frozenset[int]:
        """Its predicted and its true class, as far as it has them."""
        return frozenset({self.predicted, self.true} - {None})

    def is_about(self, labels: Collection[int]) -> bool:
        """Whether its predicted or true class is one of these."""
        return not self.labels.isdisjoint(labels)


def find_cases(
    ground_truth: GroundTruth,
    detections: Detections,
    taxonomy: Taxonomy,
    *,
    score_thr: float,
    rule: AnswerRule | None = None,
) -> list[Case]:
    """All detections from a score on, and what is missed without the others.

    A detection is right from IoU 0.5 on. Detections on crowd boxes, and those beyond COCO's limit,
    do not count and are left out. With a rule, detections need lineages.

    Returns:
        By photo; its detections by falling score, then its missed boxes.
    """
    kept = detections.scores >= score_thr
    detections = detections[kept]
    table = analyze_errors(ground_truth, detections, taxonomy).detections
    true_labels = ground_truth.labels.tolist()
    true_boxes = list(map(tuple, ground_truth.boxes.tolist()))
    nodes = Nodes.of(taxonomy.hierarchy)
    levels = np.zeros(len(kept)) if rule is None else rule.levels(detections.lineages)
    order = np.lexsort((-detections.scores, detections.images))
    cases = []
    for number in order[table.kinds[order] < Kind.MISSED].tolist():
        truth = int(table.truths[number])
        matched, label, level = truth >= 0, int(detections.labels[number]), int(levels[number])
        cases.append(
            Case(
                kind=Kind(table.kinds[number]),
                image=int(detections.images[number]),
                predicted=label,
                true=true_labels[truth] if matched else None,
                score=float(detections.scores[number]),
                iou=float(table.ious[number]) if matched else None,
                box=tuple(detections.boxes[number].tolist()),
                true_box=true_boxes[truth] if matched else None,
                answer=None if nodes.is_class(label, level) else nodes.name(label, level),
            )
        )
    for truth in table.missed.tolist():
        image, box = int(ground_truth.images[truth]), true_boxes[truth]
        cases.append(Case(Kind.MISSED, image, None, true_labels[truth], None, None, box, box))
    return sorted(cases, key=lambda case: case.image)


def choose_cases(
    cases: Iterable[Case], kind: Kind, *, file_names: Sequence[str], count: int
) -> list[Case]:
    """At most `count` cases of a kind: the most confident detections, or the largest missed boxes.

    Each photo comes once before any comes again; ties are resolved by the photos' file names.
    """

    def weight(case: Case) -> float:
        return case.box[2] * case.box[3] if case.score is None else case.score

    ranked = sorted(
        (case for case in cases if case.kind == kind),
        key=lambda case: (-weight(case), file_names[case.image]),
    )
    seen: Counter[int] = Counter()
    turns = []
    for case in ranked:
        turns.append(seen[case.image])
        seen[case.image] += 1
    order = sorted(range(len(ranked)), key=turns.__getitem__)  # stable
    return [ranked[place] for place in order[:count]]


def choose_photos(
    runs: Sequence[Sequence[Case]], *, file_names: Sequence[str], count: int
) -> list[int]:
    """At most `count` photos on which runs differ most, or on which a single run has most errors.

    Runs differ by right minus wrong detections: the highest of all runs minus the lowest. Errors
    of a single run are wrong detections and missed boxes. Ties are resolved by file name.
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
    """The sum over the cases of each photo."""
    sums: Counter[int] = Counter()
    for case in cases:
        sums[case.image] += {Kind.HIT: hit, Kind.MISSED: missed}.get(case.kind, error)
    return sums


def cases_by_photo(cases: Iterable[Case]) -> defaultdict[int, list[Case]]:
    """The cases of each photo, in their order."""
    photos = defaultdict(list)
    for case in cases:
        photos[case.image].append(case)
    return photos
