"""The report on runs, section by section: which tables and figures stand where, and their notes.

Numbers come from `comparison` and `run_analysis`, sentences about them from `run_words`; the
sections that need detections are in `run_error_sections`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mmdet_multigrain.evaluation.functional.bootstrap import CONFIDENCE
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.visualization import style

from ..table import Column, Table
from . import figures as run_figures
from . import tables as run_tables
from .comparison import DIFFERENCE, MEAN_OF_GAINS, Comparison, compare_paper
from .diagnostic_sections import (
    baseline_and_best,
    calibration_sections,
    confusion_sections,
    error_section,
)
from .diagnostics import VariantAnalysis
from .document import Block, Document, FigureBlock, Paragraph, Points, Section, TableBlock
from .load import Run
from .paper import Paper
from .summary import INTERVAL, LEGEND, NOISE, best_of, error_points, gain_sentences, summary_points
from .tables import PaperSide

_PAPER = 'arXiv 2101.06770'
_DATASETS = {'df2': 'DeepFashion2', 'oiv4c': 'OpenImagesV4-Clothing'}
_BEST = 'Best in bold.'
_SPREAD = 'With several runs of a variant: mean ± standard deviation (n − 1).'


def runs_document(
    runs: Sequence[Run],
    comparison: Comparison,
    analyses: Sequence[VariantAnalysis],
    *,
    paper: Paper | None = None,
) -> Document:
    """The report on runs, with the paper's numbers beside theirs if there are any.

    Args:
        runs: What was compared.
        comparison: Their numbers.
        analyses: Of the variants that have detections.
        paper: Whose classes those of the runs are.

    Raises:
        ReportError: Runs and paper have no class in common.
    """

    def not_baseline(variant: str) -> bool:
        return variant != comparison.baseline

    # The baseline comes first everywhere, as in the paper.
    runs = sorted(runs, key=lambda run: not_baseline(run.variant))
    analyses = sorted(analyses, key=lambda one: not_baseline(one.variant))
    comparison = dataclasses.replace(
        comparison,
        variants=tuple(sorted(comparison.variants, key=lambda variant: not_baseline(variant.name))),
    )
    taxonomy = runs[0].result.taxonomy
    side = None if paper is None else beside(paper, taxonomy, source=runs[0].source)
    colors = style.superclass_colors(taxonomy)
    points = [*summary_points(comparison), *error_points(baseline_and_best(comparison, analyses))]
    if side is not None:
        theirs = best_of(side.comparison.variants)
        points.append(
            (
                f"The paper's {theirs.name} over its {side.comparison.baseline}",
                gain_sentences(side.comparison, theirs),
            )
        )
    sections = [
        Section('summary', 'Summary', (Points(tuple(points)),)),
        _compared(runs, comparison),
        _overall(comparison, side),
        *_gains(comparison, side),
        _classes(comparison, side, colors),
        error_section(runs, comparison, analyses),
        *confusion_sections(comparison, analyses),
        *calibration_sections(analyses),
        *([] if paper is None else [_about_paper(paper)]),
        _reading(comparison),
    ]
    data = {'scores': run_tables.scores_data(comparison)}
    if len(comparison.variants) > 1:
        data['gains_all'] = run_tables.gains_data(comparison)
    if analyses:
        data['errors_all'] = run_tables.errors_data(analyses, taxonomy.classes)
    names = [variant.name for variant in comparison.variants]
    summary = runs[0].result.summary
    boxes = sum(row.val_boxes for row in summary.fine.classes)
    return Document(
        title=f'Report: {", ".join(names) if len(names) < 6 else f"{len(names)} variants"}',
        detail=f'{len(runs)} runs on {summary.num_images:,} images with {boxes:,} boxes of '
        f'{taxonomy.num_classes} classes; AP in percent, gains over '
        f'{comparison.baseline}.',
        sections=tuple(sections),
        data=data,
    )


def paper_document(paper: Paper) -> Document:
    """The paper's numbers alone, in the form of a report on runs."""
    comparison = compare_paper(paper)
    name = _DATASETS[paper.dataset]
    return Document(
        title=f"The paper's numbers on {name}",
        detail=f'What {_PAPER} prints, in percent; no run of yours is in this report.',
        sections=(
            Section(
                'summary',
                'Summary',
                (
                    Points(
                        tuple(point for point in summary_points(comparison) if point[0] != 'Seeds')
                    ),
                ),
            ),
            _overall(comparison, None),
            *_gains(comparison, None),
            _classes(comparison, None, style.superclass_colors(paper.taxonomy)),
            _about_paper(paper),
            _reading(comparison),
        ),
        data={
            'scores': run_tables.scores_data(comparison),
            'gains_all': run_tables.gains_data(comparison),
        },
    )


def beside(paper: Paper, taxonomy: Taxonomy, *, source: object) -> PaperSide:
    """The paper's numbers with its classes matched to ours by name and alias on both sides.

    Raises:
        ReportError: There is no class in common.
    """
    comparison = compare_paper(paper)
    keys = {}
    for row in comparison.classes:
        names = (row.name, *paper.taxonomy.aliases.get(row.name, ()))
        label = next((label for label in map(taxonomy.find, names) if label is not None), None)
        if label is not None:
            keys[f'class:{taxonomy.classes[label]}'] = row.key
    if not keys:
        raise ReportError(
            f'{source}: none of its classes is one of {paper.dataset}, which the '
            'paper compares; leave --paper out, or name the other data set'
        )
    return PaperSide(comparison, keys)


def _compared(runs: Sequence[Run], comparison: Comparison) -> Section:
    """Which runs, on what data, made by what."""
    first = runs[0].result
    table = Table(
        (
            Column('variant', 'variant', left=True),
            Column('seed', 'seed', 'd'),
            Column('iteration', 'iterations', ',d'),
            Column('config', 'config', left=True),
            Column('checkpoint', 'checkpoint', left=True),
            Column('detections', 'detections', left=True),
            Column('source', 'read from', left=True),
        ),
        tuple(
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
        ),
    )
    used = [
        'variant',
        *(
            key
            for key, known in (
                ('seed', any(run.seed is not None for run in runs)),
                ('iteration', any(run.result.run.iteration is not None for run in runs)),
                ('config', any(run.result.run.config for run in runs)),
                ('checkpoint', any(run.result.run.checkpoint for run in runs)),
            )
            if known
        ),
        'detections',
        'source',
    ]
    counted = (
        'boxes of the training file'
        if comparison.counted_on == 'training'
        else 'boxes of the ground truth, as no training file is known'
    )
    points = [
        ('Ground truth', _join(run.result.ann_file for run in runs)),
        (
            'Rare and frequent classes',
            f'by {counted}: {_join(run.result.train_ann_file for run in runs)}'.removesuffix(
                ': not known'
            ),
        ),
        (
            'Evaluation',
            f'{_join(run.result.summary.engine for run in runs)}, at most '
            f'{_join(str(run.result.summary.max_dets) for run in runs)} detections per image and '
            'class',
        ),
    ]
    if first.summary.without_ground_truth:
        points.append(
            (
                'Classes without ground truth, in no mean',
                ', '.join(first.summary.without_ground_truth),
            )
        )
    empty = [run.name for run in runs if not run.result.summary.num_detections]
    if empty:
        points.append(('Without any detection', ', '.join(empty)))
    points += [
        ('Revision of mmdet_multigrain', _join(run.result.run.git_revision for run in runs)),
        ('Versions', _join(_versions(run) for run in runs)),
    ]
    points = [(lead, text) for lead, text in points if text != 'not known']
    return Section(
        'runs',
        'What was compared',
        (
            TableBlock(
                'runs',
                'Runs',
                'A variant is what was trained; its runs differ in their seed.',
                table.select(used),
                table,
            ),
            Points(tuple(points)),
        ),
    )


def _overall(comparison: Comparison, side: PaperSide | None) -> Section:
    several = any(len(variant.runs) > 1 for variant in comparison.variants)
    spread = f' {_SPREAD}' if several else ''
    grouped = bool(comparison.superclasses)
    blocks: list[Block] = [
        TableBlock(
            'overall',
            "COCO's numbers (the paper's tables 1 and 2)",
            f'AP in percent; s, m, l: small, medium, large boxes. {_BEST}{spread}',
            run_tables.overall_table(comparison, side),
        ),
        TableBlock(
            'frequency',
            'Rare and frequent classes' + ', and superclasses' * grouped,
            f'Rare or frequent by {comparison.counted_on} boxes. '
            + 'Superclass AP: a box of the right superclass counts, whatever its class. ' * grouped
            + _BEST,
            run_tables.frequency_table(comparison),
        ),
    ]
    for level in range(len(comparison.superclasses)):
        several_levels = len(comparison.superclasses) > 1
        blocks.append(
            TableBlock(
                f'superclasses_{level}' if several_levels else 'superclasses',
                f'AP by superclass{f", level {level}" if several_levels else ""}',
                'From rare to frequent, with how many boxes there are.',
                run_tables.superclass_table(comparison, level),
            )
        )
    if several:
        blocks.append(
            TableBlock(
                'seeds',
                'AP of each run',
                'How far training again moves AP.',
                run_tables.seed_table(comparison),
            )
        )
    return Section('overall', 'Overall', tuple(blocks))


def _gains(comparison: Comparison, side: PaperSide | None) -> list[Section]:
    if len(comparison.variants) < 2:
        return [
            Section(
                'gains',
                'Gains',
                (
                    Paragraph(
                        'There is a single variant. Name runs of another one, too, to see what it '
                        'gains.'
                    ),
                ),
            )
        ]
    note = 'In percentage points.'
    if comparison.resamples:
        note += (
            f' {LEGEND} {comparison.resamples:,} resamples, the same for all; without '
            'brackets there is no interval.'
        )
    return [
        Section(
            'gains',
            'Gains over the baseline',
            (
                Paragraph(
                    f'"Gain" has two senses. The {DIFFERENCE}: that of the variant minus that of '
                    f'{comparison.baseline}. The {MEAN_OF_GAINS}: each class has its own gain, and these '
                    "are averaged. Where AP is the mean over the classes, both agree; the paper's AP is "
                    'not quite the mean of what it prints by class.'
                ),
                TableBlock(
                    'gains_difference',
                    f'Gains over {comparison.baseline}: {DIFFERENCE}',
                    note,
                    run_tables.gain_table(comparison, DIFFERENCE, side),
                ),
                TableBlock(
                    'gains_mean',
                    f'Gains over {comparison.baseline}: {MEAN_OF_GAINS}',
                    f'Rare or frequent by {comparison.counted_on} boxes. Marks as above.'
                    if comparison.resamples
                    else 'In percentage points.',
                    run_tables.gain_table(comparison, MEAN_OF_GAINS, side),
                ),
            ),
        )
    ]


def _classes(comparison: Comparison, side: PaperSide | None, colors: Mapping[str, str]) -> Section:
    several = any(len(variant.runs) > 1 for variant in comparison.variants)
    blocks: list[Block] = []
    if len(comparison.variants) > 1:
        whiskers = (
            f' Whiskers: {INTERVAL}; pale bars: it contains 0.' if comparison.resamples else ''
        )
        blocks.append(
            FigureBlock(
                'gain_per_class',
                "Gain per class (the paper's figure 4)",
                f'Classes from rare to frequent, with their {comparison.counted_on} boxes in brackets;'
                f' colored by superclass.{whiskers}',
                style.render(run_figures.class_gains, comparison, colors),
            )
        )
    blocks.append(
        TableBlock(
            'classes',
            "AP by class (the paper's tables 3 and 4)",
            f'From rare to frequent. {_BEST}{f" {_SPREAD}" if several else ""}',
            run_tables.class_table(comparison, side),
        )
    )
    if comparison.resamples:
        blocks.append(
            TableBlock(
                'class_gains',
                f'Gain of each class over {comparison.baseline}',
                LEGEND,
                run_tables.class_gain_table(comparison),
            )
        )
    return Section('classes', 'By class', tuple(blocks))


def _about_paper(paper: Paper) -> Section:
    rest = (
        ' Its tables list the grouped classes only.'
        if len(paper.classes) < paper.taxonomy.num_classes
        else ' It gives 2.55 as the gain on "the last 30 %" of the classes: the mean over the nine '
        'rarest of 13, which is 69 %; 30 %, rounded down, are three.'
    )
    return Section(
        'paper',
        "The paper's numbers",
        (
            Paragraph(
                f"The paper's numbers are those that {_PAPER} prints for {_DATASETS[paper.dataset]} "
                f'({paper.train_boxes:,} training boxes), from one training of each variant and without '
                f'intervals.{rest}'
            ),
            Points(
                (
                    ('baseline', 'one branch, enlarged to the size of the others.'),
                    ('wogroup', 'two branches, both supervised with the fine classes.'),
                    ('merged', 'two branches, joined before the last layer, supervised once.'),
                    ('wgroup', 'two branches, the coarse one supervised with superclasses.'),
                )
            ),
        ),
    )


def _reading(comparison: Comparison) -> Section:
    points = [
        (
            'AP',
            'mean over IoU thresholds 0.50 to 0.95 and over the classes that have boxes; AP50 '
            'and AP75 at one threshold.',
        ),
        ('Rarest 30 %', 'k = floor(0.3 K) of K classes, at least one.'),
    ]
    if comparison.resamples:
        points += [
            (
                INTERVAL,
                f'the images are drawn anew {comparison.resamples:,} times with '
                'replacement, the same for all runs; the middle 95 % of the resampled differences. '
                'It speaks of other photos of the same kind, not of other seeds. Of many intervals, '
                f'about one in {round(1 / (1 - CONFIDENCE))} misses 0 by chance alone.',
            ),
            (
                NOISE,
                'marks a difference whose interval contains 0: these images do not tell the '
                'two apart.',
            ),
        ]
    points.append(
        (
            'Files',
            'tables/ has each table as CSV (unrounded) and LaTeX (booktabs), '
            'scores.csv and gains_all.csv everything; figures/ has PNG and SVG.',
        )
    )
    return Section('reading', 'How to read this', (Points(tuple(points)),))


def _join(values: Iterable[str | None]) -> str:
    """What all runs say: one value, or each with how many say it."""
    counts = Counter(value or 'not known' for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return '; '.join(
        f'{value} ({count} runs)' if count > 1 else f'{value} (1 run)'
        for value, count in counts.items()
    )


def _versions(run: Run) -> str:
    return ', '.join(f'{name} {version}' for name, version in run.result.run.versions.items())
