"""Variants side by side: means over seeds, gains over a baseline, and how sure they are.

Only values are computed here, as fractions from 0 to 1; tables and figures of them belong
elsewhere. Needs neither torch nor mmdet.

A gain over the baseline has two definitions, and both are in the paper. Its abstract and its
"last 30 %" give the mean of the per-class gains; its tables 1 and 2 leave the difference of two
numbers. On one's own data, AP is the mean over the classes, and the two are the same; the
paper's own columns are not means of what it prints by class (2.28 against 2.00 on DeepFashion2).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmdet_multigrain.evaluation.functional.bootstrap import (
    RESAMPLES,
    Interval,
    ResampledAP,
    difference,
    resample_ap,
)
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import show, show_list

from .load import TOLERANCE, Run
from .measures import (
    DIFFERENCE,
    MEAN_OF_GAINS,
    ComparedClass,
    Frame,
    Number,
    class_key,
    frame_of_paper,
    frame_of_runs,
    values_of_paper,
    values_of_run,
)
from .paper import Paper

__all__ = [
    'DIFFERENCE',
    'MEAN_OF_GAINS',
    'ComparedClass',
    'Comparison',
    'Gain',
    'Number',
    'Spread',
    'Variant',
    'compare',
    'compare_paper',
]


@dataclass(frozen=True)
class Spread:
    """A number over the runs of a variant; NaN where it is not known."""

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
    """What a variant gains in a number.

    Attributes:
        value: Mean over its runs minus mean over the baseline's.
        interval: Of the paired bootstrap over images; None without detections, or where it does
            not reach (small, medium and large boxes; recall).
    """

    value: float
    interval: Interval | None

    @property
    def contains_zero(self) -> bool | None:
        """Whether the interval holds 0, so that it may be noise; None without one."""
        return None if self.interval is None else self.interval.contains_zero


@dataclass(frozen=True)
class Variant:
    """Runs that differ in their seed.

    Attributes:
        name: What was trained.
        runs: Their names.
        scores: By key of number, class and superclass.
        gains: Over the baseline, by the same keys; empty for the baseline.
    """

    name: str
    runs: tuple[str, ...]
    scores: Mapping[str, Spread]
    gains: Mapping[str, Gain] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """All variants over one baseline.

    Attributes:
        baseline: Name of a variant.
        variants: In the order given; the baseline is one of them.
        numbers: What is compared beside the classes.
        classes: The fine ones, rarest first.
        superclasses: For each coarse level, coarsest first; none where nothing is grouped.
        counted_on: Whose boxes say which classes are rare: `training` or `validation`.
        resamples: Of the bootstrap; 0 without.
    """

    baseline: str
    variants: tuple[Variant, ...]
    numbers: tuple[Number, ...]
    classes: tuple[ComparedClass, ...]
    superclasses: tuple[tuple[ComparedClass, ...], ...]
    counted_on: str
    resamples: int

    def variant(self, name: str) -> Variant:
        """The variant of that name."""
        return next(variant for variant in self.variants if variant.name == name)

    def number(self, key: str) -> Number:
        """The number of that key."""
        return next(number for number in self.numbers if number.key == key)


@dataclass(frozen=True)
class _Scores:
    """A run's scores by key, all but the means over classes."""

    run: str
    variant: str
    values: Mapping[str, float]


def compare(
    runs: Sequence[Run],
    *,
    baseline: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare variants with intervals, as far as their detections are there.

    Args:
        runs: That compare (`load_runs`).
        baseline: Name of a variant. Default: the only one whose name begins with `baseline`,
            else the first.
        resamples: Of the bootstrap; 0 for none.
        seed: Of the bootstrap.
        workers: Threads of the bootstrap. Default: as many as there are cores.
        progress: Show the bootstrap's progress.

    Raises:
        ReportError: There is no run or no such baseline, or detections do not give the numbers of
            their result.
    """
    if not runs:
        raise ReportError('no run to compare; name at least one')
    names = list(dict.fromkeys(run.variant for run in runs))
    baseline = _choose_baseline(names, baseline)
    resampled = {}
    complete = [
        name for name in names if all(run.has_detections for run in runs if run.variant == name)
    ]
    if resamples and baseline in complete and len(complete) > 1:
        resampled = _resample(
            [run for run in runs if run.variant in complete], resamples, seed, workers, progress
        )
    scores = [_Scores(run.name, run.variant, values_of_run(run)) for run in runs]
    return _compare(
        scores, frame_of_runs(runs), baseline, resampled, resamples=resamples if resampled else 0
    )


def compare_paper(paper: Paper, *, baseline: str = 'baseline') -> Comparison:
    """The variants of the paper, by what it prints."""
    scores = [_Scores(name, name, values) for name, values in values_of_paper(paper).items()]
    return _compare(
        scores,
        frame_of_paper(paper),
        _choose_baseline(list(paper.overall), baseline),
        {},
        resamples=0,
    )


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
    runs: Sequence[Run], resamples: int, seed: int, workers: int | None, progress: bool
) -> dict[str, ResampledAP]:
    """Bootstrap all runs on the same resamples, by name."""
    taxonomy = runs[0].result.taxonomy
    found = resample_ap(
        runs[0].ground_truth,
        [run.detections for run in runs],
        [taxonomy.group_index(level) for level in range(taxonomy.num_levels)],
        resamples=resamples,
        seed=seed,
        max_dets=runs[0].result.summary.max_dets,
        workers=workers,
        progress=progress,
    )
    for run, values in zip(runs, found, strict=True):
        ours, theirs = values.mean()[0], run.result.summary.fine.coco['AP']
        if abs(ours - theirs) > TOLERANCE:
            raise ReportError(
                f'{run.source}: its AP is {theirs:.6f}, but its detections give '
                f'{ours:.6f}; test it again, so that both are of one test'
            )
    return {run.name: values for run, values in zip(runs, found, strict=True)}


def _compare(
    runs: Sequence[_Scores],
    frame: Frame,
    baseline: str,
    resampled: Mapping[str, ResampledAP],
    *,
    resamples: int,
) -> Comparison:
    members: dict[str, list[_Scores]] = {}
    for run in runs:
        members.setdefault(run.variant, []).append(run)
    scores = {name: _spreads(own, frame) for name, own in members.items()}

    def gain(variant: str, key: str) -> Gain:
        sides = [[resampled.get(run.run) for run in members[name]] for name in (baseline, variant)]
        known = key in frame.resampled and all(run is not None for side in sides for run in side)
        value = scores[variant][key].mean - scores[baseline][key].mean
        return Gain(value, difference(*sides, frame.resampled[key]) if known else None)

    variants = []
    for name, own in members.items():
        gains = {} if name == baseline else {key: gain(name, key) for key in scores[name]}
        variants.append(Variant(name, tuple(run.run for run in own), scores[name], gains))
    return Comparison(
        baseline=baseline,
        variants=tuple(variants),
        numbers=frame.numbers,
        classes=frame.classes,
        superclasses=frame.superclasses,
        counted_on=frame.counted_on,
        resamples=resamples,
    )


def _spreads(runs: Sequence[_Scores], frame: Frame) -> dict[str, Spread]:
    """All scores of a variant by key."""

    def mean(run: _Scores, classes: Sequence[str]) -> float:
        known = [value for name in classes if not math.isnan(value := run.values[class_key(name)])]
        return sum(known) / len(known) if known else math.nan

    rows = [*frame.classes, *(row for level in frame.superclasses for row in level)]
    spreads = {
        number.key: Spread(
            tuple(
                mean(run, number.classes)
                if number.classes
                else run.values.get(number.key, math.nan)
                for run in runs
            )
        )
        for number in frame.numbers
    }
    spreads.update({row.key: Spread(tuple(run.values[row.key] for run in runs)) for row in rows})
    return spreads
