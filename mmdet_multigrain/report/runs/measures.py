"""What is compared between variants: COCO's numbers, AP by class, means over rare classes.

Here belongs which numbers there are, under which key each is found, and how it is read from a
run, a resampled run or the paper. Comparing them belongs in `comparison`. All values are
fractions from 0 to 1. Needs neither torch nor mmdet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmdet_multigrain.evaluation.functional.bootstrap import ResampledAP
from mmdet_multigrain.evaluation.functional.imbalance import rarest_labels
from mmdet_multigrain.evaluation.functional.summary import THIRDS
from mmdet_multigrain.taxonomy import Taxonomy

from .load import Run
from .paper import Paper

MEAN_OF_GAINS = 'mean of the per-class gains'
DIFFERENCE = 'difference of the two numbers'
# How many of DeepFashion2's 13 classes the paper calls "the last 30 %": 30 % of Open Images' 30.
PAPER_RAREST = 9


@dataclass(frozen=True)
class Number:
    """Something that is compared.

    Attributes:
        key: COCO's name (`AP`, `AP50`, ...), `superclass_AP`, `all`, `rarest_3`, ...
        title: What to call it.
        definition: Of its gain: `MEAN_OF_GAINS` or `DIFFERENCE`.
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
        key: Under which its AP is found; unlike that of any `Number`.
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
class Frame:
    """What there is to compare.

    Attributes:
        numbers: All but the classes.
        classes: The fine ones, rarest first.
        superclasses: For each coarse level, coarsest first.
        counted_on: Whose boxes say which classes are rare: `training` or `validation`.
        resampled: How each value is found in a resampled run, by key; those that are not there
            cannot be resampled.
    """

    numbers: tuple[Number, ...]
    classes: tuple[ComparedClass, ...]
    superclasses: tuple[tuple[ComparedClass, ...], ...] = ()
    counted_on: str = 'training'
    resampled: Mapping[str, Callable[[ResampledAP], np.ndarray]] = field(default_factory=dict)


def frame_of_runs(runs: Sequence[Run]) -> Frame:
    """Numbers, classes and superclasses of runs that compare."""
    summary = runs[0].result.summary
    taxonomy = runs[0].result.taxonomy
    # Detections of other frameworks come without training counts.
    levels = next(
        (
            run.result.summary.levels
            for run in runs
            if all(row.train_boxes is not None for row in run.result.summary.fine.classes)
        ),
        summary.levels,
    )
    counted_on = 'validation' if levels[-1].classes[0].train_boxes is None else 'training'
    counts = [
        row.val_boxes if row.train_boxes is None else row.train_boxes for row in levels[-1].classes
    ]
    order = np.argsort(counts, kind='stable').tolist()
    classes = tuple(
        ComparedClass(
            class_key(row.name), row.name, row.superclasses, row.train_boxes, row.val_boxes
        )
        for row in (levels[-1].classes[label] for label in order)
    )
    coarse = _grouped_levels(taxonomy)
    superclasses = tuple(
        tuple(
            ComparedClass(
                class_key(row.name, level),
                row.name,
                row.superclasses,
                row.train_boxes,
                row.val_boxes,
            )
            for row in levels[level].classes
        )
        for level in coarse
    )
    means = _class_means(classes)
    resampled: dict[str, Callable[[ResampledAP], np.ndarray]] = {
        'AP': lambda run: run.mean(),
        'AP50': lambda run: run.mean(iou=0.5),
        'AP75': lambda run: run.mean(iou=0.75),
    }
    for level in coarse:
        resampled[_level_key(level, coarse)] = lambda run, level=level: run.mean(level=level)
    for mean in means:
        labels = sorted(taxonomy.classes.index(name) for name in mean.classes)
        resampled[mean.key] = lambda run, labels=labels: run.mean(labels)
    for level, rows in [
        (taxonomy.num_levels - 1, classes),
        *zip(coarse, superclasses, strict=True),
    ]:
        for row in rows:
            label = taxonomy.group_names(level).index(row.name)
            resampled[row.key] = lambda run, level=level, label=label: run.classes(level=level)[
                :, label
            ]
    return Frame(
        numbers=(
            *(Number(key, key, DIFFERENCE) for key in summary.fine.coco),
            *(
                Number(
                    _level_key(level, coarse),
                    _level_key(level, coarse).replace('_', ' '),
                    DIFFERENCE,
                )
                for level in coarse
            ),
            *means,
        ),
        classes=classes,
        superclasses=superclasses,
        counted_on=counted_on,
        resampled=resampled,
    )


def _class_means(classes: Sequence[ComparedClass]) -> tuple[Number, ...]:
    """Means over all classes, over the rarest and over thirds; classes come rarest first."""
    names = [row.name for row in classes]
    total = len(names)
    k = len(rarest_labels(range(total)))
    chosen = [
        ('all', f'all {total} classes', names),
        (f'rarest_{k}', f'rarest {k} of {total} (30 %, rounded down)', names[:k]),
    ]
    if k != PAPER_RAREST < total:
        chosen.append(
            (
                f'rarest_{PAPER_RAREST}',
                f"rarest {PAPER_RAREST} of {total} (the paper's choice)",
                names[:PAPER_RAREST],
            )
        )
    thirds = [part.tolist() for part in np.array_split(np.arange(total), len(THIRDS))]
    chosen += [
        (
            title.replace(' ', '_'),
            f'{title} ({len(part)} of {total})',
            [names[place] for place in part],
        )
        for title, part in zip(THIRDS, thirds, strict=True)
        if part
    ]
    return tuple(
        Number(key, title, MEAN_OF_GAINS, tuple(members)) for key, title, members in chosen
    )


def frame_of_paper(paper: Paper) -> Frame:
    """What the paper prints."""
    classes = tuple(
        ComparedClass(
            class_key(row.name),
            row.name,
            (paper.taxonomy.superclass_of(row.name),),
            row.train_boxes,
            None,
        )
        for row in paper.classes
    )
    printed = next(iter(paper.overall.values()))
    return Frame(
        numbers=(*(Number(key, key, DIFFERENCE) for key in printed), *_class_means(classes)),
        classes=classes,
    )


def values_of_paper(paper: Paper) -> dict[str, dict[str, float]]:
    """For each variant, what it prints by key."""
    return {
        name: {
            **{key: value / 100 for key, value in printed.items()},
            **{class_key(row.name): row.ap[name] / 100 for row in paper.classes},
        }
        for name, printed in paper.overall.items()
    }


def values_of_run(run: Run) -> dict[str, float]:
    """All values of a run by key, but the means over classes."""
    summary, coarse = run.result.summary, _grouped_levels(run.result.taxonomy)
    values = {**summary.fine.coco, **{class_key(row.name): row.ap for row in summary.fine.classes}}
    for level in coarse:
        values[_level_key(level, coarse)] = summary.levels[level].coco['AP']
        values.update({class_key(row.name, level): row.ap for row in summary.levels[level].classes})
    return values


def _grouped_levels(taxonomy: Taxonomy) -> list[int]:
    """The coarse levels but those that repeat the classes."""
    return [
        level
        for level in range(taxonomy.num_levels - 1)
        if taxonomy.group_names(level) != taxonomy.classes
    ]


def _level_key(level: int, coarse: Sequence[int]) -> str:
    return 'superclass_AP' if len(coarse) == 1 else f'level_{level}_AP'


def class_key(name: str, level: int | None = None) -> str:
    """A colon keeps it apart from the numbers' keys."""
    return f'class:{name}' if level is None else f'level {level}:{name}'
