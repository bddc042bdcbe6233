"""A report on runs, or on the paper alone: which sections it has, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mmdet_multigrain.evaluation.functional.protocols import SUPERCLASS
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization.palette import superclass_colors

from . import claims, diagnostic_sections, sections, tables
from .answers import AnswerComparison
from .comparison import Comparison, compare_paper
from .diagnostics import VariantDiagnostics
from .document import Document, FigureBlock, Points, Section, TableBlock
from .measures import class_key
from .paper import DATASETS, Paper
from .run import Run
from .summary import doubt_points, error_points, summary_points, summary_table
from .tables import PaperReference
from .texts import section, table_block, text


def runs_document(
    runs: Sequence[Run],
    comparison: Comparison,
    diagnostics: Sequence[VariantDiagnostics],
    answers: AnswerComparison | None = None,
    *,
    paper: Paper | None = None,
) -> Document:
    """The report on runs, compared with the paper's numbers if given.

    `diagnostics` and `answers` are those of the variants that have detections.

    Raises:
        ReportError: Runs and paper have no class in common.
    """

    def is_other(variant: str) -> bool:
        return variant != comparison.baseline

    # The baseline comes first everywhere, as in the paper.
    runs = sorted(runs, key=lambda run: is_other(run.variant))
    diagnostics = sorted(diagnostics, key=lambda one: is_other(one.variant))
    variants = sorted(comparison.variants, key=lambda variant: is_other(variant.name))
    comparison = dataclasses.replace(comparison, variants=tuple(variants))
    summary, taxonomy = runs[0].result.summary, runs[0].result.taxonomy
    reference = paper and match_paper(paper, taxonomy, source=runs[0].source)
    data = _data(comparison)
    if diagnostics:
        data['errors_all'] = tables.errors_data(diagnostics, taxonomy.classes)
    if answers is not None and answers.comparison.others:
        data['answer_gains_all'] = tables.gains_data(answers.comparison)
    shown = diagnostic_sections.shown_variants(comparison, diagnostics)
    doubts, findings = doubt_points(runs), [*summary_points(comparison), *error_points(shown)]
    summary_blocks = [
        *([Points(doubts)] if doubts else []),
        _summary_block(comparison, reference),
        *([Points(findings)] if findings else []),
    ]
    parts = [
        section('summary', summary_blocks),
        sections.run_section(runs, comparison),
        sections.overall_section(comparison, reference),
        sections.gain_section(comparison, reference),
        sections.class_section(comparison, superclass_colors(taxonomy), reference),
        diagnostic_sections.error_section(runs, comparison, diagnostics),
        diagnostic_sections.answer_section(runs, answers),
        diagnostic_sections.confusion_section(comparison, diagnostics),
        diagnostic_sections.calibration_section(diagnostics),
        paper and sections.paper_section(paper),
        sections.reading_section(comparison, data, protocol=summary.protocol),
    ]
    names = [variant.name for variant in variants]
    boxes = sum(row.val_boxes for row in summary.fine.classes)
    return Document(
        title=f'Report: {", ".join(names) if len(names) < 6 else f"{len(names)} variants"}',
        detail=f'{len(runs)} runs on {summary.num_images:,} images with {boxes:,} boxes of '
        f'{taxonomy.num_classes} classes; AP in percent, gains over {comparison.baseline}.',
        sections=[_with_protocol(part, summary.protocol) for part in parts if part is not None],
        data=data,
    )


def _with_protocol(part: Section, protocol: str) -> Section:
    """The section, with the protocol of each table and figure in its note."""
    blocks = []
    for block in part.blocks:
        if isinstance(block, TableBlock | FigureBlock) and block.name != 'runs':
            of = SUPERCLASS if block.name.startswith('superclasses') else protocol
            note = f'{text("protocol", protocol=of)} {block.note}'.strip()
            block = dataclasses.replace(block, note=note)
        blocks.append(block)
    return dataclasses.replace(part, blocks=blocks)


def paper_document(paper: Paper) -> Document:
    """A report on the paper's numbers alone."""
    comparison = compare_paper(paper)
    data = _data(comparison)
    return Document(
        title=f"The paper's numbers on {DATASETS[paper.dataset]}",
        detail=text('paper_detail', paper=sections.PAPER),
        sections=[
            section('summary', [_summary_block(comparison)]),
            sections.overall_section(comparison),
            sections.gain_section(comparison),
            sections.class_section(comparison, superclass_colors(paper.taxonomy)),
            sections.paper_section(paper),
            sections.reading_section(comparison, data),
        ],
        data=data,
    )


def match_paper(paper: Paper, taxonomy: Taxonomy, *, source: object) -> PaperReference:
    """Match the paper's classes to ours by name and alias on both sides.

    Raises:
        ReportError: There is no class in common.
    """
    comparison = compare_paper(paper)
    advice = 'which the paper compares; leave --paper out, or name the other data set'
    labels = paper.labels_in(taxonomy, source=source, advice=advice)
    ours = {name: class_key(taxonomy.classes[label]) for name, label in labels.items()}
    keys = {ours[row.name]: row.key for row in comparison.classes if row.name in ours}
    return PaperReference(comparison, keys)


def _summary_block(comparison: Comparison, reference: PaperReference | None = None) -> TableBlock:
    keys = [row.key for row in comparison.classes]
    if comparison.others:
        in_ap = claims.legend(comparison, ['AP'])
        note = text('in_short', baseline=comparison.baseline, in_ap=in_ap)
        if comparison.over_seeds:
            note += ' ' + claims.chance(comparison, keys, 'chance_of_classes')
    else:
        note = text('scores_in_short')
    return table_block('summary', summary_table(comparison, reference), note=note)


def _data(comparison: Comparison) -> dict[str, tables.Table]:
    """The tables of all numbers, by name."""
    data = {'scores': tables.scores_data(comparison)}
    if comparison.others:
        data['gains_all'] = tables.gains_data(comparison)
    return data
