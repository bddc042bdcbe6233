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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmdet_multigrain.evaluation.bootstrap import (
    RESAMPLES,
    Interval,
    ResampledAP,
    difference,
    resample_ap,
)
from mmdet_multigrain.evaluation.summary import THIRDS
from mmdet_multigrain.imbalance import rarest_labels
from mmdet_multigrain.taxonomy.errors import show, show_list

from .errors import ReportError
from .paper import Paper
from .runs import Run

MEAN_OF_GAINS = 'mean of the per-class gains'
DIFFERENCE = 'difference of the two numbers'
# How many of DeepFashion2's 13 classes the paper calls "the last 30 %": 30 % of Open Images' 30.
PAPER_RAREST = 9
TOLERANCE = 1e-6  # between a result.json and what its detections give


@dataclass(frozen=True)
class Number:
    """Something that is compared.

    Attributes:
        key: COCO's name (``AP``, ``AP50``, ...), ``superclass_AP``, ``all``, ``rarest_3``, ...
        title: What to call it.
        definition: Of its gain: ``MEAN_OF_GAINS`` or ``DIFFERENCE``.
        classes: That it is a mean over, rarest first, if it is one; else empty.
    """

    key: str
    title: str
    definition: str
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComparedClass:
    """A class, or a superclass.

    Attributes:
        key: Under which its AP is found; unlike that of any ``Number``.
        name: Its name.
        superclasses: The groups above it, coarsest first.
        train_boxes: None if unknown.
        val_boxes: None if unknown.
    """

    key: str
    name: str
    superclasses: tuple[str, ...]
    train_boxes: int | None
    val_boxes: int | None


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
        """Standard deviation over the runs (n - 1); NaN for a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


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
        counted_on: Whose boxes say which classes are rare: ``training`` or ``validation``.
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


@dataclass(frozen=True)
class _Frame:
    """What there is to compare, and how it is found in a resampled run."""

    numbers: tuple[Number, ...]
    classes: tuple[ComparedClass, ...]
    superclasses: tuple[tuple[ComparedClass, ...], ...] = ()
    counted_on: str = 'training'
    resampled: Mapping[str, Callable[[ResampledAP], np.ndarray]] = field(default_factory=dict)


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
        runs: That compare (``load_runs``).
        baseline: Name of a variant. Default: the only one whose name begins with ``baseline``,
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
    frame = _frame_of_runs(runs)
    resampled = {}
    complete = [name for name in names
                if all(run.has_detections for run in runs if run.variant == name)]
    if resamples and baseline in complete and len(complete) > 1:
        resampled = _resample([run for run in runs if run.variant in complete], resamples, seed,
                              workers, progress)
    return _compare([_scores_of_run(run) for run in runs], frame, baseline, resampled,
                    resamples=resamples if resampled else 0)


def compare_paper(paper: Paper, *, baseline: str = 'baseline') -> Comparison:
    """The variants of the paper, by what it prints."""
    overall = next(iter(paper.overall.values()))
    classes = tuple(
        ComparedClass(_class_key(row.name), row.name, (paper.taxonomy.superclass_of(row.name), ),
                      row.train_boxes, None)
        for row in paper.classes)
    frame = _Frame(numbers=(*(Number(key, key, DIFFERENCE) for key in overall),
                            *_class_means(classes)), classes=classes)
    scores = [
        _Scores(name, name, {
            **{key: value / 100 for key, value in figures.items()},
            **{row.key: entry.ap[name] / 100
               for row, entry in zip(classes, paper.classes, strict=True)}})
        for name, figures in paper.overall.items()]
    return _compare(scores, frame, _choose_baseline(list(paper.overall), baseline), {},
                    resamples=0)


def _choose_baseline(names: Sequence[str], wanted: str | None) -> str:
    if wanted is None:
        likely = [name for name in names if name.lower().startswith('baseline')]
        return likely[0] if len(likely) == 1 else names[0]
    if wanted not in names:
        raise ReportError(f'no variant is called {show(wanted)}; the baseline can be one of '
                          f'{show_list(names)}')
    return wanted


def _frame_of_runs(runs: Sequence[Run]) -> _Frame:
    """Numbers, classes and superclasses of runs that compare."""
    summary = runs[0].result.summary
    taxonomy = runs[0].result.taxonomy
    # Detections of other frameworks come without training counts.
    levels = next((run.result.summary.levels for run in runs
                   if all(row.train_boxes is not None for row in run.result.summary.fine.classes)),
                  summary.levels)
    counted_on = 'validation' if levels[-1].classes[0].train_boxes is None else 'training'
    counts = [row.val_boxes if row.train_boxes is None else row.train_boxes
              for row in levels[-1].classes]
    order = np.argsort(counts, kind='stable').tolist()
    classes = tuple(
        ComparedClass(_class_key(row.name), row.name, row.superclasses, row.train_boxes,
                      row.val_boxes)
        for row in (levels[-1].classes[label] for label in order))
    coarse = [level for level in range(taxonomy.num_levels - 1)
              if taxonomy.group_names(level) != taxonomy.classes]
    superclasses = tuple(
        tuple(ComparedClass(_class_key(row.name, level), row.name, row.superclasses,
                            row.train_boxes, row.val_boxes) for row in levels[level].classes)
        for level in coarse)
    means = _class_means(classes)
    resampled: dict[str, Callable[[ResampledAP], np.ndarray]] = {
        'AP': lambda run: run.mean(),
        'AP50': lambda run: run.mean(iou=0.5),
        'AP75': lambda run: run.mean(iou=0.75)}
    for level in coarse:
        resampled[_level_key(level, coarse)] = lambda run, level=level: run.mean(level=level)
    for mean in means:
        labels = sorted(taxonomy.classes.index(name) for name in mean.classes)
        resampled[mean.key] = lambda run, labels=labels: run.mean(labels)
    for level, rows in [(taxonomy.num_levels - 1, classes),
                        *zip(coarse, superclasses, strict=True)]:
        for row in rows:
            label = taxonomy.group_names(level).index(row.name)
            resampled[row.key] = (
                lambda run, level=level, label=label: run.classes(level=level)[:, label])
    return _Frame(
        numbers=(
            *(Number(key, key, DIFFERENCE) for key in summary.fine.coco),
            *(Number(_level_key(level, coarse), _level_key(level, coarse).replace('_', ' '),
                     DIFFERENCE) for level in coarse),
            *means),
        classes=classes, superclasses=superclasses, counted_on=counted_on, resampled=resampled)


def _class_means(classes: Sequence[ComparedClass]) -> tuple[Number, ...]:
    """Means over all classes, over the rarest and over thirds; classes come rarest first."""
    names = [row.name for row in classes]
    total = len(names)
    k = len(rarest_labels(range(total)))
    chosen = [('all', f'all {total} classes', names),
              (f'rarest_{k}', f'rarest {k} of {total} (30 %, rounded down)', names[:k])]
    if k != PAPER_RAREST < total:
        chosen.append((f'rarest_{PAPER_RAREST}',
                       f"rarest {PAPER_RAREST} of {total} (the paper's choice)",
                       names[:PAPER_RAREST]))
    thirds = [part.tolist() for part in np.array_split(np.arange(total), len(THIRDS))]
    chosen += [(title.replace(' ', '_'), f'{title} ({len(part)} of {total})',
                [names[place] for place in part])
               for title, part in zip(THIRDS, thirds, strict=True) if part]
    return tuple(Number(key, title, MEAN_OF_GAINS, tuple(members))
                 for key, title, members in chosen)


def _scores_of_run(run: Run) -> _Scores:
    summary, taxonomy = run.result.summary, run.result.taxonomy
    coarse = [level for level in range(taxonomy.num_levels - 1)
              if taxonomy.group_names(level) != taxonomy.classes]
    values = dict(summary.fine.coco)
    values.update({_class_key(row.name): row.ap for row in summary.fine.classes})
    for level in coarse:
        values[_level_key(level, coarse)] = summary.levels[level].coco['AP']
        values.update({_class_key(row.name, level): row.ap
                       for row in summary.levels[level].classes})
    return _Scores(run.name, run.variant, values)


def _level_key(level: int, coarse: Sequence[int]) -> str:
    return 'superclass_AP' if len(coarse) == 1 else f'level_{level}_AP'


def _class_key(name: str, level: int | None = None) -> str:
    """A colon keeps it apart from the numbers' keys."""
    return f'class:{name}' if level is None else f'level {level}:{name}'


def _resample(
    runs: Sequence[Run], resamples: int, seed: int, workers: int | None, progress: bool
) -> dict[str, ResampledAP]:
    """Bootstrap all runs on the same resamples, by name."""
    taxonomy = runs[0].result.taxonomy
    found = resample_ap(
        runs[0].ground_truth,
        [run.detections for run in runs],
        [taxonomy.group_index(level) for level in range(taxonomy.num_levels)],
        resamples=resamples, seed=seed, max_dets=runs[0].result.summary.max_dets,
        workers=workers, progress=progress)
    for run, values in zip(runs, found, strict=True):
        ours, theirs = values.mean()[0], run.result.summary.fine.coco['AP']
        if abs(ours - theirs) > TOLERANCE:
            raise ReportError(f'{run.source}: its AP is {theirs:.6f}, but its detections give '
                              f'{ours:.6f}; test it again, so that both are of one test')
    return {run.name: values for run, values in zip(runs, found, strict=True)}


def _compare(
    runs: Sequence[_Scores],
    frame: _Frame,
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
        sides = [[resampled.get(run.run) for run in members[name]]
                 for name in (baseline, variant)]
        known = key in frame.resampled and all(run is not None for side in sides for run in side)
        value = scores[variant][key].mean - scores[baseline][key].mean
        return Gain(value, difference(*sides, frame.resampled[key]) if known else None)

    variants = []
    for name, own in members.items():
        gains = {} if name == baseline else {key: gain(name, key) for key in scores[name]}
        variants.append(Variant(name, tuple(run.run for run in own), scores[name], gains))
    return Comparison(
        baseline=baseline, variants=tuple(variants), numbers=frame.numbers,
        classes=frame.classes, superclasses=frame.superclasses, counted_on=frame.counted_on,
        resamples=resamples)


def _spreads(runs: Sequence[_Scores], frame: _Frame) -> dict[str, Spread]:
    """All scores of a variant by key."""
    def mean(run: _Scores, classes: Sequence[str]) -> float:
        known = [value for name in classes
                 if not math.isnan(value := run.values[_class_key(name)])]
        return sum(known) / len(known) if known else math.nan

    rows = [*frame.classes, *(row for level in frame.superclasses for row in level)]
    spreads = {
        number.key: Spread(tuple(mean(run, number.classes) if number.classes else
                                 run.values[number.key] for run in runs))
        for number in frame.numbers}
    spreads.update({row.key: Spread(tuple(run.values[row.key] for run in runs)) for row in rows})
    return spreads
