"""The tables of a report on runs, in the layout of the paper's tables 1 to 4 and beyond.

Values are in percent: two decimals in tables, unrounded in their CSV. The paper's own numbers come
as a second comparison, in separate rows or columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from mmdet_multigrain.evaluation.functional.confusion import Confusion
from mmdet_multigrain.evaluation.functional.error_analysis import ERRORS, Kind
from mmdet_multigrain.evaluation.result_file import OVERALL
from mmdet_multigrain.utils.table import Cell, Column, Table

from .comparison import Comparison, Gain, Spread, Variant
from .diagnostics import VariantDiagnostics
from .formats import capital, gain_in_table, percent, plain
from .measures import DIFFERENCE, ClassEntry, known_boxes

MOST_CONFUSIONS = 12
# Columns of an interval in CSV; `_interval_cells` has their values.
_INTERVAL_KEYS = (
    *('low', 'high', 'over', 'images', 'df', 'p', 'p_holm', 'may_be_noise'),
    *('detectable', 'detectable_on_these_photos'),
)
# Title and group where the name of a kind of error is too long for a column.
_SHORT_KINDS = {
    Kind.CLASS_WITHIN: ('right superclass', 'wrong class'),
    Kind.CLASS_ACROSS: ('wrong superclass', 'wrong class'),
    Kind.BOTH_WITHIN: ('right superclass', 'poor box and wrong class'),
    Kind.BOTH_ACROSS: ('wrong superclass', 'poor box and wrong class'),
}


@dataclass(frozen=True)
class PaperReference:
    """The paper's numbers to compare runs with."""

    comparison: Comparison  # of the paper's variants
    keys: Mapping[str, str]  # the paper's class key for each of our class keys that the paper has


def overall_table(comparison: Comparison, paper: PaperReference | None = None) -> Table:
    """Tables 1 and 2: variants as rows, COCO's metrics as columns."""
    return score_table(comparison, {key: key for key in OVERALL}, paper)


def score_table(
    comparison: Comparison, titles: Mapping[str, str], paper: PaperReference | None = None
) -> Table:
    """Variants as rows, metrics as columns, whose keys have these titles."""
    rows = []
    for side in (comparison, *([paper.comparison] if paper else [])):
        columns = [score_cells(side.variants, key) for key in titles]
        for variant, *cells in zip(side.variants, *columns, strict=True):
            rows.append((*name_cells(variant, is_ours=side is comparison), *cells))
    columns = [words('variant'), Column('runs', form='d'), *starmap(_score, titles.items())]
    return Table(columns, rows, (len(comparison.variants),) if paper else ())


def name_cells(variant: Variant, *, is_ours: bool) -> tuple[str, int | None]:
    """Name and number of runs, which the paper's variants do not have."""
    return (variant.name, len(variant.runs)) if is_ours else (f"the paper's {variant.name}", None)


def frequency_table(comparison: Comparison) -> Table:
    """Means over rare and frequent classes, and superclass AP; variants as columns."""
    variants = comparison.variants
    shown = [one for one in comparison.metrics if one.classes or one.key.endswith('_AP')]
    rows = [(capital(one.title), *score_cells(variants, one.key)) for one in shown]
    return Table([words('what', 'mean AP of'), *variant_columns(variants)], rows)


def class_table(comparison: Comparison, paper: PaperReference | None = None) -> Table:
    """Tables 3 and 4: classes from rare to frequent, variants as columns."""
    paper_variants = paper.comparison.variants if paper else ()
    # Next to the paper's columns there is no room for superclasses.
    groups = set() if paper else real_groups(comparison.classes)

    def cells(key: str, paper_key: str | None) -> list[Cell | None]:
        return score_cells(comparison.variants, key) + score_cells(paper_variants, paper_key)

    table = _table_of_classes(
        comparison.classes,
        _columns_with_paper(comparison.variants, paper_variants),
        lambda row: cells(row.key, paper and paper.keys.get(row.key)),
        groups=groups,
    )
    blank = [''] * bool(groups) + [None] * len(known_boxes(comparison.classes))
    mean = 'mean over the classes', *blank, *cells('all', 'all')
    return Table(table.columns, [*table.rows, mean], (len(table.rows),))


def superclass_table(comparison: Comparison, level: int) -> Table:
    """AP of each superclass, from rare to frequent; variants as columns."""
    classes = sorted(comparison.superclasses[level], key=lambda row: row.boxes)
    variants = comparison.variants
    columns = variant_columns(variants)
    return _table_of_classes(
        classes, columns, lambda row: score_cells(variants, row.key), title='superclass'
    )


def gain_table(
    comparison: Comparison, definition: str, paper: PaperReference | None = None
) -> Table:
    """Gains over the baseline by one definition, with intervals; variants as columns."""
    papers = paper.comparison.others if paper else ()
    variants = (*comparison.others, *papers)
    rows = [
        (capital(metric.title), *gain_cells(variants, metric.key))
        for metric in comparison.metrics
        # The paper's tables have no recall.
        if metric.definition == definition and not metric.key.startswith('AR')
    ]
    columns = _columns_with_paper(comparison.others, papers)
    return Table([words('what', 'gain in'), *columns], rows)


def class_gain_table(comparison: Comparison) -> Table:
    """Gain of each class over the baseline, from rare to frequent."""
    others = comparison.others
    return _table_of_classes(
        comparison.classes, variant_columns(others), lambda row: gain_cells(others, row.key)
    )


def seed_table(comparison: Comparison) -> Table:
    """AP of each run, and mean and standard deviation over the runs of a variant."""
    most = _most_runs(comparison)
    columns = [
        words('variant'),
        Column('n', form='d'),
        _score('mean', 'mean AP'),
        _score('std', 'standard deviation'),
        *(_score(f'run_{number}', f'run {number}') for number in range(1, most + 1)),
    ]
    rows = []
    for variant in comparison.variants:
        ap = variant.scores['AP']
        numbers = len(ap.values), percent(ap.mean), percent(ap.std)
        rows.append((variant.name, *numbers, *_runs(ap, most)))
    return Table(columns, rows)


def scores_data(comparison: Comparison) -> Table:
    """One row for each score of each variant: mean, standard deviation and all runs."""
    most, rows = _most_runs(comparison), []
    for variant in comparison.variants:
        for key, title, _ in _everything(comparison):
            spread = variant.scores[key]
            numbers = percent(spread.mean), percent(spread.std), len(spread.values)
            rows.append((variant.name, key, title, *numbers, *_runs(spread, most)))
    runs = (f'run_{number}' for number in range(1, most + 1))
    return _data_table(('variant', 'key', 'what', 'mean', 'std', 'n', *runs), rows)


def gains_data(comparison: Comparison) -> Table:
    """One row for each gain over the baseline, with its interval."""
    rows = []
    for variant in comparison.others:
        for what in _everything(comparison):
            gain = variant.gains[what[0]]
            cells = percent(gain.value), *_interval_cells(gain)
            rows.append((variant.name, comparison.baseline, *what, *cells))
    keys = ('variant', 'baseline', 'key', 'what', 'definition', 'gain', *_INTERVAL_KEYS)
    return _data_table(keys, rows)


def error_table(diagnostics: Sequence[VariantDiagnostics]) -> Table:
    """Cost and count of each kind of error for each variant."""
    columns, rows = [words('kind', 'kind of error')], []
    for one in diagnostics:
        columns += [
            Column(f'{one.variant}_dAP', 'dAP', '.2f', group=one.variant),
            Column(f'{one.variant}_count', 'errors', ',.0f', group=one.variant),
        ]
    for costs in zip(*(one.costs for one in diagnostics), strict=True):
        cells = [cell for cost in costs for cell in (percent(cost.delta_ap), cost.count)]
        rows.append((capital(costs[0].name), *cells))
    return Table(columns, rows)


def errors_data(diagnostics: Sequence[VariantDiagnostics], classes: Sequence[str]) -> Table:
    """One row for each variant, kind of error and class."""
    rows = []
    for one in diagnostics:
        for cost in one.costs:
            by_class = zip(classes, cost.class_counts, cost.class_delta_ap, strict=True)
            for name, count, gain in by_class:
                rows.append((one.variant, cost.name, name, float(count), percent(float(gain))))
    return _data_table(('variant', 'kind', 'class', 'errors', 'dAP'), rows)


def class_error_table(
    diagnostics: VariantDiagnostics, labels: Sequence[str], classes: Sequence[ClassEntry]
) -> Table:
    """What each kind of error costs each class of one variant; the largest cost in bold.

    `labels` are the names of the classes in label order.
    """
    columns = []
    for kind, cost in zip(ERRORS, diagnostics.costs, strict=True):
        title, group = _SHORT_KINDS.get(kind, (cost.name, ''))
        columns.append(Column(cost.name, title, '.1f', group=group))

    def cells(row: ClassEntry) -> list[Cell]:
        label = labels.index(row.name)
        gains = [float(cost.class_delta_ap[label]) for cost in diagnostics.costs]
        largest = max((gain for gain in gains if gain > 0), default=None)
        return [Cell(percent(gain), bold=gain == largest) for gain in gains]

    return _table_of_classes(classes, columns, cells)


def confusion_table(confusions: Mapping[str, Confusion]) -> Table:
    """The most frequent confusions of some variants together."""
    found = {}
    for confusion in confusions.values():
        for pair in confusion.most_confused(MOST_CONFUSIONS):
            found.setdefault((pair.truth, pair.predicted), pair)
    index = {name: row for row, name in enumerate(next(iter(confusions.values())).names)}
    numbers = [(confusion.counts, confusion.shares) for confusion in confusions.values()]
    rows = []
    for (truth, predicted), pair in found.items():
        at = index[truth], index[predicted]
        cells = [cell for c, s in numbers for cell in (int(c[at]), percent(float(s[at])))]
        rows.append((truth, predicted, 'yes' if pair.shared_levels else 'no', *cells))
    rows.sort(key=lambda row: -sum(row[3::2]))
    columns = [
        words('truth', 'class'),
        words('predicted', 'taken for'),
        words('same_superclass', 'same superclass'),
    ]
    for name in confusions:
        prefix = f'{name}_' if len(confusions) > 1 else ''
        columns += [
            Column(f'{prefix}boxes', 'boxes', ',d', group=name),
            Column(f'{prefix}share', '% of its boxes', '.1f', group=name),
        ]
    return Table(columns, rows[:MOST_CONFUSIONS])


def calibration_table(diagnostics: Sequence[VariantDiagnostics]) -> Table:
    """The expected calibration error of each variant."""
    return Table(
        [words('variant'), Column('runs', form='d'), _score('ece', 'calibration error')],
        [(one.variant, one.num_runs, percent(one.calibration_error)) for one in diagnostics],
    )


def calibration_data(diagnostics: Sequence[VariantDiagnostics]) -> Table:
    """One row for each variant and bin of scores."""
    rows = [
        (one.variant, part.count, percent(part.score), percent(part.precision))
        for one in diagnostics
        for part in one.score_bins
    ]
    return _data_table(('variant', 'detections', 'mean_score', 'precision'), rows)


def real_groups(classes: Sequence[ClassEntry]) -> set[str]:
    """Names of the groups, without those that are just a class on its own."""
    return {name for row in classes for name in row.superclasses if name != row.name}


def words(key: str, title: str | None = None) -> Column:
    return Column(key, title, left=True)


def _score(key: str, title: str | None = None) -> Column:
    return Column(key, title, '.2f')


def _table_of_classes(
    classes: Sequence[ClassEntry],
    columns: Sequence[Column],
    cells: Callable[[ClassEntry], Sequence[Any]],
    *,
    title: str = 'class',
    groups: Collection[str] = (),
) -> Table:
    """A row for each class: its name, which of these groups it is in, its boxes, then its cells."""
    known = known_boxes(classes)
    head = [words(title), *([words('superclass')] if groups else [])]
    head += [Column(key, f'{whose} boxes', ',d') for key, whose in known.items()]
    rows = []
    for row in classes:
        path = [name for name in row.superclasses if name in groups]
        names = [row.name, *([' / '.join(path)] if groups else [])]
        rows.append((*names, *(getattr(row, key) for key in known), *cells(row)))
    return Table([*head, *columns], rows)


def variant_columns(
    variants: Sequence[Variant], group: str = '', *, prefix: str = ''
) -> list[Column]:
    return [Column(prefix + one.name, one.name, '.2f', group=group) for one in variants]


def _columns_with_paper(ours: Sequence[Variant], papers: Sequence[Variant]) -> list[Column]:
    """A column for each variant, under a heading for each side where there are two."""
    if not papers:
        return variant_columns(ours)
    columns = variant_columns(ours, 'these runs')
    return columns + variant_columns(papers, 'the paper', prefix='paper_')


def _data_table(keys: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Table:
    """A table that is written as CSV only."""
    return Table([Column(key) for key in keys], rows)


def _everything(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Key, title and definition of everything that is compared."""
    return [
        *((metric.key, metric.title, metric.definition) for metric in comparison.metrics),
        *((entry.key, entry.name, DIFFERENCE) for entry in comparison.entries),
    ]


def _most_runs(comparison: Comparison) -> int:
    return max(len(variant.runs) for variant in comparison.variants)


def _runs(spread: Spread, count: int) -> list[float | None]:
    """The value of each run, None where there are fewer than `count`."""
    return [*map(percent, spread.values), *[None] * (count - len(spread.values))]


def _interval_cells(gain: Gain) -> tuple[Any, ...]:
    found = gain.interval
    if found is None:
        return (None,) * len(_INTERVAL_KEYS)
    over = ('seeds and photos', 'pairs of seeds, and photos')[len(found.seeds) == 1]
    detectable = [percent(one.detectable) for one in (found, found.on_these_photos())]
    return (
        percent(found.low),
        percent(found.high),
        over if found.over_seeds else 'photos only',
        found.num_images,
        *(None if math.isnan(value) else float(value) for value in (found.df, found.p_value)),
        None if math.isnan(gain.p_holm) else gain.p_holm,
        gain.may_be_noise,
        *(detectable if found.over_seeds else [detectable[0], None]),
    )


def score_cells(variants: Sequence[Variant], key: str | None) -> list[Cell | None]:
    """Mean scores with their standard deviation, the best in bold; None without a key."""
    if key is None:
        return [None] * len(variants)
    best = _best(variants, key)
    return [_score_cell(variant.scores[key], variant.name in best) for variant in variants]


def _best(variants: Sequence[Variant], key: str) -> set[str]:
    """Names of the variants with the highest mean as shown; none if all are equal."""
    means = {variant.name: variant.scores[key].mean for variant in variants}
    shown = {name: float(plain(mean)) for name, mean in means.items() if not math.isnan(mean)}
    names = {name for name, value in shown.items() if value == max(shown.values())}
    return set() if len(names) == len(variants) else names


def _score_cell(spread: Spread, bold: bool) -> Cell:
    text = None
    if len(spread.values) > 1 and not math.isnan(spread.mean):
        text = f'{plain(spread.mean)} ± {plain(spread.std)}'
    return Cell(percent(spread.mean), text, bold)


def gain_cells(variants: Sequence[Variant], key: str) -> list[Cell | None]:
    gains = [variant.gains.get(key) for variant in variants]
    return [
        gain and Cell(percent(gain.value), gain_in_table(gain), bold=gain.may_be_noise is False)
        for gain in gains
    ]
