"""What an evaluation says about a taxonomy: a typed summary, and its text.

Here belongs how numbers are averaged and named, and the text table; the matching belongs in
`coco_eval`, the JSON form in `result_file`.

Averaging: an AP over classes is the plain mean over the classes that have boxes in the ground
truth. A class without any has no AP (NaN here, null in JSON, "-" in text), stays out of every mean
and is named. All values are fractions, 0 to 1, unrounded; only the text shows percent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError
from mmdet_multigrain.utils.table import Column, Table

from .coco_eval import AREAS, CocoResult
from .common import mean_of_known
from .imbalance import TAIL_SHARE, by_rarity, rarest_labels, tied_labels
from .protocols import EXPANDED, LEAF, SUPERCLASS, meaning

THIRDS = ('rare third', 'middle third', 'frequent third')
OF_LEVELS = ('AP', 'AP50', 'AP75')  # what the text shows of coarse levels


@dataclass(frozen=True)
class ClassScore:
    """One class, or one superclass."""

    name: str
    # the groups above it, coarsest first; above a class, those of all trees
    superclasses: tuple[str, ...]
    train_boxes: int | None  # boxes it was trained on; None if unknown
    val_boxes: int  # boxes in the ground truth, crowds not counted
    ap: float  # AP, mean over the IoU thresholds; NaN without boxes
    ap50: float  # AP at IoU 0.5
    ap75: float  # AP at IoU 0.75


@dataclass(frozen=True)
class LevelScore:
    """All classes of one level of the taxonomy."""

    # COCO's twelve numbers by name: AP, AP50, AP75, APs, APm, APl (s, m, l: small, medium, large
    # boxes), AR1, AR10, AR100, ARs, ARm, ARl. The last limit (100) is for each fine class: a
    # superclass of three has 300.
    coco: Mapping[str, float]
    classes: tuple[ClassScore, ...]  # in label order
    num_cut: int = 0  # detections that no AP counts, as they are beyond the limit
    tree: str = ''  # which of several trees it is of


@dataclass(frozen=True)
class Bucket:
    """Mean AP over some classes, chosen by how many boxes they have or by name."""

    name: str  # what was chosen
    # `training` or `validation`: whose boxes decided; None for classes by name
    counted_on: str | None
    # names, rarest first; of classes chosen by number, those that have boxes
    classes: tuple[str, ...]
    ap: float  # mean AP over those that have boxes; NaN if none has
    ap50: float  # the same at IoU 0.5
    # names of classes left out that have as many boxes as the last one chosen
    tied: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationSummary:
    """All that one evaluation says."""

    levels: tuple[LevelScore, ...]  # coarsest first; the last is the fine one
    tail: Bucket  # the rarest 30% of the fine classes
    thirds: tuple[Bucket, ...]  # the rare, the middle and the frequent third of them (`THIRDS`)
    num_images: int  # images evaluated on
    num_detections: int  # detections handed in
    max_dets: int  # limit on detections per image and class for AP
    engine: str  # which engine matched boxes
    class_sets: tuple[Bucket, ...] = ()  # sets of fine classes that the user named
    protocol: str = LEAF  # how the fine classes were evaluated; see `protocols`

    @property
    def fine(self) -> LevelScore:
        """The level of the fine classes."""
        return self.levels[-1]

    @property
    def expanded(self) -> Bucket | None:
        """Means over all nodes of all trees, as in Open Images; None without a superclass.

        Each box and each detection counts for its class and for every superclass above.
        """
        nodes = {(row.name,): row for row in self.fine.classes}
        for number, level in enumerate(self.levels[:-1]):
            for group in level.classes:
                members = (
                    row.name
                    for row in self.fine.classes
                    if row.superclasses[number : number + 1] == (group.name,)
                )
                nodes.setdefault(tuple(members), group)  # unchanged on a finer level: once
        chosen = nodes.values()
        return None if len(nodes) == len(self.fine.classes) else _bucket(EXPANDED, None, chosen)

    @property
    def without_ground_truth(self) -> tuple[str, ...]:
        """Names of the fine classes that stay out of the means."""
        return tuple(row.name for row in self.fine.classes if math.isnan(row.ap))


def summarize(
    results: Sequence[CocoResult],
    taxonomy: Taxonomy,
    train_counts: Sequence[int] | None = None,
    *,
    class_sets: Mapping[str, Sequence[str]] | None = None,
    protocol: str = LEAF,
    max_dets: int | None = None,
) -> EvaluationSummary:
    """Name and average the arrays of an evaluation.

    Args:
        results: One for each level of the taxonomy, coarsest first (`evaluate_levels`).
        taxonomy: Names and groups.
        train_counts: Training boxes of each fine class, in label order. Default: unknown; then
            validation boxes decide which classes are rare, and the summary says so.
        class_sets: Names of fine classes, by the name of the set.
        protocol: How the fine level was evaluated.
        max_dets: The limit to name. Default: that of the fine level.

    Raises:
        EvaluationError: A class set is empty or names a class twice or an unknown one.
    """
    fine = results[-1]
    counts = fine.num_gt if train_counts is None else np.asarray(train_counts)
    max_dets = fine.max_dets[-1] if max_dets is None else max_dets
    levels = tuple(
        _score_level(result, taxonomy, level, train_counts, max_dets=max_dets)
        for level, result in enumerate(results)
    )
    counted_on = 'validation' if train_counts is None else 'training'
    return EvaluationSummary(
        levels=levels,
        tail=rarest(levels[-1].classes, counts, counted_on=counted_on),
        thirds=split_thirds(levels[-1].classes, counts, counted_on=counted_on),
        num_images=fine.num_images,
        num_detections=fine.num_detections,
        max_dets=max_dets,
        engine=fine.engine,
        protocol=protocol,
        class_sets=tuple(
            _bucket(name, None, [levels[-1].classes[label] for label in labels])
            for name, labels in find_class_sets(class_sets or {}, taxonomy).items()
        ),
    )


def find_class_sets(
    class_sets: Mapping[str, Sequence[str]], taxonomy: Taxonomy
) -> dict[str, tuple[int, ...]]:
    """Labels of each named set of classes, in the order given; aliases count.

    Raises:
        EvaluationError: A set is empty or names a class twice or an unknown one.
    """
    found = {}
    for name, classes in class_sets.items():
        classes = [classes] if isinstance(classes, str) else classes
        labels = tuple(map(taxonomy.find, classes))
        if None in labels:
            unknown = classes[labels.index(None)]
            problem = f'{unknown!r} is not a class of taxonomy {taxonomy.name!r}'
        elif not labels:
            problem = 'it has no class'
        elif len(set(labels)) < len(labels):
            problem = 'it names a class twice'
        else:
            found[name] = labels
            continue
        raise EvaluationError(f'class_sets: {name!r}: {problem}; name classes that exist, once')
    return found


def rarest(classes: Sequence[ClassScore], counts: Sequence[int], *, counted_on: str) -> Bucket:
    """The rarest of the K classes with boxes: k = floor(`TAIL_SHARE` * K) of them, at least one.

    Classes are in label order. `counts` are the boxes of each that decide, of the `training` or
    `validation` data (`counted_on`); of equal ones, the first counts as rarer.
    """
    labels = rarest_labels(counts)
    bucket = _bucket(f'rarest {TAIL_SHARE:.0%}', counted_on, [classes[label] for label in labels])
    tied = tuple(classes[label].name for label in tied_labels(counts, labels))
    return replace(bucket, tied=tied)


def split_thirds(
    classes: Sequence[ClassScore], counts: Sequence[int], *, counted_on: str
) -> tuple[Bucket, ...]:
    """The classes with boxes in thirds by number of boxes, rarest first.

    Where K is no multiple of 3, the rarer thirds have one class more; a third may be empty.
    Arguments as in `rarest`.
    """
    parts = np.array_split(by_rarity(counts), len(THIRDS))
    return tuple(
        _bucket(name, counted_on, [classes[label] for label in part])
        for name, part in zip(THIRDS, parts, strict=True)
    )


def _bucket(name: str, counted_on: str | None, chosen: Sequence[ClassScore]) -> Bucket:
    return Bucket(
        name=name,
        counted_on=counted_on,
        classes=tuple(row.name for row in chosen),
        ap=mean_of_known(np.array([row.ap for row in chosen])),
        ap50=mean_of_known(np.array([row.ap50 for row in chosen])),
    )


def render_text(summary: EvaluationSummary) -> str:
    """A plain text table of the classes, then of the superclasses, then the means; percent.

    Each line with numbers of its own, and each table, begins with the name of its protocol.
    """
    several, leaf = len(summary.levels) > 2, summary.protocol
    fine_names = [row.name for row in summary.fine.classes]
    coarse = [
        (*((f'{_title(number, level)} group', 's') if several else ('superclass', 'es')), level)
        for number, level in enumerate(summary.levels[:-1])
        # Under the identity grouping a superclass table would repeat the classes.
        if [row.name for row in level.classes] != fine_names
    ][::-1]
    expanded, tail = summary.expanded, summary.tail
    means = [
        (leaf, f'{len(fine_names)} classes', summary.fine.coco, tuple(summary.fine.coco)[:6], ''),
        *(
            (SUPERCLASS, f'{len(level.classes)} {title}{plural}', level.coco, OF_LEVELS, '')
            for title, plural, level in coarse
        ),
        (leaf, 'thirds by boxes', {row.name.split()[0]: row.ap for row in summary.thirds}, (), ''),
        (leaf, f'{tail.name} of classes', _bucket_numbers(tail), (), _tail_note(tail)),
        *(
            (leaf, bucket.name, _bucket_numbers(bucket), (), ', '.join(bucket.classes))
            for bucket in summary.class_sets
        ),
    ]
    if expanded is not None:
        title = f'{len(expanded.classes)} classes and superclasses'
        means.insert(1 + len(coarse), (EXPANDED, title, _bucket_numbers(expanded), (), ''))
    widths = [max(len(row[column]) for row in means) for column in (0, 1)]
    lines = [
        f'{protocol:<{widths[0]}}  {title:<{widths[1]}}  '
        + '  '.join(f'{key} {_percent(values[key]):>6}' for key in keys or values)
        + (f'  ({note})' if note else '')
        for protocol, title, values, keys, note in means
    ]
    if summary.without_ground_truth:
        lines.append('without ground truth, in no mean: ' + ', '.join(summary.without_ground_truth))
    cut = {'classes': summary.fine, **{f'{name}{plural}': level for name, plural, level in coarse}}
    if any(level.num_cut for level in cut.values()):
        counts = (f'{level.num_cut} for {name}' for name, level in cut.items())
        lines.append(
            f'left out, beyond {summary.max_dets} detections per image and class: '
            f'{", ".join(counts)} of {summary.num_detections} detections'
        )
    tables = [f'{leaf}: {meaning(leaf)}\n{_class_table("class", summary.fine)}']
    tables += [
        f'{SUPERCLASS}: {meaning(SUPERCLASS)}\n{_class_table(title, level)}'
        for title, _, level in coarse
    ]
    return '\n\n'.join([*tables, '\n'.join(lines)])


def _title(number: int, level: LevelScore) -> str:
    return f'level {number} ({level.tree})' if level.tree else f'level {number}'


def _bucket_numbers(bucket: Bucket) -> dict[str, float]:
    return {'AP': bucket.ap, 'AP50': bucket.ap50}


def _tail_note(tail: Bucket) -> str:
    tied = f'; as many as the last: {", ".join(tail.tied)}' if tail.tied else ''
    return f'{tail.counted_on} boxes: {", ".join(tail.classes)}{tied}'


def _score_level(
    result: CocoResult,
    taxonomy: Taxonomy,
    level: int,
    train_counts: Sequence[int] | None,
    *,
    max_dets: int,
) -> LevelScore:
    names, index = taxonomy.group_names(level), taxonomy.group_index(level)
    member = [index.index(group) for group in range(len(names))]  # any fine class of the group
    train = [None] * len(names)
    if train_counts is not None:
        train = np.bincount(index, weights=train_counts, minlength=len(names)).astype(int).tolist()
    above = taxonomy.levels_above(level)
    aps = (result.class_ap(iou=iou).tolist() for iou in (None, 0.5, 0.75))
    rows = zip(names, member, train, result.num_gt.tolist(), *aps, strict=True)
    return LevelScore(
        coco=_coco_numbers(result, max_dets),
        num_cut=result.num_cut,
        tree=taxonomy.tree_of(level),
        classes=tuple(
            ClassScore(name, tuple(taxonomy.superclass_of(label, one) for one in above), *numbers)
            for name, label, *numbers in rows
        ),
    )


def _coco_numbers(result: CocoResult, max_dets: int) -> dict[str, float]:
    return {
        'AP': result.mean_ap(),
        'AP50': result.mean_ap(iou=0.5),
        'AP75': result.mean_ap(iou=0.75),
        **{f'AP{area[0]}': result.mean_ap(area=area) for area in AREAS[1:]},
        **{
            f'AR{limit}': result.mean_recall(max_dets=limit)
            for limit in result.max_dets[:-1]
            if limit < max_dets
        },
        f'AR{max_dets}': result.mean_recall(),
        **{f'AR{area[0]}': result.mean_recall(area=area) for area in AREAS[1:]},
    }


def _percent(value: float) -> str:
    return '-' if math.isnan(value) else f'{100 * value:.2f}'


def _class_table(title: str, level: LevelScore) -> str:
    columns = [Column('name', title, left=True), Column('superclass', left=True)]
    columns += [Column(key) for key in ('train', 'val', 'AP', 'AP50', 'AP75')]
    rows = []
    for row in level.classes:
        aps = [_percent(value) for value in (row.ap, row.ap50, row.ap75)]
        path = ' / '.join(row.superclasses) or None
        rows.append((row.name, path, row.train_boxes, row.val_boxes, *aps))
    table = Table(columns, rows)
    if not any(row.superclasses for row in level.classes):
        table = table.select([column.key for column in columns if column.key != 'superclass'])
    return table.text()
