"""The sections of a report that need detections: errors, confusions, calibration.

Where detections are not there, they say what is missing and which command makes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mmdet_multigrain.evaluation.functional.confusion import Confusion
from mmdet_multigrain.visualization import style

from . import figures as run_figures
from . import tables as run_tables
from .comparison import Comparison
from .diagnostics import VariantAnalysis
from .document import Block, Command, FigureBlock, Paragraph, Points, Section, TableBlock
from .load import Run
from .summary import best_of, share


def error_section(
    runs: Sequence[Run], comparison: Comparison, analyses: Sequence[VariantAnalysis]
) -> Section:
    """What each kind of error costs, in sum and by class."""
    blocks: list[Block] = []
    if analyses:
        note = (
            'dAP: rise in AP50 if the errors of that kind alone were fixed. The kinds are '
            "TIDE's, those of a wrong class split by superclass. Rises do not add up to the "
            'loss.'
        )
        if not comparison.superclasses:
            note += ' Nothing is grouped here: each class is its own superclass.'
        mean = ' Means over the runs.' if any(one.num_runs > 1 for one in analyses) else ''
        blocks += [
            FigureBlock(
                'errors',
                'Where AP50 is lost',
                f'{note}{mean}',
                style.render(run_figures.error_kinds, analyses),
            ),
            TableBlock(
                'errors',
                'Errors by kind',
                f'dAP in percentage points.{mean}',
                run_tables.error_table(analyses),
            ),
        ]
        shown = baseline_and_best(comparison, analyses)[-1]
        classes = [row.name for row in comparison.classes]
        blocks.append(
            TableBlock(
                'errors_by_class',
                f'Where each class loses AP50: {shown.variant}',
                'dAP in percentage points by kind of error, from rare to frequent; the largest of a '
                'class in bold. Other variants: tables/errors_all.csv.',
                run_tables.class_error_table(shown, runs[0].result.taxonomy.classes, classes),
            )
        )
    return Section('errors', 'Where AP is lost', (*blocks, *missing_detections(runs)))


def missing_detections(runs: Sequence[Run]) -> list[Block]:
    """What is missing for errors and intervals, and how to make it; nothing if all is there."""
    lacking = [run for run in runs if not run.has_detections]
    if not lacking:
        return []
    blocks: list[Block] = [
        Paragraph(
            'Errors, confusions, calibration and intervals need the detections and the ground truth '
            'of all runs of a variant. Missing:'
        )
    ]
    points, commands = [], []
    for run in lacking:
        if run.test_set is None:
            points.append(
                (
                    run.name,
                    f'the annotation file {run.result.ann_file} is not where '
                    f'{run.source} says; start the report in the folder that the path is '
                    'relative to, or name the file with --ann-file.',
                )
            )
        else:
            what = run.result.detections_file or 'none named'
            points.append(
                (run.name, f'the detections ({what}) are not beside {run.source}; test it again:')
            )
            record = run.result.run
            commands.append(
                shlex.join(
                    [
                        'python',
                        'tools/test.py',
                        record.config or 'CONFIG',
                        record.checkpoint or 'CHECKPOINT',
                        '--out',
                        str(run.source),
                    ]
                )
            )
    blocks.append(Points(tuple(points)))
    if commands:
        blocks.append(Command('\n'.join(commands)))
    return blocks


def confusion_sections(
    comparison: Comparison, analyses: Sequence[VariantAnalysis]
) -> list[Section]:
    """Which class is taken for which, by the baseline and by the best other variant."""
    if not analyses:
        return []
    shown = {
        one.variant: one.confusion
        for one in baseline_and_best(comparison, analyses)
        if one.confusion is not None
    }
    remarks = [Paragraph(f'Not shown: {remark}') for one in analyses for remark in one.remarks]
    if not shown:
        return [Section('confusion', 'Which class is taken for which', tuple(remarks))]
    first = next(iter(shown.values()))
    blocks: list[Block] = [
        Points(tuple((name, _confusion_words(confusion)) for name, confusion in shown.items()))
    ]
    for place, (name, confusion) in enumerate(shown.items()):
        role = 'baseline' if name == comparison.baseline else 'best'
        blocks.append(
            FigureBlock(
                f'confusion_{role}',
                f'Confusion matrix of {name}',
                'Percent of the boxes of a class (row) by what they are taken for; classes of one '
                f'superclass stand together, framed. Detections of score {first.min_score:g} or more, '
                f'IoU {first.iou_thr:g} or more.'
                if not place
                else '',
                style.render(run_figures.confusion_matrix, confusion),
            )
        )
    if any(confusion.mistaken.any() for confusion in shown.values()):
        blocks.append(
            TableBlock(
                'confusions',
                'Most frequent confusions',
                'With several runs, the sum over them.',
                run_tables.confusion_table(shown),
            )
        )
    return [Section('confusion', 'Which class is taken for which', (*blocks, *remarks))]


def _confusion_words(confusion: Confusion) -> str:
    mistaken = int(confusion.mistaken.sum())
    if not mistaken:
        return 'no box is taken for another class.'
    if not any(block.stop - block.start > 1 for level in confusion.blocks for block in level):
        return f'{mistaken:,} boxes are taken for another class.'
    return (
        f'{mistaken:,} boxes are taken for another class, {share(confusion.share_within)} '
        f'of them for one of the same superclass; if each wrong class were equally likely, it '
        f'would be {share(confusion.chance_within)}.'
    )


def calibration_sections(analyses: Sequence[VariantAnalysis]) -> list[Section]:
    """How scores and shares of hits agree; nothing where that cannot be measured."""
    known = [one for one in analyses if one.score_ranges]
    if not known:
        return []
    return [
        Section(
            'calibration',
            'How far scores can be trusted',
            (
                FigureBlock(
                    'calibration',
                    'Share of hits by score',
                    'Detections in ten ranges of score. Below the dashed line a detector believes '
                    'too much in its boxes.',
                    style.render(run_figures.calibration, known),
                ),
                TableBlock(
                    'calibration',
                    'Expected calibration error',
                    'Mean gap between score and share of hits over all detections, in percentage '
                    'points; most detections have low scores, which weigh most.',
                    run_tables.calibration_table(known),
                    run_tables.calibration_data(known),
                ),
            ),
        )
    ]


def baseline_and_best(
    comparison: Comparison, analyses: Sequence[VariantAnalysis]
) -> list[VariantAnalysis]:
    """Of those analyzed, the baseline and the variant of highest AP that is another."""
    by_name = {one.variant: one for one in analyses}
    others = [
        variant
        for variant in comparison.variants
        if variant.name in by_name and variant.name != comparison.baseline
    ]
    names = [comparison.baseline] if comparison.baseline in by_name else []
    if others:
        names.append(best_of(others).name)
    return [by_name[name] for name in names]
