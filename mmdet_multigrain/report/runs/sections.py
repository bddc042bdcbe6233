"""Sections of a report that need result files only; `diagnostic_sections` has the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmdet_multigrain.evaluation.functional.intervals import MIN_RUNS
from mmdet_multigrain.evaluation.functional.protocols import SUPERCLASS, meaning
from mmdet_multigrain.evaluation.training_record import record_text
from mmdet_multigrain.utils.table import Column, Table

from . import claims, figures, tables
from .comparison import Comparison
from .document import Paragraph, Points, Section
from .formats import INTERVAL, NOISE
from .measures import DIFFERENCE, MEAN_OF_GAINS, known_boxes, train_counts
from .paper import DATASETS, Paper
from .run import Run
from .tables import PaperReference
from .texts import figure_block, items, section, table_block, text

PAPER = 'arXiv 2101.06770'
# Where the paper shows the same of its data sets.
_PLACES = {
    'df2': {'overall': 'table 1', 'classes': 'table 3', 'gains': 'figure 4'},
    'oiv4c': {'overall': 'table 2', 'classes': 'table 4', 'gains': 'figure 4'},
}
_UNKNOWN = 'not known'


def run_section(runs: Sequence[Run], comparison: Comparison) -> Section:
    """Which runs, on what data, made by what."""
    table = _run_table(runs)
    known = [
        key
        for key in ('seed', 'iteration', 'config', 'checkpoint', 'options')
        if key in {column.key for column in table.columns}
        and any(row[0] not in (None, '') for row in table.select([key]).rows)
    ]
    shown = table.select(['variant', *known, 'detections', 'source'])
    points = Points(_run_points(runs, comparison))
    seeds = text('as_seeds') if comparison.has_seeds else ''
    return section('runs', [table_block('runs', shown, table, seeds=seeds), points])


def _run_table(runs: Sequence[Run]) -> Table:
    columns = [
        Column('variant', left=True),
        Column('seed', form='d'),
        Column('iteration', 'iterations', ',d'),
        *(Column(key, left=True) for key in ('config', 'checkpoint', 'detections')),
        Column('source', 'read from', left=True),
    ]
    if any(run.result.run.options for run in runs):
        columns.append(Column('options', 'options of the test', left=True))
    rows = []
    for run in runs:
        record, found = run.result.run, 'yes' if run.has_detections else 'not found'
        files = record.config, record.checkpoint, found, str(run.source)
        row = (run.variant, run.seed, record.iteration, *files, record.options or '')
        rows.append(row[: len(columns)])
    return Table(columns, rows)


def _run_points(runs: Sequence[Run], comparison: Comparison) -> list[tuple[str, str]]:
    results = [run.result for run in runs]
    summaries = [result.summary for result in results]
    counted = 'boxes of the training file'
    if comparison.counted_on != 'training':
        counted = 'boxes of the ground truth, as no training file is known'
    by = ': '.join(filter(None, (f'by {counted}', comparison.counted_in)))
    known = [(run.name, train_counts(run)) for run in runs if None not in train_counts(run)]
    if others := [name for name, counts in known if counts != comparison.counts]:
        # The choice is that of the run that was named first.
        by += f', not by those of {", ".join(others)}, which differ'
    cut_of = {run.name: run.result.summary.fine.num_cut for run in runs}
    cut = [f'{name}: {number:,}' for name, number in cut_of.items() if number]
    versions = [result.run.versions.items() for result in results]
    points = {
        'Ground truth': _join(result.ann_file for result in results),
        'Rare and frequent classes': by,
        'Evaluation': f'{_join(summary.engine for summary in summaries)}, at most '
        f'{_join(summary.max_dets for summary in summaries)} detections per image and class',
        'Detections left out, beyond that limit': ', '.join(cut),
        'Classes without ground truth, in no mean': ', '.join(summaries[0].without_ground_truth),
        'Without any detection': ', '.join(
            run.name for run in runs if not run.result.summary.num_detections
        ),
        'Trained as': _join(record_text(result.run.trained_as) for result in results),
        'Revision of mmdet_multigrain': _join(result.run.git_revision for result in results),
        'Versions': _join(', '.join(map(' '.join, pairs)) for pairs in versions),
    }
    return [(lead, point) for lead, point in points.items() if point not in ('', _UNKNOWN)]


def _join(values: Iterable[Any]) -> str:
    """The one value of all runs, or each value with the number of its runs."""
    counts = Counter(str(value or _UNKNOWN) for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return '; '.join(f'{value} ({count} run{"s" * (count > 1)})' for value, count in counts.items())


def overall_section(comparison: Comparison, paper: PaperReference | None = None) -> Section:
    """COCO's metrics, means over rare and frequent classes, superclasses, seeds."""
    levels, values = len(comparison.superclasses), _values(comparison, 'overall')
    name = 'frequency_and_superclasses' if levels else 'frequency'
    frequency = table_block(name, tables.frequency_table(comparison), file='frequency', **values)
    blocks = [table_block('overall', tables.overall_table(comparison, paper), **values), frequency]
    for level in range(levels):
        table = tables.superclass_table(comparison, level)
        names = {'level': '', 'file': None}
        if levels > 1:
            tree = f' ({comparison.trees[level]})' if comparison.trees else ''
            names = {'level': f', level {level}{tree}', 'file': f'superclasses_{level}'}
        blocks.append(table_block('superclasses', table, **names, bold=values['bold']))
    if comparison.has_seeds:
        blocks.append(table_block('seeds', tables.seed_table(comparison)))
    return section('overall', blocks)


def _values(comparison: Comparison, place: str) -> dict[str, str]:
    """What titles and notes of scores say only where it is so; `place` is a key of `_PLACES`."""
    of_paper = comparison.dataset is not None
    return {
        'counted_on': comparison.counted_on,
        'in_paper': f" (the paper's {_PLACES[comparison.dataset][place]})" if of_paper else '',
        'bold': text('bold') if comparison.others else '',
        'spread': text('spread') if comparison.has_seeds else '',
    }


def gain_section(comparison: Comparison, paper: PaperReference | None = None) -> Section:
    """Gains over the baseline, by both definitions."""
    if not comparison.others:
        return section('gains', [Paragraph(text('gain_of_one'))], title='single_variant')
    definitions = {'difference': DIFFERENCE, 'mean_of_gains': MEAN_OF_GAINS}
    values = {'baseline': comparison.baseline, **definitions, 'counted_on': comparison.counted_on}
    of_paper = text('two_gains_of_paper') if paper or comparison.dataset else ''
    blocks = [Paragraph(text('two_gains', **values) + of_paper)]
    names = claims.main_metrics(comparison)
    for block, definition in (('gains_difference', DIFFERENCE), ('gains_mean', MEAN_OF_GAINS)):
        keys = [one.key for one in comparison.metrics if one.definition == definition]
        power = [claims.power(comparison, [key], names[key]) for key in keys if key in names]
        table = tables.gain_table(comparison, definition, paper)
        note = claims.note(comparison, keys, *power)
        blocks.append(table_block(block, table, legend=note, **values))
    return section('gains', blocks)


def class_section(
    comparison: Comparison, colors: Mapping[str, str], paper: PaperReference | None = None
) -> Section:
    """AP and gain of each class; `colors` are those of the superclasses."""
    keys, blocks = [row.key for row in comparison.classes], []
    if comparison.others:
        whiskers = claims.whiskers(comparison, keys)
        boxes = ' and '.join(known_boxes(comparison.classes).values())
        values = {'in_paper': _values(comparison, 'gains')['in_paper'], 'whiskers': whiskers}
        drawing = figures.class_gains, comparison, colors
        blocks.append(figure_block('gain_per_class', *drawing, **values, boxes=boxes))
    table = tables.class_table(comparison, paper)
    blocks.append(table_block('classes', table, **_values(comparison, 'classes')))
    if comparison.resamples:
        table, baseline = tables.class_gain_table(comparison), comparison.baseline
        power = claims.power(comparison, keys, 'the AP of a class (median)')
        note = claims.note(comparison, keys, power)
        blocks.append(table_block('class_gains', table, baseline=baseline, legend=note))
    return section('classes', blocks)


def paper_section(paper: Paper) -> Section:
    """What the paper's numbers are."""
    listed = len(paper.classes) < paper.taxonomy.num_classes
    about = {'paper': PAPER, 'dataset': DATASETS[paper.dataset], 'boxes': paper.train_boxes}
    rest = text('paper_listed' if listed else 'paper_rarest')
    sentences = Paragraph(f'{text("about_paper", **about)} {rest}')
    return section('paper', [sentences, Points(items('variants'))])


def reading_section(
    comparison: Comparison, data: Iterable[str], *, protocol: str | None = None
) -> Section:
    """Definitions of the terms in the report; `data` are the names of the tables of all numbers.

    `protocol` is that of the classes, and None for the paper's.
    """
    points = items('terms')
    protocols = [protocol] if protocol else []
    protocols += [SUPERCLASS] if protocol and comparison.superclasses else []
    points += [(f'Protocol {name}', f'{meaning(name)}.') for name in protocols]
    if comparison.resamples:
        values = {'resamples': comparison.resamples, 'least': MIN_RUNS}
        values |= {'interval': INTERVAL, 'noise': NOISE}
        points += items('terms_over_seeds', **values) if comparison.over_seeds else []
        points += items('terms_over_photos', **values) if comparison.over_photos_only else []
        points += items('terms_of_power')
    files = ', '.join(f'{name}.csv' for name in data)
    return section('reading', [Points([*points, *items('terms_of_files', data=files)])])
