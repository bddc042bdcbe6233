"""How specific may a detector's answers be? python tools/calibrate.py CONFIG CKPT --out theta.json

Detects on annotated photos and chooses the threshold with which at most 1 - ACCURACY of the answers
on a new photo are expected to be wrong; docs/answers.md says what that means. The file is for
tools/predict.py --hedge.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

try:
    import numpy as np

    from mmdet_multigrain import launch
    from mmdet_multigrain.coco.columns import CocoColumns
    from mmdet_multigrain.coco.files import load_coco
    from mmdet_multigrain.coco.split import GROUPINGS, group_images
    from mmdet_multigrain.evaluation.answer_calibration import AnswerCalibration, Seen, promise
    from mmdet_multigrain.evaluation.answers import AnswerRule
    from mmdet_multigrain.evaluation.functional.risk_control import ALWAYS_LEAF
    from mmdet_multigrain.utils.errors import AnnotationError, ConfigError, error_source
    from mmdet_multigrain.utils.nested import dicts
    from mmdet_multigrain.utils.table import Column, Table
    from mmdet_multigrain.visualization.palette import SCORE_THR
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

ACCURACIES = (0.8, 0.9, 0.95)  # for comparison


def share(text: str) -> float:
    value = launch.score(text)
    if value in (0, 1):
        raise argparse.ArgumentTypeError(f'{text!r} is not between 0 and 1')
    return value


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Choose how specific answers may be')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--accuracy', type=share, default=0.9, metavar='A', help='share of right answers (0.9)'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='file to write')
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='photos to calibrate on: validation (default) or test data of the config',
    )
    parser.add_argument(
        '--group-by',
        metavar='HOW',
        help=f'photos of one site or sequence, which are alike: {GROUPINGS} (what REGEX, or its first '
        'group, matches in the file name)',
    )
    parser.add_argument(
        '--calibrator',
        choices=['platt', 'isotonic', 'none'],
        default='platt',
        help='what makes probabilities of classes and groups comparable (platt)',
    )
    parser.add_argument(
        '--score-thr',
        type=launch.score,
        default=SCORE_THR,
        metavar='S',
        help=f'lowest score of detections that get an answer ({SCORE_THR}, as in predict.py)',
    )
    parser.add_argument(
        '--seed', type=launch.whole_number(0), default=0, help='of the parts of the photos (0)'
    )
    parser.add_argument(
        '--deals',
        type=launch.whole_number(2),
        metavar='N',
        help='also show the means over N deals of the photos, from --seed on: one deal has luck',
    )
    launch.add_common_arguments(parser)
    launch.add_force(parser)
    return parser.parse_args()


def load_config(args: argparse.Namespace):
    """The config of the test whose detections are matched."""
    cfg = launch.load_run_config(args, checkpoint=args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if 'module' in cfg.model:
        raise ConfigError(
            'test-time augmentation merges the detections of several views, so that none has the '
            'scores of one region; leave it out'
        )
    if cfg.get('eval_taxonomy') != cfg.get('taxonomy'):
        raise ConfigError('eval_taxonomy: answers are groups of the training; leave it out')
    if args.split == 'val':
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    given = next(dicts(cfg.test_evaluator))
    known = ('ann_file', 'backend_args', 'allow_missing', 'allow_unknown')
    kept = {key: given[key] for key in known if key in given}
    cfg.test_evaluator = dict(type='MatchMetric', score_thr=args.score_thr, **kept)
    ann_file, train = given.get('ann_file'), given.get('train_ann_file')
    if ann_file and launch.same_path(ann_file, train or ''):
        raise ConfigError(
            f'{ann_file}: what the detector was trained on promises nothing for new photos; '
            'calibrate on photos that were held back (val_ann)'
        )
    return cfg


def clusters_of(ann_file: str | None, grouping: str) -> dict[Any, int]:
    """The cluster of each photo, by id."""
    if ann_file is None:
        raise ConfigError('--group-by needs an annotation file; give the evaluator its ann_file')
    with error_source(ann_file, AnnotationError):
        coco = CocoColumns(load_coco(ann_file).content)
        numbers = group_images(coco, grouping)
    return {image.get('id'): number for image, number in zip(coco.images, numbers, strict=True)}


def chosen_on(cfg, scoring: Mapping[str, Any]) -> list[str]:
    """What is known of the photos that checkpoint and fusion were chosen on."""
    name = Path(scoring['name']).name
    val_ann, these = (
        next(dicts(cfg.get(key)), {}).get('ann_file') for key in ('val_evaluator', 'test_evaluator')
    )
    worse = 'new ones may be a little worse'
    if not name.startswith('best_'):
        lines = [f'{name}: its name does not say that a validation chose it']
    elif not (val_ann and these):
        unknown = 'nothing tells on which photos it was chosen as the best (no ann_file)'
        lines = [f'{name}: {unknown}; if on these, {worse}']
    elif launch.same_path(val_ann, these):
        lines = [f'{name}: chosen as the best on these photos, so {worse}']
    else:
        lines = [f'{name}: chosen as the best on {val_ann}, not on these photos']
    if fusion := scoring['fusion']:
        unknown = 'nothing tells on which photos it was chosen'
        lines.append(f'fusion {dict(fusion)}: {unknown}; if on these, {worse}')
    return lines


def size_table(calibration: AnswerCalibration) -> Table:
    """How much each part of the photos has."""
    sizes = calibration.sizes
    numbers = [Column(name.replace('_', ' ')) for name in sizes['check']]
    rows = [[name, *size.values()] for name, size in sizes.items()]
    return Table([Column('part', left=True), *numbers], rows)


def answer_table(calibration: AnswerCalibration, accuracies: Sequence[float]) -> Table:
    """Promised, seen and how specific, for several shares of right answers."""
    rows = [('always the class', None, None, Seen.on(calibration.parts['check'], ALWAYS_LEAF))]
    for accuracy in accuracies:
        rule, seen = calibration.at(accuracy)
        rows.append((f'{accuracy:.4g}', rule.theta, 1 - accuracy, seen))
    columns = [Column('accuracy', left=True), Column('theta', form='.4f')]
    columns += [*_percents('wrong at most', 'seen'), Column('95% interval')]
    columns += _percents(*_level_names(calibration))
    return Table(columns, [[*first, *_cells(seen)] for *first, seen in rows])


def deals_table(deals: Sequence[AnswerCalibration], accuracies: Sequence[float]) -> Table:
    """The means of what several deals of the same photos show."""
    checks = [deal.parts['check'] for deal in deals]
    rows = [('always the class', None, [Seen.on(check, ALWAYS_LEAF) for check in checks])]
    rows += [(f'{one:.4g}', 1 - one, [deal.at(one)[1] for deal in deals]) for one in accuracies]
    names = 'wrong at most', 'seen', 'SD of deals', *_level_names(deals[0])
    columns = [Column('accuracy', left=True), *_percents(*names)]
    return Table(columns, [[*first, *_means(seen)] for *first, seen in rows])


def _percents(*names: str) -> list[Column]:
    return [Column(name, form='.1%') for name in names]


def _level_names(calibration: AnswerCalibration) -> list[str]:
    levels = calibration.rule.taxonomy.num_levels
    groups = ['group'] if levels == 2 else [f'level {n}' for n in reversed(range(levels - 1))]
    return ['class', *groups, 'object']


def _means(seen: Sequence[Seen]) -> list[Any]:
    matched = [one for one in seen if not math.isnan(one.wrong)]
    if not matched:
        return [None] * (2 + len(seen[0].shares))
    wrong = [one.wrong for one in matched]
    return [np.mean(wrong), np.std(wrong), *np.mean([one.shares for one in matched], axis=0)]


def _cells(seen: Seen) -> list[Any]:
    if math.isnan(seen.wrong):
        return [None] * (2 + len(seen.shares))
    return [seen.wrong, f'{seen.low:.1%} - {seen.high:.1%}', *seen.shares]


def summary(calibration: AnswerCalibration, rule: AnswerRule, chosen: Sequence[str]) -> str:
    """All that a user has to know of a rule."""
    lines = [
        f'{size_table(calibration).text()}\n',
        f'{answer_table(calibration, sorted({*ACCURACIES, rule.accuracy})).text()}\n',
        rule.reason or rule.promise,
        'Matches to boxes of which only the superclass is known, or of classes that are not '
        'annotated, are left out at every threshold.',
        *chosen,
    ]
    if rule.seen and rule.seen['low'] > 1 - rule.accuracy:
        lines.append(
            'the check shows more wrong answers than promised: if photos of one site or sequence are '
            'alike, keep them together (--group-by)'
        )
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    launch.escape_unknown_letters()
    launch.check_checkpoint(args.checkpoint)
    with launch.quiet_imports():
        from mmdet_multigrain.engine import MultigrainRunner, trust_checkpoints
        from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
        from mmdet_multigrain.engine.checkpoint.scoring import scoring_of
        from mmdet_multigrain.engine.runner.resolver import leaf_datasets
        from mmdet_multigrain.engine.runner.test_level import set_lineages

    with trust_checkpoints(args.trust_checkpoint):
        cfg = load_config(args)
        ann_file = cfg.test_evaluator.get('ann_file')
        inputs = args.config, args.checkpoint, ann_file
        launch.check_outputs([args.out], inputs=inputs, replace=args.force)
        cluster_of = args.group_by and clusters_of(ann_file, args.group_by)
        scoring = scoring_of(args.checkpoint, read_checkpoint(args.checkpoint), cfg.model)
        chosen = chosen_on(cfg, scoring)
        set_lineages(cfg, leaf_datasets(cfg.test_dataloader.dataset))
        runner = MultigrainRunner.from_cfg(cfg)
        runner.test()
    metric = runner.test_evaluator.metrics[0]
    if metric.matches is None:  # another process has them
        return
    clusters = cluster_of and np.array([cluster_of[one] for one in metric.image_ids])
    options = dict(num_photos=len(metric.image_ids), clusters=clusters, calibrator=args.calibrator)
    calibrate = partial(AnswerCalibration, metric.matches, metric.taxonomy, **options)
    calibration = calibrate(seed=args.seed)
    name = ann_file and Path(ann_file).name
    photos = {'ann_file': name, 'grouping': args.group_by, 'seed': args.seed}
    photos |= {'parts': calibration.sizes, 'chosen': chosen}
    text = promise(args.accuracy, score_thr=args.score_thr, grouping=args.group_by)
    facts = dict(checkpoint=scoring, score_thr=args.score_thr, photos=photos, promise=text)
    rule, _ = calibration.at(args.accuracy, **facts)
    print(summary(calibration, rule, chosen))
    if args.deals:
        deals = [calibrate(seed=args.seed + number) for number in range(args.deals)]
        table = deals_table(deals, sorted({*ACCURACIES, args.accuracy}))
        print(f'\nmeans over {args.deals} deals of these photos:\n{table.text()}')
    rule.save(args.out)
    print(f'{args.accuracy:.4g} -> {args.out}')


if __name__ == '__main__':
    launch.run_tool(main)
