"""The tables of a report on runs, in the layout of the paper's tables 1 to 4 and beyond.

Values are in percent; tables show two decimals, their CSV has them unrounded. The paper's own
values come as a second comparison and stand under a heading of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdet_multigrain.evaluation.functional.confusion import ConfusedPair, Confusion
from mmdet_multigrain.evaluation.functional.error_analysis import ERRORS, Kind

from ..table import Cell, Column, Table
from .comparison import DIFFERENCE, ComparedClass, Comparison, Spread, Variant
from .diagnostics import VariantAnalysis
from .summary import percent, plain, show_gain

OVERALL = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')
MOST_CONFUSIONS = 12
# Heading, and the one above it, where the name of the kind is too long for a column.
_SHORT_KINDS = {
    Kind.CLASS_WITHIN: ('right superclass', 'wrong class'),
    Kind.CLASS_ACROSS: ('wrong superclass', 'wrong class'),
    Kind.BOTH_WITHIN: ('right superclass', 'poor box and wrong class'),
    Kind.BOTH_ACROSS: ('wrong superclass', 'poor box and wrong class'),
}


@dataclass(frozen=True)
class PaperSide:
    """The paper's numbers beside those of the runs.

    Attributes:
        comparison: Of the paper's variants.
        keys: Key of the paper's class for each of ours that it has; None: it stands alone.
    """

    comparison: Comparison
    keys: Mapping[str, str]


def overall_table(comparison: Comparison, paper: PaperSide | None = None) -> Table:
    """Tables 1 and 2: variants as rows, COCO's numbers as columns."""
    columns = [
        Column('variant', 'variant', left=True),
        Column('runs', 'runs', 'd'),
        *(Column(key, key, '.2f') for key in OVERALL),
    ]
    sides = [('', comparison), *([("the paper's ", paper.comparison)] if paper else [])]
    rows: list[tuple[Any, ...]] = []
    for prefix, side in sides:
        best = [_best(side.variants, key) for key in OVERALL]
        rows += [
            (
                prefix + variant.name,
                None if side is not comparison else len(variant.runs),
                *(
                    _score_cell(variant.scores[key], variant.name in names)
                    for key, names in zip(OVERALL, best, strict=True)
                ),
            )
            for variant in side.variants
        ]
    return Table(tuple(columns), tuple(rows), (len(comparison.variants),) if paper else ())


def frequency_table(comparison: Comparison) -> Table:
    """Means over rare and frequent classes, and the superclass levels; variants as columns."""
    numbers = [
        number for number in comparison.numbers if number.classes or number.key.endswith('_AP')
    ]
    return Table(
        (
            Column('what', 'mean AP of', left=True),
            *(Column(variant.name, variant.name, '.2f') for variant in comparison.variants),
        ),
        tuple(
            (_capital(number.title), *_score_cells(comparison.variants, number.key))
            for number in numbers
        ),
    )


def class_table(comparison: Comparison, paper: PaperSide | None = None) -> Table:
    """Tables 3 and 4: classes from rare to frequent, variants as columns."""
    counted = 'training boxes' if comparison.counted_on == 'training' else 'validation boxes'
    ours, theirs = ('these runs', 'the paper') if paper else ('', '')
    columns = [Column('class', 'class', left=True)]
    # Beside the paper's columns there is no room for it.
    groups = real_groups(comparison.classes) if paper is None else set()
    if groups:
        columns.append(Column('superclass', 'superclass', left=True))
    columns += [
        Column('boxes', counted, ',d'),
        *(Column(variant.name, variant.name, '.2f', group=ours) for variant in comparison.variants),
    ]
    if paper is not None:
        columns += [
            Column(f'paper_{variant.name}', variant.name, '.2f', group=theirs)
            for variant in paper.comparison.variants
        ]
    rows = []
    for row in comparison.classes:
        cells = [
            row.name,
            *([_path(row, groups)] if groups else []),
            row.val_boxes if row.train_boxes is None else row.train_boxes,
            *_score_cells(comparison.variants, row.key),
        ]
        if paper is not None:
            key = paper.keys.get(row.key)
            cells += (
                _score_cells(paper.comparison.variants, key)
                if key is not None
                else [None] * len(paper.comparison.variants)
            )
        rows.append(tuple(cells))
    mean = [
        'mean over the classes',
        *([''] if groups else []),
        None,
        *_score_cells(comparison.variants, 'all'),
    ]
    if paper is not None:
        mean += _score_cells(paper.comparison.variants, 'all')
    return Table(tuple(columns), (*rows, tuple(mean)), (len(rows),))


def superclass_table(comparison: Comparison, level: int) -> Table:
    """AP of each superclass, from rare to frequent; variants as columns."""
    rows = sorted(
        comparison.superclasses[level],
        key=lambda row: row.val_boxes if row.train_boxes is None else row.train_boxes,
    )
    return Table(
        (
            Column('superclass', 'superclass', left=True),
            Column('train_boxes', 'train', ',d'),
            Column('val_boxes', 'validation', ',d'),
            *(Column(variant.name, variant.name, '.2f') for variant in comparison.variants),
        ),
        tuple(
            (row.name, row.train_boxes, row.val_boxes, *_score_cells(comparison.variants, row.key))
            for row in rows
        ),
    )


def gain_table(comparison: Comparison, definition: str, paper: PaperSide | None = None) -> Table:
    """Gains over the baseline by one definition, with intervals; variants as columns."""
    others = [variant for variant in comparison.variants if variant.gains]
    theirs = [variant for variant in paper.comparison.variants if variant.gains] if paper else []
    ours = 'these runs' if paper else ''
    return Table(
        (
            Column('what', 'gain in', left=True),
            *(Column(variant.name, variant.name, group=ours) for variant in others),
            *(
                Column(f'paper_{variant.name}', variant.name, group='the paper')
                for variant in theirs
            ),
        ),
        tuple(
            (
                _capital(number.title),
                *(_gain_cell(variant, number.key) for variant in others),
                *(
                    _gain_cell(variant, number.key) if number.key in variant.gains else None
                    for variant in theirs
                ),
            )
            for number in comparison.numbers
            # Recall is no part of the paper's tables.
            if number.definition == definition and not number.key.startswith('AR')
        ),
    )


def class_gain_table(comparison: Comparison) -> Table:
    """Gain of each class over the baseline, from rare to frequent."""
    others = [variant for variant in comparison.variants if variant.gains]
    return Table(
        (
            Column('class', 'class', left=True),
            *(Column(variant.name, variant.name) for variant in others),
        ),
        tuple(
            (row.name, *(_gain_cell(variant, row.key) for variant in others))
            for row in comparison.classes
        ),
    )


def seed_table(comparison: Comparison) -> Table:
    """AP of each run, and mean and standard deviation over the runs of a variant."""
    most = max(len(variant.runs) for variant in comparison.variants)
    return Table(
        (
            Column('variant', 'variant', left=True),
            Column('n', 'n', 'd'),
            Column('mean', 'mean AP', '.2f'),
            Column('std', 'standard deviation', '.2f'),
            *(Column(f'run_{number + 1}', f'run {number + 1}', '.2f') for number in range(most)),
        ),
        tuple(
            (
                variant.name,
                len(spread.values),
                percent(spread.mean),
                percent(spread.std),
                *(percent(value) for value in spread.values),
                *[None] * (most - len(spread.values)),
            )
            for variant in comparison.variants
            for spread in [variant.scores['AP']]
        ),
    )


def scores_data(comparison: Comparison) -> Table:
    """Every score of every variant, one a row: mean, standard deviation and all runs."""
    most = max(len(variant.runs) for variant in comparison.variants)
    titles = {key: title for key, title, _ in _everything(comparison)}
    return Table(
        (
            *map(_key, ('variant', 'key', 'what', 'mean', 'std', 'n')),
            *(_key(f'run_{number + 1}') for number in range(most)),
        ),
        tuple(
            (
                variant.name,
                key,
                title,
                percent(spread.mean),
                percent(spread.std),
                len(spread.values),
                *(percent(value) for value in spread.values),
                *[None] * (most - len(spread.values)),
            )
            for variant in comparison.variants
            for key, title in titles.items()
            for spread in [variant.scores[key]]
        ),
    )


def gains_data(comparison: Comparison) -> Table:
    """Every gain over the baseline, one a row, with its interval."""
    rows = []
    for variant in comparison.variants:
        for key, title, definition in _everything(comparison):
            if key in variant.gains:
                gain = variant.gains[key]
                ends = gain.interval
                rows.append(
                    (
                        variant.name,
                        comparison.baseline,
                        key,
                        title,
                        definition,
                        percent(gain.value),
                        *(
                            (None,) * 4
                            if ends is None
                            else (
                                percent(ends.low),
                                percent(ends.high),
                                ends.contains_zero,
                                ends.resamples,
                            )
                        ),
                    )
                )
    return Table(
        tuple(
            map(
                _key,
                (
                    'variant',
                    'baseline',
                    'key',
                    'what',
                    'definition',
                    'gain',
                    'low',
                    'high',
                    'contains_zero',
                    'resamples',
                ),
            )
        ),
        tuple(rows),
    )


def error_table(analyses: Sequence[VariantAnalysis]) -> Table:
    """What each kind of error costs each variant, and how many there are."""
    columns = [Column('kind', 'kind of error', left=True)]
    for one in analyses:
        columns += [
            Column(f'{one.variant}_dAP', 'dAP', '.2f', group=one.variant),
            Column(f'{one.variant}_count', 'errors', ',.0f', group=one.variant),
        ]
    rows = [
        (
            _capital(losses[0].name),
            *(cell for loss in losses for cell in (percent(loss.gain), loss.count)),
        )
        for losses in zip(*(one.losses for one in analyses), strict=True)
    ]
    return Table(tuple(columns), tuple(rows))


def errors_data(analyses: Sequence[VariantAnalysis], classes: Sequence[str]) -> Table:
    """Errors by variant, kind and class, one a row."""
    return Table(
        tuple(map(_key, ('variant', 'kind', 'class', 'errors', 'dAP'))),
        tuple(
            (one.variant, loss.name, name, float(count), percent(float(gain)))
            for one in analyses
            for loss in one.losses
            for name, count, gain in zip(classes, loss.class_counts, loss.class_gains, strict=True)
        ),
    )


def class_error_table(
    analysis: VariantAnalysis, classes: Sequence[str], order: Sequence[str]
) -> Table:
    """What each kind of error costs each class of one variant; the largest stands out."""
    places = [classes.index(name) for name in order]
    rows = []
    for name, place in zip(order, places, strict=True):
        gains = [float(loss.class_gains[place]) for loss in analysis.losses]
        known = [gain for gain in gains if not math.isnan(gain)]
        rows.append(
            (
                name,
                *(
                    Cell(percent(gain), bold=bool(known) and gain == max(known) > 0)
                    for gain in gains
                ),
            )
        )
    columns = [Column('class', 'class', left=True)]
    for kind, loss in zip(ERRORS, analysis.losses, strict=True):
        title, group = _SHORT_KINDS.get(kind, (loss.name, ''))
        columns.append(Column(loss.name, title, '.1f', group=group))
    return Table(tuple(columns), tuple(rows))


def confusion_table(confusions: Mapping[str, Confusion]) -> Table:
    """The most frequent confusions of some variants together, most first."""
    several = len(confusions) > 1
    found: dict[tuple[str, str], ConfusedPair] = {}
    for confusion in confusions.values():
        for pair in confusion.most_confused(MOST_CONFUSIONS):
            found.setdefault((pair.truth, pair.predicted), pair)
    first = next(iter(confusions.values()))
    row_of = {name: row for row, name in enumerate(first.names)}
    shares = {name: confusion.shares for name, confusion in confusions.items()}
    rows = []
    for (truth, predicted), pair in found.items():
        place = row_of[truth], row_of[predicted]
        rows.append(
            (
                truth,
                predicted,
                'yes' if pair.shared_levels else 'no',
                *(
                    cell
                    for name, confusion in confusions.items()
                    for cell in (int(confusion.counts[place]), percent(float(shares[name][place])))
                ),
            )
        )
    rows.sort(key=lambda row: -sum(row[3::2]))
    columns = [
        Column('truth', 'class', left=True),
        Column('predicted', 'taken for', left=True),
        Column('same_superclass', 'same superclass', left=True),
    ]
    for name in confusions:
        prefix = f'{name}_' if several else ''
        columns += [
            Column(f'{prefix}boxes', 'boxes', ',d', group=name),
            Column(f'{prefix}share', '% of its boxes', '.1f', group=name),
        ]
    return Table(tuple(columns), tuple(rows[:MOST_CONFUSIONS]))


def calibration_table(analyses: Sequence[VariantAnalysis]) -> Table:
    """The expected calibration error of each variant, and all score ranges."""
    return Table(
        (
            Column('variant', 'variant', left=True),
            Column('runs', 'runs', 'd'),
            Column('ece', 'calibration error', '.2f'),
        ),
        tuple((one.variant, one.num_runs, percent(one.calibration_error)) for one in analyses),
    )


def calibration_data(analyses: Sequence[VariantAnalysis]) -> Table:
    """Score and precision by range of scores, one a row."""
    return Table(
        tuple(map(_key, ('variant', 'detections', 'mean_score', 'precision'))),
        tuple(
            (one.variant, part.count, percent(part.score), percent(part.precision))
            for one in analyses
            for part in one.score_ranges
        ),
    )


def _everything(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Key, title and definition of all that is compared."""
    rows: Iterable[Any] = (
        *comparison.classes,
        *(row for level in comparison.superclasses for row in level),
    )
    return [
        *((number.key, number.title, number.definition) for number in comparison.numbers),
        *((row.key, row.name, DIFFERENCE) for row in rows),
    ]


def _key(name: str) -> Column:
    return Column(name, name)


def _best(variants: Sequence[Variant], key: str) -> set[str]:
    """Names of the variants with the highest mean as it is shown, if not all have it."""
    shown: dict[str, float] = {}
    for variant in variants:
        value = variant.scores[key].mean
        if not math.isnan(value):
            shown[variant.name] = float(plain(value))
    names = {name for name, value in shown.items() if value == max(shown.values())}
    return set() if len(names) == len(variants) else names


def _score_cells(variants: Sequence[Variant], key: str) -> list[Cell]:
    best = _best(variants, key)
    return [_score_cell(variant.scores[key], variant.name in best) for variant in variants]


def _score_cell(spread: Spread, bold: bool) -> Cell:
    """Mean, with the standard deviation over several runs."""
    text = None
    if len(spread.values) > 1 and not math.isnan(spread.mean):
        text = f'{plain(spread.mean)} ± {plain(spread.std)}'
    return Cell(percent(spread.mean), text, bold)


def _gain_cell(variant: Variant, key: str) -> Cell:
    gain = variant.gains[key]
    return Cell(percent(gain.value), show_gain(gain), bold=gain.contains_zero is False)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def real_groups(classes: Sequence[ComparedClass]) -> set[str]:
    """Names of the groups; a class without one is its own group, which says nothing."""
    return {name for row in classes for name in row.superclasses if name != row.name}


def _path(row: ComparedClass, groups: set[str]) -> str:
    return ' / '.join(name for name in row.superclasses if name in groups)
