"""Report on runs: python tools/analysis_tools/report.py RUN... --out DIR [--paper df2|oiv4c]

A run is a work dir with a result.json, such a file, or detections in COCO's results format
(DETECTIONS.json:GROUND_TRUTH.json, or --ann-file), also of other frameworks; NAME= before it names
its variant. Writes report.html (one file, opens offline), report.md, tables/ (CSV, LaTeX) and
figures/ (PNG, SVG). --paper adds the numbers of arXiv 2101.06770; without runs, shows them alone.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.report.runs.document import Document
    from mmdet_multigrain.report.runs.paper import DATASETS, load_paper
    from mmdet_multigrain.utils.errors import ReportError
    from mmdet_multigrain.utils.files import write_whole
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

RESAMPLES = 2000


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Report on runs')
    launch.add_runs(parser, nargs='*')
    parser.add_argument(
        '--baseline',
        metavar='VARIANT',
        help='what gains are over; default: the variant called baseline..., else the first',
    )
    parser.add_argument(
        '--paper', choices=DATASETS, help="the paper's numbers on this data set, too"
    )
    parser.add_argument(
        '--train-ann-file',
        type=Path,
        metavar='TRAIN.json',
        help='whose boxes say which classes are rare, for runs that are only detections',
    )
    parser.add_argument(
        '--max-dets',
        type=launch.whole_number(1),
        metavar='N',
        help='limit on detections per image and class, for runs that are only detections; '
        "default: that of the first result, else COCO's 100",
    )
    launch.add_level(
        parser, help='compare runs that are only detections by groups instead of classes'
    )
    parser.add_argument(
        '--resamples',
        type=launch.whole_number(0),
        default=RESAMPLES,
        metavar='N',
        help=f'of the bootstrap over images; default: {RESAMPLES}',
    )
    parser.add_argument('--seed', type=launch.whole_number(0), default=0, help='of the bootstrap')
    parser.add_argument('--no-bootstrap', action='store_true', help='no intervals; quick')
    return parser.parse_args()


def check_folder(out: Path) -> None:
    """Raise where nothing can be written, before the long work."""
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise ReportError(f'{out}: cannot be made, {existing} is a file; name another folder')
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ReportError(
            f'{out}: cannot be written, {existing} is not yours to write in; name another folder'
        )


def make_document(args: argparse.Namespace) -> Document:
    """The report on the runs, or on the paper alone."""
    # Here, because matplotlib and the evaluation take seconds to load; the evaluation loads mmdet,
    # where it is installed, which prints lines that concern nobody.
    with launch.quiet_imports():
        from mmdet_multigrain.report.runs.answers import compare_answers
        from mmdet_multigrain.report.runs.comparison import compare
        from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
        from mmdet_multigrain.report.runs.load import load_runs
        from mmdet_multigrain.report.runs.names import find_variant, shorten_variants
        from mmdet_multigrain.report.runs.report import match_paper, paper_document, runs_document
        from mmdet_multigrain.visualization.style import warn_of_missing_letters

    paper = None if args.paper is None else load_paper(args.paper)
    if not args.runs:
        return paper_document(paper)
    files = {'ann_file': args.ann_file, 'train_ann_file': args.train_ann_file}
    options = {'taxonomy': args.taxonomy, 'max_dets': args.max_dets, 'level': args.level}
    loaded = load_runs(args.runs, **options, **files)
    runs = shorten_variants(loaded)
    baseline = args.baseline and find_variant(args.baseline, loaded, runs)
    taxonomy = runs[0].result.taxonomy
    if paper is not None:
        match_paper(paper, taxonomy, source=runs[0].source)  # refused now, not after the bootstrap
    variants = (run.variant for run in runs)
    warn_of_missing_letters((*taxonomy.classes, *taxonomy.group_names(0), *variants))
    resamples = 0 if args.no_bootstrap else args.resamples
    options = {'resamples': resamples, 'seed': args.seed, 'progress': True}
    comparison = compare(runs, baseline=baseline, **options)
    diagnostics = diagnose_variants(runs, progress=True)
    answers = compare_answers(runs, comparison, seed=args.seed, progress=True)
    return runs_document(runs, comparison, diagnostics, answers, paper=paper)


def main() -> None:
    args = parse_args()
    if not args.runs and args.paper is None:
        raise ReportError(
            'no run named; give work dirs or result files, or --paper '
            f'{"|".join(DATASETS)} for the numbers of the paper'
        )
    check_folder(args.out)
    main_files = [args.out / 'report.html', args.out / 'report.md']
    replace = args.force or all(path.is_file() for path in main_files)
    launch.check_outputs(main_files, replace=replace)
    document = make_document(args)

    from mmdet_multigrain.report.runs.render import render_files, render_text

    files = render_files(document)
    launch.check_outputs([args.out / name for name in files], replace=replace)
    for name in sorted(files, key=lambda name: '/' not in name):  # the report itself comes last
        write_whole(args.out / name, files[name])
    print(render_text(document.sections[0]))
    print(
        f'\nwritten to {args.out}: report.html, report.md, and {len(files) - 2} files in tables '
        'and figures'
    )


if __name__ == '__main__':
    launch.run_tool(main)
