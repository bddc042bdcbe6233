"""Where the AP is lost: the error kinds of TIDE, split by what a hierarchy knows about classes.

Here belongs what an error is and what it costs; the matching belongs in `matching`, the confusion
matrix in `confusion`. Needs neither torch nor mmdet.

The kinds are those of TIDE (arXiv 2008.08115), decided in its order for each detection that is
no hit. IoUs are those with the best ground truth of its own class, and of other classes (of
equal ones, the first class counts, then the box given first):

1. box: IoU with its own class from `bg_thr` to `pos_thr`.
2. class: IoU with another class is `pos_thr` or more. Within: that class is of the same
   superclass (the coarsest level); across: of another one.
3. duplicate: IoU with its own class is `pos_thr` or more, but a better score claimed that box.
4. background: IoU with any box is `bg_thr` or less.
5. both: what is left, a poor box of another class. Within and across as for class.

A ground truth is missed if no detection hits it and no error of the kinds box and class lies on
it. The gain of a kind ("dAP") is the rise in AP at `pos_thr` if it alone were fixed: for each
ground truth without a hit, the best score among the class and box errors on it becomes a hit (if
it is of the fixed kind), and all other errors of the kind are removed; missed ones are no longer
counted. Gains do not add up to the loss, nor those of the parts of a kind to that of the whole;
counts do. A class of which all boxes are missed gains nothing (it has no AP then).

The same as `hotcoco.COCOeval.tide_errors` (tested) but for partly overlapped crowd boxes: here a
crowd box only takes detections out of the count, as in TIDE's own code; there IoU from `bg_thr`
on with one of the own class makes a detection a box error. Detections beyond `max_dets` for one
image and class count neither here nor there (TIDE itself: for one image).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from .coco_eval import Detections, GroundTruth, check_labels
from .matching import Pairs, find_pairs, match_greedily, within_limit

RECALLS = np.linspace(0, 1, 101)


class Kind(IntEnum):
    """What became of a detection; `MISSED` is for ground truth, the last two count for nothing."""

    HIT = 0
    CLASS_WITHIN = 1
    CLASS_ACROSS = 2
    BOX = 3
    BOTH_WITHIN = 4
    BOTH_ACROSS = 5
    DUPLICATE = 6
    BACKGROUND = 7
    MISSED = 8
    ON_CROWD = 9
    BEYOND_LIMIT = 10

    @property
    def label(self) -> str:
        """Its name in plain words."""
        return _LABELS.get(self) or self.name.lower().replace('_', ' ')


_LABELS = {
    Kind.CLASS_WITHIN: 'wrong class, right superclass',
    Kind.CLASS_ACROSS: 'wrong superclass',
    Kind.BOX: 'poor box',
    Kind.BOTH_WITHIN: 'poor box and wrong class, right superclass',
    Kind.BOTH_ACROSS: 'poor box and wrong superclass',
}

CLASS = (Kind.CLASS_WITHIN, Kind.CLASS_ACROSS)
BOTH = (Kind.BOTH_WITHIN, Kind.BOTH_ACROSS)
ERRORS = (*CLASS, Kind.BOX, *BOTH, Kind.DUPLICATE, Kind.BACKGROUND, Kind.MISSED)
TIDE = {
    'Cls': CLASS,
    'Loc': (Kind.BOX,),
    'Both': BOTH,
    'Dupe': (Kind.DUPLICATE,),
    'Bkg': (Kind.BACKGROUND,),
    'Miss': (Kind.MISSED,),
}


@dataclass(frozen=True, eq=False)
class Loss:
    """What the errors of one kind cost.

    Attributes:
        name: Of the kind.
        count: Number of errors.
        gain: Rise in mean AP at `pos_thr` if this kind alone were fixed, 0 to 1; it can be below
            0 in rare cases. NaN if no class has ground truth.
        class_counts: (K,) errors by class: of the detection, or of the missed ground truth.
        class_gains: (K,) rise in the AP of each class; NaN without ground truth.
    """

    name: str
    count: int
    gain: float
    class_counts: np.ndarray
    class_gains: np.ndarray


@dataclass(frozen=True, eq=False)
class DetectionErrors:
    """What became of each detection, in the order given.

    Attributes:
        kinds: (N,) uint8 `Kind`.
        truths: (N,) index of the ground truth that it is about: the one it hits, confuses, boxes
            poorly, repeats, or the crowd box that it lies on; -1 for none.
        ious: (N,) IoU with that ground truth (over the detection's own area on a crowd box); 0
            for none.
        missed: (M,) index of each missed ground truth, ascending.
    """

    kinds: np.ndarray
    truths: np.ndarray
    ious: np.ndarray
    missed: np.ndarray

    def of_kind(self, kind: Kind) -> np.ndarray:
        """Indices of the detections (for `MISSED`: of the ground truth) of a kind, ascending."""
        return self.missed if kind == Kind.MISSED else np.flatnonzero(self.kinds == kind)


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """Where the AP is lost.

    Attributes:
        classes: K names in label order.
        pos_thr: IoU from which a detection hits.
        bg_thr: IoU up to which it lies on the background.
        ap: Mean AP at `pos_thr` over the classes with ground truth; NaN without any.
        class_ap: (K,) AP at `pos_thr`; NaN without ground truth.
        losses: One for each kind in `ERRORS`.
        tide: TIDE's own six kinds: Cls, Loc, Both, Dupe, Bkg, Miss.
        class_by_level: Cls by the deepest level on which both classes agree: first those that
            agree on none (wrong superclass), then one for each coarse level, coarsest first.
        both_by_level: Both, likewise.
        detections: What became of each detection.
    """

    classes: tuple[str, ...]
    pos_thr: float
    bg_thr: float
    ap: float
    class_ap: np.ndarray
    losses: tuple[Loss, ...]
    tide: tuple[Loss, ...]
    class_by_level: tuple[Loss, ...]
    both_by_level: tuple[Loss, ...]
    detections: DetectionErrors

    def loss(self, kind: Kind) -> Loss:
        """What one kind costs."""
        return self.losses[ERRORS.index(kind)]


def analyze_errors(
    ground_truth: GroundTruth,
    detections: Detections,
    taxonomy: Taxonomy,
    *,
    pos_thr: float = 0.5,
    bg_thr: float = 0.1,
    max_dets: int = 100,
) -> ErrorAnalysis:
    """Find the kind of each error and what each kind costs, in sum and by class.

    Args:
        ground_truth: Boxes with fine labels.
        detections: Boxes with fine labels.
        taxonomy: Of these labels.
        pos_thr: IoU from which a detection hits.
        bg_thr: IoU up to which it lies on the background.
        max_dets: Limit on detections per image and class.

    Raises:
        EvaluationError: If a label is out of range, or a threshold.
    """
    if not 0 < bg_thr < pos_thr <= 1:
        raise EvaluationError(
            f'thresholds are {bg_thr} (background) and {pos_thr} (hit); '
            'give 0 < background < hit <= 1'
        )
    check_labels(ground_truth, detections, taxonomy.num_classes)
    agreement = shared_levels(taxonomy)
    table, fixed = _sort_out(ground_truth, detections, agreement, pos_thr, bg_thr, max_dets)
    costs = _Costs(ground_truth, detections, table, fixed, taxonomy.num_classes)

    # On how many levels the classes agree, where a detection is about another class.
    confused = np.isin(table.kinds, (*CLASS, *BOTH))
    depth = np.zeros(len(confused), dtype=np.int64)
    depth[confused] = agreement[
        detections.labels[confused], ground_truth.labels[table.truths[confused]]
    ]

    def cost(name: str, kinds: Sequence[Kind]) -> Loss:
        return costs.loss(name, np.isin(table.kinds, kinds), missed=Kind.MISSED in kinds)

    def by_level(kinds: Sequence[Kind]) -> tuple[Loss, ...]:
        chosen = np.isin(table.kinds, kinds)
        names = ['none', *(f'level {level}' for level in range(taxonomy.num_levels - 1))]
        return tuple(costs.loss(name, chosen & (depth == n)) for n, name in enumerate(names))

    return ErrorAnalysis(
        classes=taxonomy.classes,
        pos_thr=pos_thr,
        bg_thr=bg_thr,
        ap=_mean(costs.class_ap),
        class_ap=costs.class_ap,
        losses=tuple(cost(kind.label, (kind,)) for kind in ERRORS),
        tide=tuple(cost(name, kinds) for name, kinds in TIDE.items()),
        class_by_level=by_level(CLASS),
        both_by_level=by_level(BOTH),
        detections=table,
    )


def shared_levels(taxonomy: Taxonomy) -> np.ndarray:
    """(K, K) on how many coarse levels two fine classes are in one group, 0 for none."""
    index = np.array([taxonomy.group_index(level) for level in range(taxonomy.num_levels - 1)])
    index = index.reshape(-1, taxonomy.num_classes)
    return (index[:, :, None] == index[:, None, :]).sum(axis=0)


def _sort_out(
    ground_truth: GroundTruth,
    detections: Detections,
    agreement: np.ndarray,
    pos_thr: float,
    bg_thr: float,
    max_dets: int,
) -> tuple[DetectionErrors, np.ndarray]:
    """The kind of each detection, and (N,) bool: whether fixing it makes it a hit."""
    counted = within_limit(detections, max_dets)
    pairs = find_pairs(ground_truth, detections, counted=counted, min_iou=bg_thr)
    same = detections.labels[pairs.detections] == ground_truth.labels[pairs.truths]
    crowd = ground_truth.crowd[pairs.truths]
    good = same & (pairs.ious >= min(pos_thr, 1 - 1e-10))  # pycocotools' allowance

    kinds = np.where(counted, Kind.BACKGROUND, Kind.BEYOND_LIMIT).astype(np.uint8)
    truths = np.full(len(kinds), -1)
    ious = np.zeros(len(kinds))

    def set_kind(kind: Kind | np.ndarray, chosen: Pairs) -> None:
        kinds[chosen.detections], truths[chosen.detections] = kind, chosen.truths
        ious[chosen.detections] = chosen.ious

    def split(chosen: Pairs, within: Kind, across: Kind) -> np.ndarray:
        agree = agreement[detections.labels[chosen.detections], ground_truth.labels[chosen.truths]]
        return np.where(agree > 0, within, across)

    # From the last of TIDE's order to the first, so that the first prevails.
    own, other = pairs[same & ~crowd].best(), pairs[~same & ~crowd].best()
    both, wrong = other[other.ious > bg_thr], other[other.ious >= pos_thr]
    set_kind(split(both, *BOTH), both)
    set_kind(Kind.DUPLICATE, own[own.ious >= pos_thr])
    set_kind(split(wrong, *CLASS), wrong)
    set_kind(Kind.BOX, own[own.ious <= pos_thr])
    set_kind(Kind.ON_CROWD, pairs[good & crowd].best())
    free = pairs[good & ~crowd]
    claimed = match_greedily(free, detections, num_truths=len(ground_truth.labels))
    hits = free[claimed[free.detections] == free.truths]
    set_kind(Kind.HIT, hits)

    # A ground truth without a hit can be won back once, by the best class or box error on it.
    lost = ~ground_truth.crowd
    lost[hits.truths] = False
    able = np.flatnonzero(np.isin(kinds, (*CLASS, Kind.BOX)))
    able = able[lost[truths[able]]]
    able = able[np.lexsort((-detections.scores[able], truths[able]))]
    fixed = np.zeros(len(kinds), dtype=bool)
    fixed[able[np.diff(truths[able], prepend=-1) > 0]] = True
    lost[truths[able]] = False
    return DetectionErrors(kinds, truths, ious, missed=np.flatnonzero(lost)), fixed


class _Costs:
    """AP by class, as it is and with some errors fixed.

    All columns are in order of class, then of falling score.
    """

    def __init__(
        self,
        ground_truth: GroundTruth,
        detections: Detections,
        table: DetectionErrors,
        fixed: np.ndarray,
        num_classes: int,
    ) -> None:
        self._num_gt = ground_truth.box_counts(num_classes)
        self._missed = np.bincount(ground_truth.labels[table.missed], minlength=num_classes)
        self._order = _rank_by_class(detections, table.kinds < Kind.MISSED, num_classes)
        self._labels = detections.labels[self._order]
        self._bounds = np.searchsorted(self._labels, np.arange(num_classes + 1))
        self._minus_scores = -detections.scores[self._order]
        self._kinds = table.kinds[self._order]
        fixed = fixed[self._order]
        becomes = ground_truth.labels[table.truths[self._order[fixed]]]
        stays = becomes == self._labels[fixed]
        self._stays = np.zeros(len(fixed), dtype=bool)  # a hit of its own class, once fixed
        self._stays[fixed] = stays
        self._moving = np.flatnonzero(fixed)[~stays]  # a hit of another class
        self._destinations = becomes[~stays]
        self.class_ap = self._class_ap(np.zeros(len(fixed), dtype=bool), self._num_gt)

    def loss(self, name: str, errors: np.ndarray, *, missed: bool = False) -> Loss:
        """What some errors cost.

        Args:
            name: What to call them.
            errors: (N,) bool, in the order of the table.
            missed: Whether all missed ground truth counts too.
        """
        errors = errors[self._order]
        gone = self._missed if missed else np.zeros_like(self._missed)
        counts = np.bincount(self._labels[errors], minlength=len(gone)) + gone
        gains = self._class_ap(errors, self._num_gt - gone) - self.class_ap
        return Loss(name, int(counts.sum()), _mean(gains), counts, gains)

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


def _rank_by_class(detections: Detections, counted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counted detections by class, then by falling score.

    Of equal scores, those of the first image come first, then those given first: the order of
    COCO's engines.
    """
    by_image = np.argsort(detections.images, kind='stable')
    by_image = by_image[counted[by_image]]
    labels = detections.labels[by_image]
    ranked = []
    for label in range(num_classes):
        index = by_image[labels == label]
        ranked.append(index[np.argsort(-detections.scores[index], kind='stable')])
    return np.concatenate(ranked)


def _average_precision(hits: np.ndarray, num_gt: int) -> float:
    """COCO's AP of detections by falling score; 0 without ground truth."""
    places = np.flatnonzero(hits)
    found = np.arange(1, len(places) + 1)
    precision = np.maximum.accumulate((found / (places + 1))[::-1])[::-1]
    reached = np.searchsorted(found / max(num_gt, 1), RECALLS)
    return float(precision[reached[reached < len(places)]].sum() / len(RECALLS))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float('nan')
