"""Pictures of runs: python tools/analysis_tools/browse.py RUN... --out DIR [--images DIR] ...

Draws the photos on which the runs differ most, side by side with the ground truth, and for each
run and kind of error the highest-scoring detections or the largest missed boxes. DIR/index.html
shows them all and opens offline; DIR/index.csv lists every box that is drawn. With --hedge, of runs
that were tested with --lineages, they show what detections are answered with. A RUN is a work dir,
a result.json, or detections in COCO's results format (DETECTIONS.json:GROUND_TRUTH.json).
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from mmdet_multigrain import launch
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

if TYPE_CHECKING:
    from mmdet_multigrain.evaluation.answers import AnswerRule
    from mmdet_multigrain.report.runs.run import Run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Pictures of runs')
    launch.add_runs(parser, nargs='+')
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the photos; default: the one that the runs were tested on',
    )
    parser.add_argument(
        '--score-thr',
        type=launch.number(math.isfinite, 'a score'),
        metavar='S',
        help='lowest score that counts; default: for each run, the score that keeps as many '
        'detections as there are boxes',
    )
    parser.add_argument(
        '--num',
        type=launch.whole_number(0, 1000),
        default=24,
        metavar='N',
        help='photos side by side, at most (24)',
    )
    parser.add_argument(
        '--per-kind',
        type=launch.whole_number(0, 100),
        default=12,
        metavar='N',
        help='pictures of each kind of error of a run, at most (12)',
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='CLASS',
        help='show only what is predicted as, or truly is, one of these classes or superclasses',
    )
    launch.add_hedge(parser)
    parser.add_argument(
        '--width',
        type=launch.whole_number(120, 2000),
        default=480,
        metavar='PIXELS',
        help='of a photo on a picture (480)',
    )
    parser.add_argument(
        '--blur-faces',
        action='store_true',
        help='blur what OpenCV takes for faces; it misses some, so look at every '
        'picture before you publish it',
    )
    return parser.parse_args()


def check_detector(rule: AnswerRule, run: Run) -> None:
    """Refuse a calibrated rule of other weights, and say what is not known.

    The fusion would be in the config of the run, which is not loaded here: it is code.

    Raises:
        EvaluationError: It is of other weights.
    """
    from mmdet_multigrain.utils.errors import CheckpointError

    checkpoint = run.result.run.checkpoint
    unknown = f'{rule.source}: not checked whether it is of the detector of {run.source}'
    try:
        if not (checkpoint and Path(checkpoint).is_file()):
            raise CheckpointError(f'checkpoint {checkpoint or "unknown"}: no such file')
        with launch.quiet_imports():
            from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
            from mmdet_multigrain.engine.checkpoint.scoring import scoring_of
        scoring = scoring_of(checkpoint, read_checkpoint(checkpoint), {})
    except (CheckpointError, ImportError) as error:
        print(f'{unknown} ({error})')
        return
    fusion = rule.checkpoint.get('fusion')
    rule.check(run.result.taxonomy, {**scoring, 'fusion': fusion})
    print(f'{unknown} with the same fusion ({fusion}); its weights are the same')


def main() -> None:
    args = parse_args()

    # Here, because they take seconds to load; MMDetection, where it is installed, is not silent.
    with launch.quiet_imports():
        from mmdet_multigrain.evaluation.answers import AnswerRule
        from mmdet_multigrain.report.gallery.browse import Choice, browse
        from mmdet_multigrain.report.gallery.folder import INDEX, PAGE
        from mmdet_multigrain.report.gallery.photos import Photos, find_photos
        from mmdet_multigrain.report.runs.load import load_runs
        from mmdet_multigrain.report.runs.names import shorten_variants
        from mmdet_multigrain.utils.errors import ConfigError
        from mmdet_multigrain.visualization.style import warn_of_missing_letters

    main_files = [args.out / PAGE, args.out / INDEX]
    replace = args.force or all(path.is_file() for path in main_files)
    launch.check_outputs(main_files, replace=replace)
    runs = shorten_variants(load_runs(args.runs, ann_file=args.ann_file, taxonomy=args.taxonomy))
    for run in runs:
        if run.doubt:
            print(f'doubt about {run.name}: {run.doubt}')
    names = [*runs[0].result.taxonomy.classes, *(run.name for run in runs)]
    warn_of_missing_letters(names, what='pictures')
    photos = Photos(find_photos(runs, args.images), blur=args.blur_faces)
    rule = None
    if isinstance(args.hedge, str):
        rule = AnswerRule.load(args.hedge)
        if rule.checkpoint and len(runs) > 1:
            raise ConfigError(
                f'--hedge {args.hedge}: is for one detector; name its run only, or give a number'
            )
        if rule.checkpoint:
            check_detector(rule, runs[0])
    elif args.hedge is not None:
        rule = AnswerRule(args.hedge, runs[0].result.taxonomy)
    choice = Choice(args.score_thr, args.num, args.per_kind, args.classes, rule)
    folder = browse(runs, args.out, photos=photos, choice=choice, width=args.width, progress=True)
    if photos.problems.counts:
        print(photos.problems, file=sys.stderr)
    if args.blur_faces:
        print(
            f'blurred in {sum(map(bool, photos.faces.values()))} of {len(photos.faces)} photos; '
            'faces are missed, so look at every picture before you publish it'
        )
    print(f'{folder.num_written} pictures -> {args.out / PAGE}')


if __name__ == '__main__':
    launch.run_tool(main)
