"""What is compared between variants: COCO's metrics, AP by class, means over rare classes.

A metric, class or superclass has one key, under which its value is found in a run, in a resampled
run and in the paper. All values are fractions, 0 to 1. Needs neither torch nor mmdet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.evaluation.functional.bootstrap import ResampledAP
from mmdet_multigrain.evaluation.functional.boxes import GroundTruth
from mmdet_multigrain.evaluation.functional.imbalance import rarest_labels
from mmdet_multigrain.evaluation.functional.summary import THIRDS, ClassScore
from mmdet_multigrain.taxonomy import Taxonomy

from .paper import Paper, dataset_of
from .run import Run

MEAN_OF_GAINS = 'mean of the per-class gains'
DIFFERENCE = 'difference of the two numbers'
# How many of DeepFashion2's 13 classes the paper calls "the last 30%".
PAPER_RAREST = 9


@dataclass(frozen=True)
class Metric:
    """A metric over classes."""

    key: str  # COCO's name (`AP`, `AP50`, ...), `superclass_AP`, `all`, `rarest_3`, ...
    title: str  # name to show
    definition: str  # of its gain: `MEAN_OF_GAINS` or `DIFFERENCE`
    # names of the classes it averages, rarest first; empty for COCO's own
    classes: tuple[str, ...] = ()
    at_50: bool = False  # whether it averages AP50 instead of AP


@dataclass(frozen=True)
class ClassEntry:
    """A class or a superclass."""

    key: str  # key of its AP; differs from that of any `Metric`
    name: str
    superclasses: tuple[str, ...]  # groups above it, coarsest first
    train_boxes: int | None  # None if unknown
    val_boxes: int | None  # None if unknown
    label: int = 0  # its place among the classes, or the groups of its level

    @property
    def boxes(self) -> int | None:
        """The boxes that make it rare or frequent: training boxes if known, else validation."""
        return self.val_boxes if self.train_boxes is None else self.train_boxes


def known_boxes(classes: Sequence[ClassEntry]) -> dict[str, str]:
    """Which numbers of boxes are known: attribute of `ClassEntry`, and whose boxes they are."""
    kinds = {'train_boxes': 'training', 'val_boxes': 'validation'}
    known = (key for key in kinds if any(getattr(row, key) is not None for row in classes))
    return {key: kinds[key] for key in known}


@dataclass(frozen=True)
class Measures:
    """Everything that is compared."""

    metrics: tuple[Metric, ...]  # COCO's, then superclass AP, then means over classes
    classes: tuple[ClassEntry, ...]  # fine classes, rarest first
    # for each coarse level, coarsest first; empty where nothing is grouped
    superclasses: tuple[tuple[ClassEntry, ...], ...] = ()
    # which of several trees each of these levels is of; empty where there is one
    trees: tuple[str, ...] = ()
    # boxes that decide which classes are rare: `training` or `validation`
    counted_on: str = 'training'
    # training boxes of each class that decide, in label order, and their file; None if unknown
    counts: tuple[int | None, ...] = ()
    counted_in: str | None = None
    # `df2` or `oiv4c` if this is the paper's data set, whose tables and figures a report may then
    # refer to; None for other data
    dataset: str | None = None

    @property
    def entries(self) -> tuple[ClassEntry, ...]:
        """All classes, then all superclasses."""
        return (*self.classes, *(entry for level in self.superclasses for entry in level))


def measures_of_runs(runs: Sequence[Run]) -> Measures:
    """Metrics, classes and superclasses of comparable runs."""
    summary, taxonomy = runs[0].result.summary, runs[0].result.taxonomy
    # Detections of other frameworks have no training counts.
    known = (run.result for run in runs if None not in train_counts(run))
    decides = next(known, runs[0].result)
    levels = decides.summary.levels
    classes = _entries(levels[-1].classes)
    order = np.argsort([entry.boxes for entry in classes], kind='stable')
    classes = tuple(classes[label] for label in order)
    with_boxes = [entry.name for entry in classes if entry.boxes]
    coarse = coarse_levels(taxonomy)
    level_keys = [_level_key(level, coarse) for level in coarse]
    trees = tuple(map(taxonomy.tree_of, coarse))
    dataset = dataset_of({row.name: row.train_boxes for row in levels[-1].classes})
    return Measures(
        metrics=(
            *(Metric(key, key, DIFFERENCE) for key in summary.fine.coco),
            *(
                Metric(key, key.replace('_', ' ') + (f' ({tree})' if tree else ''), DIFFERENCE)
                for key, tree in zip(level_keys, trees, strict=True)
            ),
            *_class_means([entry.name for entry in classes], with_boxes, dataset),
            *_class_sets(runs),
        ),
        classes=classes,
        superclasses=tuple(_entries(levels[level].classes, level) for level in coarse),
        trees=trees if taxonomy.trees else (),
        counted_on='validation' if classes[0].train_boxes is None else 'training',
        counts=tuple(row.train_boxes for row in levels[-1].classes),
        counted_in=decides.train_ann_file,
        dataset=dataset,
    )


def train_counts(run: Run) -> tuple[int | None, ...]:
    """Boxes that each class was trained on, in label order; None where that is unknown."""
    return tuple(row.train_boxes for row in run.result.summary.fine.classes)


def _entries(classes: Iterable[ClassScore], level: int | None = None) -> tuple[ClassEntry, ...]:
    entries = []
    for label, row in enumerate(classes):
        key, boxes = class_key(row.name, level), (row.train_boxes, row.val_boxes)
        entries.append(ClassEntry(key, row.name, row.superclasses, *boxes, label))
    return tuple(entries)


def _class_means(
    names: Sequence[str], with_boxes: Sequence[str], dataset: str | None
) -> tuple[Metric, ...]:
    """Means over all classes (rarest first), and over the rarest and thirds of those with boxes."""
    total = len(with_boxes)
    k = len(rarest_labels([1] * total))
    chosen = [
        ('all', f'all {len(names)} classes', names),
        (f'rarest_{k}', f'rarest {k} of {total} (30%, rounded down)', with_boxes[:k]),
    ]
    if dataset == 'df2':
        title = f"rarest {PAPER_RAREST} of {total} (the paper's choice)"
        chosen.append((f'rarest_{PAPER_RAREST}', title, with_boxes[:PAPER_RAREST]))
    thirds = np.array_split(np.array(with_boxes, dtype=object), len(THIRDS))
    for title, third in zip(THIRDS, thirds, strict=True):
        if len(third):
            key, title = title.replace(' ', '_'), f'{title} ({len(third)} of {total})'
            chosen.append((key, title, third.tolist()))
    return tuple(Metric(key, title, MEAN_OF_GAINS, tuple(rows)) for key, title, rows in chosen)


def _class_sets(runs: Sequence[Run]) -> Iterator[Metric]:
    """AP and AP50 of the class sets that any run names."""
    sets = {one.name: one.classes for run in runs for one in run.result.summary.class_sets}
    for name, classes in sets.items():
        for number in ('AP', 'AP50'):
            title = f'{name} ({len(classes)} classes), {number}'
            yield Metric(f'set:{name}:{number}', title, MEAN_OF_GAINS, classes, number == 'AP50')


def measures_of_paper(paper: Paper) -> Measures:
    """What the paper prints."""
    superclass_of = paper.taxonomy.superclass_of
    classes = tuple(
        ClassEntry(class_key(row.name), row.name, (superclass_of(row.name),), row.train_boxes, None)
        for row in paper.classes
    )
    printed = next(iter(paper.overall.values()))
    coco = (Metric(key, key, DIFFERENCE) for key in printed)
    names = [row.name for row in classes]
    means = _class_means(names, names, paper.dataset)
    return Measures((*coco, *means), classes, dataset=paper.dataset)


def scores_of_paper(paper: Paper) -> dict[str, dict[str, float]]:
    """The paper's scores by variant and key."""
    scores = {}
    for name, printed in paper.overall.items():
        by_class = {class_key(row.name): row.ap[name] for row in paper.classes}
        scores[name] = {key: value / 100 for key, value in (printed | by_class).items()}
    return scores


def scores_of_run(run: Run) -> dict[str, float]:
    """All scores of a run by key, except means over classes."""
    summary, coarse = run.result.summary, coarse_levels(run.result.taxonomy)
    scores = {**summary.fine.coco, **{class_key(row.name): row.ap for row in summary.fine.classes}}
    scores |= {class_key(row.name, at_50=True): row.ap50 for row in summary.fine.classes}
    for level in coarse:
        scores[_level_key(level, coarse)] = summary.levels[level].coco['AP']
        scores |= {class_key(row.name, level): row.ap for row in summary.levels[level].classes}
    return scores


def scores_of_resampled(
    run: ResampledAP, measures: Measures, taxonomy: Taxonomy
) -> dict[str, np.ndarray]:
    """(1 + B,) scores of a resampled run by key, as far as they are resampled."""
    scores = {'AP': run.mean(), 'AP50': run.mean(iou=0.5), 'AP75': run.mean(iou=0.75)}
    for metric in measures.metrics:
        if metric.classes:
            labels = sorted(map(taxonomy.classes.index, metric.classes))
            scores[metric.key] = run.mean(labels, iou=0.5 if metric.at_50 else None)
    coarse = coarse_levels(taxonomy)
    scores |= {_level_key(level, coarse): run.mean(level=level) for level in coarse}
    levels = (taxonomy.num_levels - 1, *coarse)
    for level, entries in zip(levels, (measures.classes, *measures.superclasses), strict=True):
        columns = dict(zip(taxonomy.group_names(level), run.classes(level=level).T, strict=True))
        scores |= {entry.key: columns[entry.name] for entry in entries}
    return scores


def images_with_boxes(truth: GroundTruth, measures: Measures, taxonomy: Taxonomy) -> dict[str, int]:
    """Number of images with a box of the classes of each score, by key; without crowds."""

    def presence(level: int) -> np.ndarray:
        boxes = truth.relabel(taxonomy.group_index(level))
        table = np.zeros((len(truth.image_ids), taxonomy.num_groups(level)), dtype=bool)
        table[boxes.images[~boxes.crowd], boxes.labels[~boxes.crowd]] = True
        return table

    counts, present = {}, presence(taxonomy.num_levels - 1)
    for metric in measures.metrics:
        labels = [taxonomy.classes.index(name) for name in metric.classes]
        counts[metric.key] = int((present[:, labels] if labels else present).any(axis=1).sum())
    levels = (taxonomy.num_levels - 1, *coarse_levels(taxonomy))
    for level, entries in zip(levels, (measures.classes, *measures.superclasses), strict=True):
        names = taxonomy.group_names(level)
        images = dict(zip(names, presence(level).sum(axis=0).tolist(), strict=True))
        counts |= {entry.key: images[entry.name] for entry in entries}
    return counts


def coarse_levels(taxonomy: Taxonomy) -> list[int]:
    """The coarse levels that do not just repeat the classes."""
    levels = range(taxonomy.num_levels - 1)
    return [level for level in levels if taxonomy.group_names(level) != taxonomy.classes]


def _level_key(level: int, coarse: Sequence[int]) -> str:
    return 'superclass_AP' if len(coarse) == 1 else f'level_{level}_AP'


def class_key(name: str, level: int | None = None, *, at_50: bool = False) -> str:
    """Key of a class; the colon keeps it apart from the metrics' keys."""
    return f'{"AP50 of " * at_50}class:{name}' if level is None else f'level {level}:{name}'
