"""Sections of a report that need detections: errors, confusions, calibration.

Where detections are missing, they say which ones and give the command that writes them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mmdet_multigrain.evaluation.functional.confusion import Confusion
from mmdet_multigrain.visualization import style

from . import figures, tables
from .comparison import Comparison
from .diagnostics import VariantDiagnostics
from .document import Block, Command, FigureBlock, Paragraph, Points, Section, TableBlock
from .formats import share
from .run import Run
from .summary import best_of


def error_section(
    runs: Sequence[Run], comparison: Comparison, diagnostics: Sequence[VariantDiagnostics]
) -> Section:
    """What each kind of error costs, in sum and by class."""
    blocks = _error_blocks(runs, comparison, diagnostics) if diagnostics else []
    return Section('errors', 'Where AP is lost', [*blocks, *_missing_detections(runs)])


def _error_blocks(
    runs: Sequence[Run], comparison: Comparison, diagnostics: Sequence[VariantDiagnostics]
) -> list[Block]:
    mean = ' Means over the runs.' if any(one.num_runs > 1 for one in diagnostics) else ''
    note = (
        'dAP: rise in AP50 if the errors of that kind alone were fixed. The kinds are '
        "TIDE's, those of a wrong class split by superclass. Rises do not add up to the loss."
    )
    if not comparison.superclasses:
        note += ' Nothing is grouped here: each class is its own superclass.'
    shown = shown_variants(comparison, diagnostics)[-1]
    order = [row.name for row in comparison.classes]
    return [
        FigureBlock(
            'errors',
            'Where AP50 is lost',
            f'{note}{mean}',
            style.render(figures.error_kinds, diagnostics),
        ),
        TableBlock(
            'errors',
            'Errors by kind',
            f'dAP in percentage points.{mean}',
            tables.error_table(diagnostics),
        ),
        TableBlock(
            'errors_by_class',
            f'Where each class loses AP50: {shown.variant}',
            'dAP in percentage points by kind of error, from rare to frequent; the largest of a '
            'class in bold. Other variants: tables/errors_all.csv.',
            tables.class_error_table(shown, runs[0].result.taxonomy.classes, order),
        ),
    ]


def _missing_detections(runs: Sequence[Run]) -> list[Block]:
    """What is missing for errors and intervals, and how to get it; empty if nothing is."""
    lacking = [run for run in runs if not run.has_detections]
    if not lacking:
        return []
    text = (
        'Errors, confusions, calibration and intervals need the detections and the ground truth '
        'of all runs of a variant. Missing:'
    )
    points, commands = [], []
    for run in lacking:
        if run.test_set is None:
            missing = (
                f'the annotation file {run.result.ann_file} is not where {run.source} says; start '
                'the report in the folder that the path is relative to, or name the file with '
                '--ann-file.'
            )
        else:
            file = run.result.detections_file or 'none named'
            missing = f'the detections ({file}) are not beside {run.source}; test it again:'
            record = run.result.run
            files = record.config or 'CONFIG', record.checkpoint or 'CHECKPOINT'
            command = ['python', 'tools/test.py', *files, '--out', str(run.source)]
            commands.append(shlex.join(command))
        points.append((run.name, missing))
    return [Paragraph(text), Points(points), *([Command('\n'.join(commands))] if commands else [])]


def confusion_section(
    comparison: Comparison, diagnostics: Sequence[VariantDiagnostics]
) -> Section | None:
    """Confusions of the baseline and the best other variant; None without diagnostics."""
    if not diagnostics:
        return None
    shown = {
        one.variant: one.confusion
        for one in shown_variants(comparison, diagnostics)
        if one.confusion is not None
    }
    blocks = _confusion_blocks(comparison, shown) if shown else []
    remarks = [Paragraph(f'Not shown: {remark}') for one in diagnostics for remark in one.remarks]
    return Section('confusion', 'Which class is taken for which', [*blocks, *remarks])


def _confusion_blocks(comparison: Comparison, shown: dict[str, Confusion]) -> list[Block]:
    first = next(iter(shown.values()))
    note = (
        'Percent of the boxes of a class (row) by what they are taken for; classes of one '
        f'superclass stand together, framed. Detections of score {first.min_score:g} or more, '
        f'IoU {first.iou_thr:g} or more.'
    )
    blocks: list[Block] = [
        Points([(name, _confusion_sentence(confusion)) for name, confusion in shown.items()])
    ]
    for name, confusion in shown.items():
        role = 'baseline' if name == comparison.baseline else 'best'
        contents = style.render(figures.confusion_matrix, confusion)
        title = f'Confusion matrix of {name}'
        blocks.append(FigureBlock(f'confusion_{role}', title, note, contents))
        note = ''
    if any(confusion.mistaken.any() for confusion in shown.values()):
        blocks.append(
            TableBlock(
                'confusions',
                'Most frequent confusions',
                'With several runs, the sum over them.',
                tables.confusion_table(shown),
            )
        )
    return blocks


def _confusion_sentence(confusion: Confusion) -> str:
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


def calibration_section(diagnostics: Sequence[VariantDiagnostics]) -> Section | None:
    """How well scores match precision; None where that cannot be measured."""
    known = [one for one in diagnostics if one.score_bins]
    if not known:
        return None
    return Section(
        'calibration',
        'How far scores can be trusted',
        [
            FigureBlock(
                'calibration',
                'Share of hits by score',
                'Detections in ten ranges of score. Below the dashed line a detector believes too '
                'much in its boxes.',
                style.render(figures.calibration, known),
            ),
            TableBlock(
                'calibration',
                'Expected calibration error',
                'Mean gap between score and share of hits over all detections, in percentage '
                'points; most detections have low scores, which weigh most.',
                tables.calibration_table(known),
                tables.calibration_data(known),
            ),
        ],
    )


def shown_variants(
    comparison: Comparison, diagnostics: Sequence[VariantDiagnostics]
) -> list[VariantDiagnostics]:
    """The baseline, and the other variant of highest AP, as far as they have diagnostics."""
    by_name = {one.variant: one for one in diagnostics}
    others = [variant for variant in comparison.others if variant.name in by_name]
    names = [comparison.baseline, *([best_of(others).name] if others else [])]
    return [by_name[name] for name in names if name in by_name]
