"""Where AP is lost: TIDE's error analysis, with class errors split by the class hierarchy.

This module decides which errors there are and what they cost; `matching` matches the boxes. Needs
neither torch nor mmdet.

The kinds are those of TIDE (arXiv 2008.08115), decided in its order for each false positive. IoUs
are those with the best ground truth of the detection's class, and of other classes (of equal
ones, the first class counts, then the first box):

1. localization (Loc): IoU with its own class from `bg_thr` to `pos_thr`.
2. class (Cls): IoU with another class is `pos_thr` or more. Within: that class has the same
   superclass (on the coarsest level); across: it has another.
3. duplicate (Dupe): IoU with its own class is `pos_thr` or more, but a detection with a higher
   score is matched to that box.
4. background (Bkg): IoU with all boxes is `bg_thr` or less.
5. both (Both): the rest, badly localized with a wrong class. Within and across as for class.

A ground truth is missed (Miss) if no detection hits it, no class or localization error is on it,
and no detection beyond the limit would hit it. The delta AP of a kind ("dAP") is how much AP at
`pos_thr` rises if only this kind is fixed: for each ground truth without a hit, the best-scored
class or localization error on it becomes a hit (if it is of the fixed kind), and all other errors
of the kind are removed; missed ground truth is no longer counted. Delta APs do not add up to the
AP that is lost, nor do those of the parts of a kind add up to that of the whole; counts do. A
class whose boxes are all missed gains nothing (it then has no AP).

The results equal `hotcoco.COCOeval.tide_errors` (tested) except for partly overlapped crowd
boxes: here, as in TIDE's own code, a crowd box only removes detections from the count; in
hotcoco, IoU from `bg_thr` with a crowd box of the same class makes a detection a localization
error. Detections beyond `max_dets` of an image and class are ignored in both (TIDE: of an image),
but hotcoco calls ground truth that only they hit missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from .boxes import Detections, GroundTruth, check_labels
from .common import MAX_DETS, RECALL_THRS, mean_of_known
from .matching import Pairs, attainable_iou, find_pairs, match_greedily, rank_by_class, within_limit


class Kind(IntEnum):
    """Outcome of a detection. `MISSED` is for ground truth; the last two kinds are ignored."""

    HIT = 0
    CLASS_WITHIN = 1
    CLASS_ACROSS = 2
    LOCALIZATION = 3
    BOTH_WITHIN = 4
    BOTH_ACROSS = 5
    DUPLICATE = 6
    BACKGROUND = 7
    MISSED = 8
    ON_CROWD = 9
    BEYOND_LIMIT = 10

    @property
    def label(self) -> str:
        """Name for reports."""
        return _LABELS.get(self) or self.name.lower().replace('_', ' ')


_LABELS = {
    Kind.CLASS_WITHIN: 'wrong class, right superclass',
    Kind.CLASS_ACROSS: 'wrong superclass',
    Kind.LOCALIZATION: 'poor box',
    Kind.BOTH_WITHIN: 'poor box and wrong class, right superclass',
    Kind.BOTH_ACROSS: 'poor box and wrong superclass',
}

CLASS = (Kind.CLASS_WITHIN, Kind.CLASS_ACROSS)
BOTH = (Kind.BOTH_WITHIN, Kind.BOTH_ACROSS)
ERRORS = (*CLASS, Kind.LOCALIZATION, *BOTH, Kind.DUPLICATE, Kind.BACKGROUND, Kind.MISSED)


@dataclass(frozen=True, eq=False)
class ErrorCost:
    """What the errors of one kind cost in AP."""

    name: str  # name of the kind
    count: int  # number of errors
    # rise in mean AP at `pos_thr` if only this kind is fixed, 0 to 1, in rare cases below 0; NaN if
    # no class has ground truth
    delta_ap: float
    class_counts: np.ndarray  # (K,) errors by class of the detection, or of the missed ground truth
    class_delta_ap: np.ndarray  # (K,) rise in the AP of each class; NaN without ground truth


@dataclass(frozen=True, eq=False)
class DetectionErrors:
    """The outcome of each detection, in the order given."""

    kinds: np.ndarray  # (N,) uint8 `Kind`
    # (N,) index of the ground truth behind that kind: the one it hits, confuses, localizes badly or
    # duplicates, or the crowd box it is on; -1 for none
    truths: np.ndarray
    # (N,) IoU with that ground truth (on a crowd box, intersection over the area of the detection);
    # 0 for none
    ious: np.ndarray
    missed: np.ndarray  # (M,) index of each missed ground truth, ascending
    # (C,) index of each ground truth that only detections beyond the limit hit, ascending
    cut: np.ndarray


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """Where AP is lost."""

    classes: tuple[str, ...]  # K names in label order
    ap: float  # mean AP at `pos_thr` over the classes with ground truth; NaN without any
    class_ap: np.ndarray  # (K,) AP at `pos_thr`; NaN without ground truth
    costs: tuple[ErrorCost, ...]  # one for each kind in `ERRORS`
    detections: DetectionErrors  # the outcome of each detection

    def cost(self, kind: Kind) -> ErrorCost:
        """The cost of one kind."""
        return self.costs[ERRORS.index(kind)]


def analyze_errors(
    ground_truth: GroundTruth,
    detections: Detections,
    taxonomy: Taxonomy,
    *,
    pos_thr: float = 0.5,
    bg_thr: float = 0.1,
    max_dets: int = MAX_DETS,
) -> ErrorAnalysis:
    """Find the kind of each error and what each kind costs, overall and by class.

    Args:
        ground_truth: Boxes with fine labels.
        detections: Boxes with fine labels.
        taxonomy: Of these labels; of several trees, the first counts.
        pos_thr: IoU from which a detection hits.
        bg_thr: IoU up to which a detection is on the background.
        max_dets: Limit on detections per image and class.

    Raises:
        EvaluationError: A label or a threshold is out of range.
    """
    if not 0 < bg_thr < pos_thr <= 1:
        raise EvaluationError(
            f'thresholds are {bg_thr} (background) and {pos_thr} (hit); '
            'use 0 < background < hit <= 1'
        )
    taxonomy = taxonomy.tree()
    check_labels(ground_truth, detections, taxonomy.num_classes)
    ground_truth = ground_truth.leave_out(detections)  # more rows at the end, of crowds
    shared = shared_levels(taxonomy)
    errors, fixable = _classify(ground_truth, detections, shared, pos_thr, bg_thr, max_dets)
    costs = _Costs(ground_truth, detections, errors, fixable, taxonomy.num_classes)
    return ErrorAnalysis(
        classes=taxonomy.classes,
        ap=mean_of_known(costs.class_ap),
        class_ap=costs.class_ap,
        costs=tuple(map(costs.cost, ERRORS)),
        detections=errors,
    )


def shared_levels(taxonomy: Taxonomy) -> np.ndarray:
    """(K, K) number of coarse levels on which two fine classes are in one group."""
    index = np.array([taxonomy.group_index(level) for level in range(taxonomy.num_levels - 1)])
    index = index.reshape(-1, taxonomy.num_classes)
    return (index[:, :, None] == index[:, None, :]).sum(axis=0)


def _classify(
    ground_truth: GroundTruth,
    detections: Detections,
    shared: np.ndarray,
    pos_thr: float,
    bg_thr: float,
    max_dets: int,
) -> tuple[DetectionErrors, np.ndarray]:
    """The kind of each detection, and (N,) bool: whether a fix makes it a hit."""
    counted = within_limit(detections, max_dets)
    pairs = find_pairs(ground_truth, detections, counted=counted, min_iou=bg_thr)
    same = detections.labels[pairs.detections] == ground_truth.labels[pairs.truths]
    crowd = ground_truth.crowd[pairs.truths]
    good = same & (pairs.ious >= attainable_iou(pos_thr))

    kinds = np.where(counted, Kind.BACKGROUND, Kind.BEYOND_LIMIT).astype(np.uint8)
    truths = np.full(len(kinds), -1)
    ious = np.zeros(len(kinds))

    def set_kind(kind: Kind | np.ndarray, chosen: Pairs) -> None:
        kinds[chosen.detections], truths[chosen.detections] = kind, chosen.truths
        ious[chosen.detections] = chosen.ious

    def split(chosen: Pairs, within: Kind, across: Kind) -> np.ndarray:
        levels = shared[detections.labels[chosen.detections], ground_truth.labels[chosen.truths]]
        return np.where(levels > 0, within, across)

    # In reverse order, so that TIDE's first kinds take precedence.
    own, other = pairs[same & ~crowd].best(), pairs[~same & ~crowd].best()
    both, wrong = other[other.ious > bg_thr], other[other.ious >= pos_thr]
    set_kind(split(both, *BOTH), both)
    set_kind(Kind.DUPLICATE, own[own.ious >= pos_thr])
    set_kind(split(wrong, *CLASS), wrong)
    set_kind(Kind.LOCALIZATION, own[own.ious <= pos_thr])
    set_kind(Kind.ON_CROWD, pairs[good & crowd].best())
    free = pairs[good & ~crowd]
    claimed = match_greedily(free, detections, num_truths=len(ground_truth.labels))
    hits = free[claimed[free.detections] == free.truths]
    set_kind(Kind.HIT, hits)

    # A ground truth without a hit can be recovered once, by the best class or localization error.
    missed = ~ground_truth.crowd
    missed[hits.truths] = False
    able = np.flatnonzero(np.isin(kinds, (*CLASS, Kind.LOCALIZATION)))
    able = able[missed[truths[able]]]
    able = able[np.lexsort((-detections.scores[able], truths[able]))]
    fixable = np.zeros(len(kinds), dtype=bool)
    fixable[able[np.diff(truths[able], prepend=-1) > 0]] = True
    missed[truths[able]] = False

    # The limit hides hits; the detector did not miss these.
    beyond = find_pairs(ground_truth, detections, counted=~counted, min_iou=attainable_iou(pos_thr))
    same = detections.labels[beyond.detections] == ground_truth.labels[beyond.truths]
    claimed = match_greedily(
        beyond[same & missed[beyond.truths]], detections, num_truths=len(missed)
    )
    cut = np.sort(claimed[claimed >= 0])
    missed[cut] = False
    return DetectionErrors(kinds, truths, ious, np.flatnonzero(missed), cut), fixable


class _Costs:
    """AP by class, as it is and with some errors fixed; columns are by class, then falling score."""

    def __init__(
        self,
        ground_truth: GroundTruth,
        detections: Detections,
        errors: DetectionErrors,
        fixable: np.ndarray,
        num_classes: int,
    ) -> None:
        self._num_gt = ground_truth.box_counts(num_classes)
        self._missed = np.bincount(ground_truth.labels[errors.missed], minlength=num_classes)
        self._order = rank_by_class(detections, errors.kinds < Kind.MISSED)
        self._labels = detections.labels[self._order]
        self._bounds = np.searchsorted(self._labels, np.arange(num_classes + 1))
        self._minus_scores = -detections.scores[self._order]
        self._kinds = errors.kinds[self._order]
        fixable = fixable[self._order]
        becomes = ground_truth.labels[errors.truths[self._order[fixable]]]
        stays = becomes == self._labels[fixable]
        self._stays = np.zeros(len(fixable), dtype=bool)  # a hit of the right class, once fixed
        self._stays[fixable] = stays
        self._moving = np.flatnonzero(fixable)[~stays]  # a hit of another class
        self._destinations = becomes[~stays]
        self.class_ap = self._class_ap(np.zeros(len(fixable), dtype=bool), self._num_gt)

    def cost(self, kind: Kind) -> ErrorCost:
        """The cost of the errors of a kind."""
        errors = self._kinds == kind
        gone = self._missed if kind == Kind.MISSED else np.zeros_like(self._missed)
        counts = np.bincount(self._labels[errors], minlength=len(gone)) + gone
        delta = self._class_ap(errors, self._num_gt - gone) - self.class_ap
        return ErrorCost(kind.label, int(counts.sum()), mean_of_known(delta), counts, delta)

    def _class_ap(self, errors: np.ndarray, num_gt: np.ndarray) -> np.ndarray:
        """(K,) AP with these errors fixed."""
        kept = ~errors | self._stays
        hits = (self._kinds == Kind.HIT) | (errors & self._stays)
        moving = errors[self._moving]
        moving, destinations = self._moving[moving], self._destinations[moving]
        values = np.full(len(num_gt), np.nan)
        for label in np.flatnonzero(self._num_gt):
            part = slice(*self._bounds[label : label + 2])
            here = hits[part][kept[part]]
            new = np.sort(self._minus_scores[moving[destinations == label]])
            if len(new):
                # Of equal scores, those that come from another class rank last.
                places = np.searchsorted(self._minus_scores[part][kept[part]], new, side='right')
                here = np.insert(here, places, True)
            values[label] = _average_precision(here, num_gt[label])
        return values


def _average_precision(hits: np.ndarray, num_gt: int) -> float:
    """COCO's AP of detections by falling score; 0 without ground truth."""
    places = np.flatnonzero(hits)
    found = np.arange(1, len(places) + 1)
    precision = np.maximum.accumulate((found / (places + 1))[::-1])[::-1]
    reached = np.searchsorted(found / max(num_gt, 1), RECALL_THRS)
    return float(precision[reached[reached < len(places)]].sum() / len(RECALL_THRS))
