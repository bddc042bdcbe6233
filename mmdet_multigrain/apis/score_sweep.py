"""Many ways to make scores from the same RoIs, evaluated as a test would, and a choice among them.

The choice is cross-fitted: chosen on one half of the images, scored on the other, and the reverse.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from mmdet.models.layers import multiclass_nms

from mmdet_multigrain.evaluation import (
    Detections,
    GroundTruth,
    Kind,
    analyze_errors,
    evaluate_levels,
    summarize,
)
from mmdet_multigrain.evaluation.functional.bootstrap import resample_ap
from mmdet_multigrain.evaluation.functional.intervals import Difference, difference_of_draws
from mmdet_multigrain.evaluation.functional.matching import within_limit
from mmdet_multigrain.models import HierarchicalCrossEntropyLoss
from mmdet_multigrain.models.losses.score_fusion import CENTERS, NorCal, build_fusion
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from .roi_outputs import RoIOutputs

OFF = 'off'


@dataclass(frozen=True)
class Cap:
    """Limits on detections: of an image (0: none), and of a class in it."""

    per_image: int
    per_class: int

    def __str__(self) -> str:
        return f'{self.per_image or "all"}/{self.per_class}'


def describe_fusion(fusion: Mapping[str, Any] | None) -> str:
    """A short name, like `NorCal 0.4 geometric after ConditionalFusion 1`."""
    if fusion is None:
        return OFF
    numbers = ','.join(f'{value:g}' for value in np.atleast_1d(fusion['gamma']))
    parts = [fusion['type'], numbers]
    if fusion['type'] == 'NorCal':
        parts.append('in groups' if fusion.get('within_groups') else fusion['center'])
    below = fusion.get('fusion')
    return ' '.join(parts) + (f' after {describe_fusion(below)}' if below else '')


def make_fusions(
    gammas: Sequence[float],
    count_gammas: Sequence[float],
    *,
    num_levels: int = 2,
    with_groups: bool = True,
) -> Iterator[dict[str, Any] | None]:
    """The configs to try: none, both fusions of levels, and NorCal alone and after each of them.

    Args:
        gammas: Of the fusions of levels; with several coarser levels the product has each of these,
            or 0, on each.
        count_gammas: Of NorCal; empty without counts.
        num_levels: Of the taxonomy of the head.
        with_groups: Whether it has groups, for NorCal within them.
    """
    weights = [*gammas]
    if num_levels > 2:
        each = itertools.product((0, *gammas), repeat=num_levels - 1)
        weights = [list(one) for one in each if any(one)]
    of_levels = [dict(type='ConditionalFusion', gamma=gamma) for gamma in gammas]
    of_levels += [dict(type='ProductFusion', gamma=gamma) for gamma in weights]
    for fusion in (None, *of_levels):
        yield fusion
        for gamma in count_gammas:
            own = dict(type='NorCal', gamma=gamma)
            for center in CENTERS if fusion is None else CENTERS[:1]:
                yield dict(own, center=center, fusion=fusion)
            if with_groups:
                yield dict(own, within_groups=True, fusion=fusion)


@dataclass(eq=False)
class ScoreSweep:
    """Detections and numbers for any fusion, from the outputs of the RoIs."""

    outputs: RoIOutputs  # of all images
    loss: HierarchicalCrossEntropyLoss  # of the head, without a fusion; makes the probabilities
    rcnn: Mapping[str, Any]  # `test_cfg.rcnn` of the model
    truth: GroundTruth  # boxes of these images, with labels of any granularity
    caps: Sequence[Cap]  # limits to evaluate at; the choice is made at the first
    class_counts: Sequence[int] | None = None  # training boxes of each class, for NorCal
    train_counts: Sequence[int] | None = None  # say which are rare; default: boxes of `truth`
    class_sets: Mapping[str, Sequence[str]] = field(default_factory=dict)  # names of classes
    # further arguments of `evaluate_levels` (`engine`, `iou_thrs`)
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.taxonomy = self.outputs.taxonomy
        self.fine = [self.taxonomy.group_index(-1)]

    @torch.no_grad()
    def detect(self, fusion: Mapping[str, Any] | None) -> list[tuple[Any, ...]]:
        """Image id, labels, boxes and scores of each image, by falling score, as a test gives them."""
        loss = self.loss
        loss.fusion = build_fusion(fusion, loss.taxonomy)
        if isinstance(loss.fusion, NorCal):
            loss.fusion.class_counts.copy_(torch.tensor(self.class_counts))
        limits = [cap.per_image for cap in self.caps]
        most = max(limits) if all(limits) else -1
        found = []
        for number, image_id in enumerate(self.outputs.image_ids):
            logits, boxes = self.outputs.image(number)
            boxes = boxes if len(boxes) else boxes[:, :4]  # mmdet cannot view none by class
            if not loss.fuses_levels:
                logits = logits[:, : loss.level_channels[-1]].contiguous()
            # Image by image, as in a test: sums over other shapes may be rounded differently.
            scores = loss.get_activation(logits)
            kept, labels = multiclass_nms(
                boxes, scores, self.rcnn['score_thr'], self.rcnn['nms'], most
            )
            kept = kept.numpy()
            found.append((image_id, labels.numpy(), kept[:, :4], kept[:, 4]))
        return found

    def detections(self, found: Sequence[tuple[Any, ...]], cap: Cap | None = None) -> Detections:
        """The detections of each image up to its limit; default: the first."""
        stop = (cap or self.caps[0]).per_image or None
        chosen = [(one[0], *(column[:stop] for column in one[1:])) for one in found]
        return Detections.from_images(self.truth.image_ids, chosen)

    def numbers(self, found: Sequence[tuple[Any, ...]]) -> dict[str, dict[str, float | None]]:
        """AP, AP50, AP of the rarest classes and of the main tree's coarsest groups at each limit.

        After them come `set_NAME_AP` and `set_NAME_AP50` of each class set. All are those of
        MultiGrainedCocoMetric.
        """
        taxonomy, numbers, known = self.taxonomy, {}, {}
        coarsest = taxonomy.levels_of(taxonomy.main_tree).start
        indices = [taxonomy.group_index(level) for level in range(taxonomy.num_levels)]
        for cap in self.caps:
            detections, options = self.detections(found, cap), dict(max_dets=cap.per_class)
            # Limits that nothing reaches give the same numbers.
            cut = np.count_nonzero(~within_limit(detections, cap.per_class))
            key = len(detections.scores), cut
            if key not in known:
                levels = evaluate_levels(
                    self.truth, detections, indices, **options, **self.evaluation
                )
                summary = summarize(levels, taxonomy, self.train_counts, class_sets=self.class_sets)
                values = {
                    'AP': summary.fine.coco['AP'],
                    'AP50': summary.fine.coco['AP50'],
                    'rare_AP': summary.tail.ap,
                    'superclass_AP': summary.levels[coarsest].coco['AP'],
                }
                for one in summary.class_sets:
                    values |= {f'set_{one.name}_AP': one.ap, f'set_{one.name}_AP50': one.ap50}
                known[key] = {k: None if np.isnan(v) else v for k, v in values.items()}
            numbers[str(cap)] = known[key]
        return numbers

    def ap_of(self, found: Sequence[tuple[Any, ...]], images: np.ndarray) -> float:
        """AP over some images, (I,) bool, at the first limit."""
        truth, detections = self._part(found, images)
        options = dict(max_dets=self.caps[0].per_class, **self.evaluation)
        return evaluate_levels(truth, detections, self.fine, **options)[0].mean_ap()

    def _part(
        self, found: Sequence[tuple[Any, ...]], images: np.ndarray
    ) -> tuple[GroundTruth, Detections]:
        """Boxes and detections of some images alone."""
        truth, detections, places = self.truth, self.detections(found), np.cumsum(images) - 1
        rows = images[truth.images]
        columns = {k: getattr(truth, k)[rows] for k in ('labels', 'boxes', 'areas', 'crowd')}
        part = replace(
            truth,
            image_ids=tuple(itertools.compress(truth.image_ids, images)),
            images=places[truth.images[rows]],
            unannotated=None if truth.unannotated is None else truth.unannotated[images],
            **columns,
        )
        own = detections[images[detections.images]]
        return part, replace(own, images=places[own.images])

    def halves(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Two random halves of the images, (I,) bool each; the first may have one less.

        Raises:
            EvaluationError: One has no box.
        """
        first = np.zeros(len(self.truth.image_ids), dtype=bool)
        order = np.random.default_rng(seed).permutation(len(first))
        first[order[: len(first) // 2]] = True
        boxes = self.truth.relabel(self.fine[0])
        with_boxes = first[boxes.images[~boxes.crowd]]
        if not with_boxes.any() or with_boxes.all():
            raise EvaluationError('a half of the images has no box to choose by; take more images')
        return first, ~first

    def gains(
        self,
        found: Mapping[int, Sequence[tuple[Any, ...]]],
        choices: Sequence[tuple[int, int]],
        halves: tuple[np.ndarray, np.ndarray],
        *,
        resamples: int,
        seed: int,
    ) -> list[tuple[float, Difference]]:
        """AP of choices where they were not made, and its gain over no fusion with the variance.

        Scores of two fusions do not compare, so AP is the mean over the halves.

        Args:
            found: What `detect` gives, by number of the fusion; 0 is without.
            choices: Number of the fusion chosen on each half.
            halves: (I,) the images of each half.
            resamples: Of the images of each half.
            seed: Of the resamples.
        """
        draws = []
        for half, images in enumerate(halves):
            wanted = [0, *(chosen[1 - half] for chosen in choices)]
            parts = [self._part(found[number], images) for number in wanted]
            runs = resample_ap(
                parts[0][0],
                [detections for _, detections in parts],
                self.fine,
                resamples=resamples,
                seed=2 * seed + half,  # of their own: the halves are independent
                max_dets=self.caps[0].per_class,
                progress=True,
            )
            draws.append([run.mean() for run in runs])
        boxes = self.truth.relabel(self.fine[0])
        pair = dict(num_images=len(np.unique(boxes.images[~boxes.crowd])), paired=True)
        off, *others = np.mean(draws, axis=0)[:, None]
        return [(float(one[0, 0]), difference_of_draws(off, one, **pair)) for one in others]


def cross_fit(aps: np.ndarray, candidates: Sequence[int]) -> list[dict[str, Any]]:
    """What a choice on each half gives on the other.

    Args:
        aps: (N, 2) AP of each fusion on the two halves; the first is without fusion.
        candidates: Numbers of the fusions to choose from.

    Returns:
        For each half: the number `chosen`, which has the highest AP there (of equal ones the first),
        this `AP`, its AP on the `other` half, and that without fusion, `off_other`.
    """
    fits = []
    for half in (0, 1):
        best = max(candidates, key=lambda number: aps[number, half])
        own, other = aps[best, half], aps[best, 1 - half]
        fits.append(dict(chosen=best, AP=own, other=other, off_other=aps[0, 1 - half]))
    return fits


def f1_thresholds(
    truth: GroundTruth, detections: Detections, taxonomy: Taxonomy, *, max_dets: int
) -> dict[str, dict[str, float] | None]:
    """The score from which each class has its highest F1 at IoU 0.5, and what it then is.

    Of equal ones the highest score; None for a class without boxes or hits.
    """
    truth = truth.relabel(range(taxonomy.num_classes))
    kinds = analyze_errors(truth, detections, taxonomy, max_dets=max_dets).detections.kinds
    thresholds: dict[str, dict[str, float] | None] = dict.fromkeys(taxonomy.classes)
    for label, boxes in enumerate(truth.box_counts(taxonomy.num_classes).tolist()):
        own = (detections.labels == label) & (kinds < Kind.MISSED)
        scores = detections.scores[own]
        order = np.argsort(-scores, kind='stable')
        scores, hits = scores[order], np.cumsum(kinds[own][order] == Kind.HIT)
        last = np.flatnonzero(np.diff(scores, append=-np.inf))  # those of one score come together
        hits, given = hits[last], last + 1
        if boxes and hits.any():
            f1 = 2 * hits / (given + boxes)
            best = int(f1.argmax())
            values = scores[last], f1, hits / given, hits / boxes
            names = ('threshold', 'f1', 'precision', 'recall')
            thresholds[taxonomy.classes[label]] = {
                name: float(value[best]) for name, value in zip(names, values, strict=True)
            }
    return thresholds
