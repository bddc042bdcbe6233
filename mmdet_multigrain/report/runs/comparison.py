"""Variants compared: means over seeds, gains over a baseline, and their intervals.

Values are fractions, 0 to 1. Needs neither torch nor mmdet.

A gain over the baseline has two definitions, and the paper uses both. Its abstract and its "last
30%" give the mean of the per-class gains; its tables 1 and 2 imply the difference of two
numbers. On your own data AP is the mean over the classes and the two are equal; the paper's APs
are not quite the means of its per-class columns (2.28 against 2.00 on DeepFashion2).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmdet_multigrain.evaluation.functional import bootstrap
from mmdet_multigrain.evaluation.functional.common import mean_of_known
from mmdet_multigrain.evaluation.functional.intervals import (
    CONFIDENCE,
    ROUNDING,
    Difference,
    difference_of_draws,
    holm,
)
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import show, show_list

from . import measures
from .measures import Measures, Metric
from .paper import Paper
from .run import TOLERANCE, Run, complete_variants, runs_by_variant


@dataclass(frozen=True)
class Spread:
    """A score over the runs of a variant; NaN where unknown."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return sum(self.values) / len(self.values)

    @property
    def std(self) -> float:
        """Standard deviation over the runs (n - 1); NaN for one run, or where one has no value."""
        known = len(self.values) > 1 and not math.isnan(self.mean)
        return statistics.stdev(self.values) if known else math.nan


@dataclass(frozen=True)
class Gain:
    """What a variant gains in a metric or class."""

    value: float  # mean over its runs minus mean over the baseline's
    # over seeds and photos, or over photos only with one or two seeds; None without detections, and
    # for metrics that are not resampled (small, medium and large boxes; recall)
    interval: Difference | None = None
    # P value of the interval, adjusted by Holm's rule for the number of variants that are compared
    # with the baseline; NaN without an interval over seeds
    p_holm: float = math.nan

    @property
    def has_ends(self) -> bool:
        """Whether there is an interval to show: enough boxes, and something that varies."""
        known = self.interval is not None and not math.isnan(self.interval.low)
        return known and not self.is_same

    @property
    def is_same(self) -> bool:
        """Whether both sides are equal, on all photos and in each resample of them."""
        if self.interval is None:
            return False
        return max(abs(self.interval.low), abs(self.interval.high)) <= ROUNDING

    @property
    def too_few_boxes(self) -> bool:
        """Whether there is no interval because there are too few images with a box."""
        known = self.interval is not None and not math.isnan(self.value)
        return known and not self.interval.enough_images

    @property
    def may_be_noise(self) -> bool | None:
        """Whether seeds and photos may make this difference; None where that is not known."""
        return None if math.isnan(self.p_holm) else self.p_holm > 1 - CONFIDENCE


@dataclass(frozen=True)
class Variant:
    """Runs that differ in their seed."""

    name: str  # what was trained
    runs: tuple[str, ...]
    scores: Mapping[str, Spread]  # by key of metric, class and superclass
    # over the baseline, by the same keys; empty for the baseline
    gains: Mapping[str, Gain] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Comparison(Measures):
    """The measures of all variants, and their gains over one baseline."""

    baseline: str  # name of a variant
    variants: tuple[Variant, ...]  # in the order given, baseline included
    resamples: int = 0  # of the bootstrap; 0 without

    @property
    def others(self) -> tuple[Variant, ...]:
        """The variants except the baseline."""
        return tuple(variant for variant in self.variants if variant.name != self.baseline)

    @property
    def has_seeds(self) -> bool:
        """Whether some variant has several runs."""
        return any(len(variant.runs) > 1 for variant in self.variants)

    @property
    def over_seeds(self) -> tuple[Variant, ...]:
        """The variants whose intervals are over seeds and photos."""
        return tuple(variant for variant in self.others if _has_interval(variant, seeds=True))

    @property
    def over_photos_only(self) -> tuple[Variant, ...]:
        """The variants whose intervals are over photos only."""
        return tuple(variant for variant in self.others if _has_interval(variant, seeds=False))

    def variant(self, name: str) -> Variant:
        """The variant of that name."""
        return next(variant for variant in self.variants if variant.name == name)


def _has_interval(variant: Variant, *, seeds: bool) -> bool:
    intervals = (gain.interval for gain in variant.gains.values())
    return any(one is not None and one.over_seeds is seeds for one in intervals)


def compare(
    runs: Sequence[Run],
    *,
    baseline: str | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare variants, with intervals where detections exist.

    Args:
        runs: Comparable runs (`load_runs`).
        baseline: Name of a variant. Default: the only one whose name begins with `baseline`,
            else the first.
        resamples: Of the bootstrap; 0 for none.
        seed: Of the bootstrap.
        workers: Threads of the bootstrap. Default: one per core.
        progress: Show the bootstrap's progress.

    Raises:
        ReportError: There is no run or no such baseline, or detections do not reproduce the
            numbers of their result.
    """
    if not runs:
        raise ReportError('no run to compare; name at least one')
    members = runs_by_variant(runs)
    baseline = _choose_baseline(list(members), baseline)
    what = measures.measures_of_runs(runs)
    complete = complete_variants(runs)
    draws = None
    if resamples and baseline in complete and len(complete) > 1:
        options = {'resamples': resamples, 'seed': seed, 'workers': workers, 'progress': progress}
        resampled = [run for run in runs if run.variant in complete]
        seeds = {run.name: run.seed for run in runs}
        images = measures.images_with_boxes(resampled[0].boxes, what, runs[0].result.taxonomy)
        draws = Draws(_resample(resampled, what, **options), seeds, images)
    scores = {
        name: {run.name: measures.scores_of_run(run) for run in own}
        for name, own in members.items()
    }
    return compare_scores(scores, what, baseline, draws, resamples=resamples if draws else 0)


def compare_paper(paper: Paper, *, baseline: str = 'baseline') -> Comparison:
    """Compare the paper's variants by what it prints."""
    scores = {name: {name: scores} for name, scores in measures.scores_of_paper(paper).items()}
    baseline = _choose_baseline(list(scores), baseline)
    return compare_scores(scores, measures.measures_of_paper(paper), baseline, None)


def _choose_baseline(names: Sequence[str], wanted: str | None) -> str:
    if wanted is None:
        likely = [name for name in names if name.lower().startswith('baseline')]
        return likely[0] if len(likely) == 1 else names[0]
    if wanted not in names:
        raise ReportError(
            f'no variant is called {show(wanted)}; the baseline can be one of {show_list(names)}'
        )
    return wanted


def _resample(
    runs: Sequence[Run], what: Measures, **options: Any
) -> dict[str, dict[str, np.ndarray]]:
    """Bootstrap all runs on the same resamples: their scores by name and key."""
    taxonomy = runs[0].result.taxonomy
    found = bootstrap.resample_ap(
        runs[0].boxes,
        [run.detections for run in runs],
        [taxonomy.group_index(level) for level in range(taxonomy.num_levels)],
        max_dets=runs[0].result.max_dets,
        **options,
    )
    scores = {}
    for run, values in zip(runs, found, strict=True):
        ours, theirs = values.mean()[0], run.result.summary.fine.coco['AP']
        if abs(ours - theirs) > TOLERANCE:
            raise ReportError(
                f'{run.source}: its AP is {theirs:.6f}, but its detections give '
                f'{ours:.6f}; test it again, so that both are of one test'
            )
        scores[run.name] = measures.scores_of_resampled(values, what, taxonomy)
    return scores


@dataclass(frozen=True, eq=False)
class Draws:
    """Resampled scores of runs."""

    scores: Mapping[str, Mapping[str, np.ndarray]]  # (1 + B,) scores by run and key
    seeds: Mapping[str, int | None]  # seed of each run
    num_images: Mapping[str, int]  # number of images with a box, by key

    def difference(
        self, baseline: Sequence[str], variant: Sequence[str], key: str
    ) -> Difference | None:
        """Variant minus baseline with its interval; None without draws of all runs."""
        seeds = [[self.seeds[run] for run in side] for side in (baseline, variant)]
        paired = None not in seeds[0] and set(seeds[0]) == set(seeds[1])
        sides = baseline, variant
        if paired:
            sides = [sorted(side, key=self.seeds.__getitem__) for side in sides]
        arms = [[self.scores.get(run, {}).get(key) for run in side] for side in sides]
        if any(draws is None for arm in arms for draws in arm):
            return None
        return difference_of_draws(*arms, num_images=self.num_images[key], paired=paired)


def compare_scores(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    what: Measures,
    baseline: str,
    draws: Draws | None,
    *,
    resamples: int = 0,
) -> Comparison:
    """Compare scores by variant, run and key."""
    spreads = {name: _spreads(list(runs.values()), what) for name, runs in scores.items()}
    gains: dict[str, dict[str, Gain]] = {name: {} for name in scores}
    others = [name for name in scores if name != baseline]
    for key, before in spreads[baseline].items():
        intervals = [
            draws and draws.difference(list(scores[baseline]), list(scores[name]), key)
            for name in others
        ]
        p_values = [one.p_value if one and one.over_seeds else math.nan for one in intervals]
        for name, interval, p in zip(others, intervals, holm(p_values), strict=True):
            value = spreads[name][key].mean - before.mean
            gains[name][key] = Gain(value, interval, float(p))
    variants = tuple(
        Variant(name, tuple(scores[name]), own, gains[name]) for name, own in spreads.items()
    )
    return Comparison(**vars(what), baseline=baseline, variants=variants, resamples=resamples)


def _spreads(runs: Sequence[Mapping[str, float]], what: Measures) -> dict[str, Spread]:
    """All scores of a variant by key."""

    def score(run: Mapping[str, float], metric: Metric) -> float:
        if not metric.classes:
            return run.get(metric.key, math.nan)
        keys = (measures.class_key(name, at_50=metric.at_50) for name in metric.classes)
        return mean_of_known(np.array([run[key] for key in keys]))

    spreads = {m.key: Spread(tuple(score(run, m) for run in runs)) for m in what.metrics}
    for entry in what.entries:
        spreads[entry.key] = Spread(tuple(run[entry.key] for run in runs))
    return spreads
