"""Sections of a report that need result files only; `diagnostic_sections` has the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmdet_multigrain.evaluation.functional.bootstrap import CONFIDENCE
from mmdet_multigrain.visualization import style

from ..table import Column, Table
from . import figures, tables
from .comparison import Comparison
from .document import FigureBlock, Paragraph, Points, Section, TableBlock
from .formats import INTERVAL, LEGEND, NOISE
from .measures import DIFFERENCE, MEAN_OF_GAINS
from .paper import Paper
from .run import Run
from .tables import PaperReference

PAPER = 'arXiv 2101.06770'
DATASETS = {'df2': 'DeepFashion2', 'oiv4c': 'OpenImagesV4-Clothing'}
_BEST = 'Best in bold.'
_SPREAD = ' With several runs of a variant: mean ± standard deviation (n − 1).'
_UNKNOWN = 'not known'


def run_section(runs: Sequence[Run], comparison: Comparison) -> Section:
    """Which runs, on what data, made by what."""
    table = _run_table(runs)
    optional = ('seed', 'iteration', 'config', 'checkpoint')
    known = [
        key for key in optional if any(row[0] not in (None, '') for row in table.select([key]).rows)
    ]
    return Section(
        'runs',
        'What was compared',
        [
            TableBlock(
                'runs',
                'Runs',
                'A variant is what was trained; its runs differ in their seed.',
                table.select(['variant', *known, 'detections', 'source']),
                table,
            ),
            Points(_run_points(runs, comparison)),
        ],
    )


def _run_table(runs: Sequence[Run]) -> Table:
    return Table(
        [
            Column('variant', left=True),
            Column('seed', form='d'),
            Column('iteration', 'iterations', ',d'),
            Column('config', left=True),
            Column('checkpoint', left=True),
            Column('detections', left=True),
            Column('source', 'read from', left=True),
        ],
        [
            (
                run.variant,
                run.seed,
                run.result.run.iteration,
                run.result.run.config,
                run.result.run.checkpoint,
                'yes' if run.has_detections else 'not found',
                str(run.source),
            )
            for run in runs
        ],
    )


def _run_points(runs: Sequence[Run], comparison: Comparison) -> list[tuple[str, str]]:
    results = [run.result for run in runs]
    counted = 'boxes of the training file'
    if comparison.counted_on != 'training':
        counted = 'boxes of the ground truth, as no training file is known'
    trained_on = _join(result.train_ann_file for result in results)
    versions = (
        ', '.join(f'{name} {version}' for name, version in result.run.versions.items())
        for result in results
    )
    points = {
        'Ground truth': _join(result.ann_file for result in results),
        'Rare and frequent classes': f'by {counted}'
        + (f': {trained_on}' if trained_on != _UNKNOWN else ''),
        'Evaluation': f'{_join(result.summary.engine for result in results)}, at most '
        f'{_join(result.summary.max_dets for result in results)} detections per image and class',
        'Classes without ground truth, in no mean': ', '.join(
            results[0].summary.without_ground_truth
        ),
        'Without any detection': ', '.join(
            run.name for run in runs if not run.result.summary.num_detections
        ),
        'Revision of mmdet_multigrain': _join(result.run.git_revision for result in results),
        'Versions': _join(versions),
    }
    return [(lead, text) for lead, text in points.items() if text not in ('', _UNKNOWN)]


def _join(values: Iterable[Any]) -> str:
    """The one value of all runs, or each value with the number of its runs."""
    counts = Counter(str(value or _UNKNOWN) for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return '; '.join(f'{value} ({count} run{"s" * (count > 1)})' for value, count in counts.items())


def overall_section(comparison: Comparison, paper: PaperReference | None = None) -> Section:
    """COCO's metrics, means over rare and frequent classes, superclasses, seeds."""
    grouped = bool(comparison.superclasses)
    blocks = [
        TableBlock(
            'overall',
            "COCO's numbers (the paper's tables 1 and 2)",
            f'AP in percent; s, m, l: small, medium, large boxes. {_BEST}{_spread(comparison)}',
            tables.overall_table(comparison, paper),
        ),
        TableBlock(
            'frequency',
            'Rare and frequent classes' + ', and superclasses' * grouped,
            f'Rare or frequent by {comparison.counted_on} boxes. '
            + 'Superclass AP: a box of the right superclass counts, whatever its class. ' * grouped
            + _BEST,
            tables.frequency_table(comparison),
        ),
    ]
    several_levels = len(comparison.superclasses) > 1
    for level in range(len(comparison.superclasses)):
        name, title = 'superclasses', 'AP by superclass'
        if several_levels:
            name, title = f'{name}_{level}', f'{title}, level {level}'
        note = 'From rare to frequent, with how many boxes there are.'
        blocks.append(TableBlock(name, title, note, tables.superclass_table(comparison, level)))
    if comparison.has_seeds:
        note = 'How far training again moves AP.'
        blocks.append(TableBlock('seeds', 'AP of each run', note, tables.seed_table(comparison)))
    return Section('overall', 'Overall', blocks)


def _spread(comparison: Comparison) -> str:
    return _SPREAD if comparison.has_seeds else ''


def gain_section(comparison: Comparison, paper: PaperReference | None = None) -> Section:
    """Gains over the baseline, by both definitions."""
    if not comparison.others:
        text = 'There is a single variant. Name runs of another one, too, to see what it gains.'
        return Section('gains', 'Gains', [Paragraph(text)])
    note = mean_note = 'In percentage points.'
    if comparison.resamples:
        note += (
            f' {LEGEND} {comparison.resamples:,} resamples, the same for all; without '
            'brackets there is no interval.'
        )
        mean_note = f'Rare or frequent by {comparison.counted_on} boxes. Marks as above.'
    return Section(
        'gains',
        'Gains over the baseline',
        [
            Paragraph(
                f'"Gain" has two senses. The {DIFFERENCE}: that of the variant minus that of '
                f'{comparison.baseline}. The {MEAN_OF_GAINS}: each class has its own gain, and '
                'these are averaged. Where AP is the mean over the classes, both agree; the '
                "paper's AP is not quite the mean of what it prints by class."
            ),
            TableBlock(
                'gains_difference',
                f'Gains over {comparison.baseline}: {DIFFERENCE}',
                note,
                tables.gain_table(comparison, DIFFERENCE, paper),
            ),
            TableBlock(
                'gains_mean',
                f'Gains over {comparison.baseline}: {MEAN_OF_GAINS}',
                mean_note,
                tables.gain_table(comparison, MEAN_OF_GAINS, paper),
            ),
        ],
    )


def class_section(
    comparison: Comparison, colors: Mapping[str, str], paper: PaperReference | None = None
) -> Section:
    """AP and gain of each class.

    Args:
        comparison: What is shown.
        colors: Of each superclass.
        paper: The paper's numbers to compare with.
    """
    blocks = [
        TableBlock(
            'classes',
            "AP by class (the paper's tables 3 and 4)",
            f'From rare to frequent. {_BEST}{_spread(comparison)}',
            tables.class_table(comparison, paper),
        )
    ]
    if comparison.others:
        whiskers = f' Whiskers: {INTERVAL}; pale bars: it contains 0.'
        figure = FigureBlock(
            'gain_per_class',
            "Gain per class (the paper's figure 4)",
            f'Classes from rare to frequent, with their {comparison.counted_on} boxes in '
            f'brackets; colored by superclass.{whiskers if comparison.resamples else ""}',
            style.render(figures.class_gains, comparison, colors),
        )
        blocks.insert(0, figure)
    if comparison.resamples:
        title = f'Gain of each class over {comparison.baseline}'
        table = tables.class_gain_table(comparison)
        blocks.append(TableBlock('class_gains', title, LEGEND, table))
    return Section('classes', 'By class', blocks)


def paper_section(paper: Paper) -> Section:
    """What the paper's numbers are."""
    rest = (
        'It gives 2.55 as the gain on "the last 30 %" of the classes: the mean over the nine '
        'rarest of 13, which is 69 %; 30 %, rounded down, are three.'
    )
    if len(paper.classes) < paper.taxonomy.num_classes:
        rest = 'Its tables list the grouped classes only.'
    text = (
        f"The paper's numbers are those that {PAPER} prints for {DATASETS[paper.dataset]} "
        f'({paper.train_boxes:,} training boxes), from one training of each variant and without '
        f'intervals. {rest}'
    )
    variants = [
        ('baseline', 'one branch, enlarged to the size of the others.'),
        ('wogroup', 'two branches, both supervised with the fine classes.'),
        ('merged', 'two branches, joined before the last layer, supervised once.'),
        ('wgroup', 'two branches, the coarse one supervised with superclasses.'),
    ]
    return Section('paper', "The paper's numbers", [Paragraph(text), Points(variants)])


def reading_section(comparison: Comparison) -> Section:
    """Definitions of the terms in the report."""
    points = {
        'AP': 'mean over IoU thresholds 0.50 to 0.95 and over the classes that have boxes; AP50 '
        'and AP75 at one threshold.',
        'Rarest 30 %': 'k = floor(0.3 K) of K classes, at least one.',
    }
    if comparison.resamples:
        points[INTERVAL] = (
            f'the images are drawn anew {comparison.resamples:,} times with '
            'replacement, the same for all runs; the middle 95 % of the resampled differences. '
            'It speaks of other photos of the same kind, not of other seeds. Of many intervals, '
            f'about one in {round(1 / (1 - CONFIDENCE))} misses 0 by chance alone.'
        )
        points[NOISE] = (
            'marks a difference whose interval contains 0: these images do not tell the two apart.'
        )
    points['Files'] = (
        'tables/ has each table as CSV (unrounded) and LaTeX (booktabs), '
        'scores.csv and gains_all.csv everything; figures/ has PNG and SVG.'
    )
    return Section('reading', 'How to read this', [Points([*points.items()])])
