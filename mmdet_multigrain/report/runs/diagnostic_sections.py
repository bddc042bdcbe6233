"""Sections of a report that need detections: errors, answers, confusions, calibration.

Where detections are missing, they say which ones and give the command that writes them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from . import claims, figures, tables
from .answers import AnswerComparison, answer_table
from .comparison import Comparison
from .diagnostics import VariantDiagnostics
from .document import Block, Command, Paragraph, Points, Section
from .formats import share
from .measures import DIFFERENCE
from .run import Run
from .summary import best_of
from .texts import figure_block, section, table_block, text


def error_section(
    runs: Sequence[Run], comparison: Comparison, diagnostics: Sequence[VariantDiagnostics]
) -> Section:
    """What each kind of error costs, in sum and by class."""
    blocks: list[Block] = []
    if diagnostics:
        mean = text('mean_over_runs') if any(one.num_runs > 1 for one in diagnostics) else ''
        values = {'mean': mean, 'ungrouped': '' if comparison.superclasses else text('ungrouped')}
        shown = shown_variants(comparison, diagnostics)[-1]
        others = text('other_errors') if len(diagnostics) > 1 else ''
        labels = runs[0].result.taxonomy.classes
        by_class = tables.class_error_table(shown, labels, comparison.classes)
        blocks = [
            figure_block('errors', figures.error_kinds, diagnostics, **values),
            table_block('errors', tables.error_table(diagnostics), **values),
            table_block('errors_by_class', by_class, variant=shown.variant, others=others),
        ]
    return section('errors', [*blocks, *_missing_detections(runs)])


def _missing_detections(runs: Sequence[Run]) -> list[Block]:
    """What is missing for errors and intervals, and how to get it; empty if nothing is."""
    points, commands = [], []
    for run in (run for run in runs if not run.has_detections):
        if run.test_set is None:
            missing = text('missing_truth', file=run.result.ann_file, source=run.source)
        else:
            file = run.result.detections_file or 'none named'
            missing = text('missing_detections', file=file, source=run.source)
            commands.append(_test_command(run))
        points.append((run.name, missing))
    blocks = [Paragraph(text('missing')), Points(points)] if points else []
    return blocks + [Command('\n'.join(commands))] * bool(commands)


def _test_command(run: Run) -> str:
    """The command that tests a run again, with the options of its test where they are known."""
    record = run.result.run
    files = record.config or 'CONFIG', record.checkpoint or 'CHECKPOINT'
    command = record.command or shlex.join(['tools/test.py', *files])
    if not any(word == '--out' or word.startswith('--out=') for word in command.split()):
        command += f' --out {shlex.quote(str(run.source))}'
    return f'python {command}'


def answer_section(runs: Sequence[Run], answers: AnswerComparison | None) -> Section | None:
    """Errors along the taxonomy, and accuracy against specificity where lineages are known."""
    if answers is None:
        return None
    what, baseline = answers.comparison, answers.comparison.baseline
    keys = [metric.key for metric in what.metrics]
    curves = text('answer_curves') if answers.with_lineages else ''
    note = {'min_score': f'{answers.min_score:.3g}', 'curves': curves}
    blocks = [
        figure_block('answers', figures.answers, answers, **note),
        table_block('answers', answer_table(what), spread=text('spread') * what.has_seeds),
    ]
    if what.others:
        table = tables.gain_table(what, DIFFERENCE)
        legend = claims.note(what, keys)
        blocks.append(table_block('answer_gains', table, baseline=baseline, legend=legend))
    return section('answers', [*blocks, *_missing_lineages(runs, answers)])


def _missing_lineages(runs: Sequence[Run], answers: AnswerComparison) -> list[Block]:
    """Which variants lack lineages, and the commands that write them, as far as they are known."""
    missing = [name for name in answers.matched if name not in answers.with_lineages]
    if not missing:
        return []
    runs = [run for run in runs if run.variant in missing and run.detections.lineages is None]
    commands = [
        f'python {command} --lineages'
        for command in (run.result.run.command for run in runs)
        if command and '--tta' not in command
    ]
    sentence = text('missing_lineages', variants=', '.join(missing))
    return [Paragraph(sentence), *[Command('\n'.join(commands))] * bool(commands)]


def confusion_section(
    comparison: Comparison, diagnostics: Sequence[VariantDiagnostics]
) -> Section | None:
    """Confusions of the baseline and the best other variant; None without diagnostics."""
    if not diagnostics:
        return None
    variants = shown_variants(comparison, diagnostics)
    shown = {one.variant: one for one in variants if one.confusion is not None}
    sentences = [(name, confusion_sentence(one)) for name, one in shown.items()]
    blocks: list[Block] = [Points(sentences)] if shown else []
    for number, (name, one) in enumerate(shown.items()):
        which = 'baseline' if name == comparison.baseline else 'best'
        reading = text('matrix') + (text('frames') if _has_groups(one) else '')
        look = {'file': f'confusion_{which}', 'variant': name}
        look['reading'] = '' if number else reading  # said once
        limits = {'min_score': _min_score(one), 'iou_thr': one.confusion.iou_thr}
        drawing = figures.confusion_matrix, one.confusion
        blocks.append(figure_block('confusion', *drawing, **look, **limits))
    confusions = {name: one.confusion for name, one in shown.items()}
    if any(confusion.mistaken.any() for confusion in confusions.values()):
        summed = text('summed') if any(one.num_runs > 1 for one in shown.values()) else ''
        table = tables.confusion_table(confusions)
        blocks.append(table_block('confusions', table, summed=summed))
    blocks += [Paragraph(f'Not shown: {remark}') for one in diagnostics for remark in one.remarks]
    return section('confusion', blocks)


def confusion_sentence(one: VariantDiagnostics) -> str:
    """How many boxes are taken for another class, and from which score that is counted."""
    confusion, at = one.confusion, f'at a score of {_min_score(one)} or more,'
    mistaken = int(confusion.mistaken.sum())
    if not confusion.counts[:, :-1].any():
        return 'there are no detections.'
    if not mistaken:
        return f'{at} no box is taken for another class.'
    verb = 'box is' if mistaken == 1 else 'boxes are'
    sentence = f'{at} {mistaken:,} {verb} taken for another class'
    if not _has_groups(one):
        return f'{sentence}.'
    return (
        f'{sentence}, {share(confusion.share_within)} of them for one of the same superclass; if '
        f'each wrong class were equally likely, it would be {share(confusion.chance_within)}.'
    )


def _has_groups(one: VariantDiagnostics) -> bool:
    """Whether any group has several classes."""
    return any(block.stop - block.start > 1 for level in one.confusion.blocks for block in level)


def _min_score(one: VariantDiagnostics) -> str:
    """The lowest score that counts; of several runs, the range."""
    low, high = (f'{end:.3g}' for end in (min(one.min_scores), max(one.min_scores)))
    return low if low == high else f'{low} to {high} (by run)'


def calibration_section(diagnostics: Sequence[VariantDiagnostics]) -> Section | None:
    """How well scores match precision; None where that cannot be measured."""
    known = [one for one in diagnostics if one.score_bins]
    if not known:
        return None
    table, data = tables.calibration_table(known), tables.calibration_data(known)
    figure = figure_block('calibration', figures.calibration, known)
    return section('calibration', [figure, table_block('calibration', table, data)])


def shown_variants(
    comparison: Comparison, diagnostics: Sequence[VariantDiagnostics]
) -> list[VariantDiagnostics]:
    """The baseline, and the other variant of highest AP, as far as they have diagnostics."""
    by_name = {one.variant: one for one in diagnostics}
    others = [variant for variant in comparison.others if variant.name in by_name]
    names = [comparison.baseline, *([best_of(others).name] if others else [])]
    return [by_name[name] for name in names if name in by_name]
