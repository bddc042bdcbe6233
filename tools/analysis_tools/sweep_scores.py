"""Tune scores without training: python tools/analysis_tools/sweep_scores.py CONFIG CKPT [--out DIR]

Runs the detector once over a data set and keeps what it says of every RoI. Then tries fusions of its
levels and corrections for class counts, each as a test would give it, chooses by cross-fitting, and
prints the --cfg-options with which tools/test.py gives the same. Writes DIR/sweep.json.
"""

from __future__ import annotations

import argparse
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.utils.errors import CheckpointError, ConfigError
    from mmdet_multigrain.utils.nested import dicts, leaves
    from mmdet_multigrain.utils.progress import progress_bar
    from mmdet_multigrain.utils.table import Column, Table
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

GAMMAS = (0.25, 0.5, 0.75, 1.0)
COUNT_GAMMAS = (0.2, 0.4, 0.6)
CAPS = ((100, 100), (300, 100), (300, 300))
ROWS = 15  # of the table; the file has all
INTERRUPTED = 'interrupted; the same command continues (add --force if it has --out-checkpoint)'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Tune scores without training')
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='folder to write (sweep in the work folder)'
    )
    parser.add_argument(
        '--split', choices=('test', 'val'), default='test', help='data set of the config (test)'
    )
    gamma = launch.number(lambda value: 0 < value < math.inf, 'a number above 0')
    for name, values, what in (
        ('--gammas', GAMMAS, 'the fusions of levels'),
        ('--count-gammas', COUNT_GAMMAS, 'NorCal and logit adjustment'),
    ):
        shown = ' '.join(map(str, values))
        parser.add_argument(
            name, type=gamma, nargs='+', default=values, metavar='G', help=f'of {what} ({shown})'
        )
    parser.add_argument(
        '--out-checkpoint',
        type=Path,
        metavar='FILE',
        help='write the checkpoint with the training boxes of each class, which NorCal needs',
    )
    parser.add_argument(
        '--resamples',
        type=launch.whole_number(1),
        default=2000,
        metavar='N',
        help='of the bootstrap over images (2000)',
    )
    parser.add_argument('--seed', type=launch.whole_number(0), default=0, help='of the halves')
    launch.add_detector(parser)
    launch.add_force(parser)
    return parser.parse_args()


def load(args: argparse.Namespace) -> tuple[Any, Any]:
    """The config, and the evaluator of the data set."""
    from mmdet_multigrain.apis import roi_outputs

    cfg = launch.load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
    launch.set_work_dir(cfg, config_path=args.config, work_dir=None)
    evaluator = cfg.get(f'{args.split}_evaluator')
    kind = evaluator.get('type') if isinstance(evaluator, Mapping) else None
    if kind != 'MultiGrainedCocoMetric' or not evaluator.get('ann_file'):
        raise ConfigError(
            f'{args.split}_evaluator must be one MultiGrainedCocoMetric with an ann_file, to which '
            'scores are tuned'
        )
    if cfg.get('test_level') is not None:
        raise ConfigError(
            f'test_level={cfg.test_level!r}: scores of classes are tuned; leave it out'
        )
    for key, head in roi_outputs.head_configs(cfg.model):
        if 'fusion' in head:
            raise ConfigError(
                f'{key}.fusion is set: the sweep tries its own, and its --cfg-options would be merged '
                'into this one; leave it out'
            )
    return cfg, evaluator


def read_counts(args: argparse.Namespace, cfg: Any, head: Any) -> Mapping[str, Any] | None:
    """Training boxes of each class and where they are from, None if unknown; writes --out-checkpoint."""
    from mmdet_multigrain.apis.roi_outputs import head_names
    from mmdet_multigrain.engine.checkpoint.class_counts import find_counts, write_counts
    from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
    from mmdet_multigrain.engine.fingerprints import file_digest

    content = read_checkpoint(args.checkpoint)
    try:
        counts, source = find_counts(cfg, head.taxonomy, content, name=args.checkpoint)
    except CheckpointError as error:
        if args.out_checkpoint:
            raise
        print(f'{error}; without them there is no NorCal')
        return None
    print(f'training boxes of each class: of {source}')
    record = dict(counts=counts, source=source, checkpoint=args.checkpoint)
    record['checkpoint_digest'] = file_digest(args.checkpoint)
    if args.out_checkpoint:
        write_counts(content, args.out_checkpoint, head_names(cfg.model), record)
        print(f'the checkpoint with them -> {args.out_checkpoint}')
    return record


def make_sweep(
    args: argparse.Namespace, cfg: Any, evaluator: Any, head: Any, counts: Any, folder: Path
) -> Any:
    """What evaluates a fusion; the detector runs here."""
    from mmdet_multigrain.apis import roi_outputs, score_sweep
    from mmdet_multigrain.report.runs.inputs import TestSet

    outputs = roi_outputs.read_roi_outputs(
        cfg, args.checkpoint, folder, split=args.split, redo=args.force
    )
    lenient = evaluator.get('allow_missing', False) or evaluator.get('allow_unknown', False)
    train, train_counts = Path(evaluator.get('train_ann_file') or ''), None
    if train.is_file():
        train_counts = TestSet(train, outputs.taxonomy, lenient).annotations.training_counts()
    rcnn = cfg.model.test_cfg.rcnn
    own_cap = max(rcnn.max_per_img, 0), evaluator.get('max_dets', 100)
    return score_sweep.ScoreSweep(
        outputs,
        head.loss_cls,
        rcnn,
        TestSet(Path(evaluator.ann_file), outputs.taxonomy, lenient).boxes,
        caps=[score_sweep.Cap(*cap) for cap in dict.fromkeys((own_cap, *CAPS))],
        class_counts=counts and counts['counts'],
        train_counts=train_counts,
        class_sets=evaluator.get('class_sets') or {},
        evaluation={'engine': evaluator.get('engine', 'auto')},
    )


def percent(value: float | None, form: str = '.2f') -> str:
    return '-' if value is None or math.isnan(value) else format(100 * value, form)


def results_table(caps: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The fusions with the highest AP, and none."""
    best = sorted(rows[1:], key=lambda row: -row['numbers'][caps[0]]['AP'])[:ROWS]
    lines = []
    for row in (rows[0], *best):
        values = [*row['numbers'][caps[0]].values()]
        values += [row['numbers'][cap]['AP'] for cap in caps[1:]]
        lines.append([row['name'], *map(percent, (*values, *row['halves']))])
    titles = 'fusion', *(key.replace('_', ' ') for key in rows[0]['numbers'][caps[0]])
    titles = *titles, *(f'AP {cap}' for cap in caps[1:]), 'AP half A', 'AP half B'
    return Table([Column(title, left=title == 'fusion') for title in titles], lines).text()


def families(fusions: Sequence[Mapping[str, Any] | None]) -> dict[str, list[int]]:
    """Numbers of the fusions to choose among, each time with none, which is number 0."""
    found = {'all': [*range(len(fusions))]}
    for number, fusion in enumerate(fusions[1:], start=1):
        if not fusion.get('fusion'):
            found.setdefault(f'{fusion["type"]} alone', [0]).append(number)
    return found


def choose(
    args: argparse.Namespace, sweep: Any, fusions: Sequence[Any], rows: Sequence[Any], halves: Any
) -> tuple[dict[str, Any], str]:
    """The choice in each family by cross-fitting: for the file, and as a table."""
    import numpy as np

    from mmdet_multigrain.apis.score_sweep import cross_fit

    aps = np.array([row['halves'] for row in rows])
    fits = {name: cross_fit(aps, numbers) for name, numbers in families(fusions).items()}
    wanted = {0, *(one['chosen'] for fit in fits.values() for one in fit)}
    found = {number: sweep.detect(fusions[number]) for number in wanted}
    choices = [tuple(one['chosen'] for one in fit) for fit in fits.values()]
    gains = sweep.gains(found, choices, halves, resamples=args.resamples, seed=args.seed)
    content, lines = {}, []
    for (name, fit), (ap, gain) in zip(fits.items(), gains, strict=True):
        ends = [None if math.isnan(end) else float(end) for end in (gain.low, gain.high)]
        fit = [{**one, 'chosen': rows[one['chosen']]['name']} for one in fit]
        numbers = dict(mean_AP=ap, gain=float(gain.value), interval=ends)
        content[name] = {'halves': fit, **numbers}
        low, high = (percent(end, '+.2f') for end in ends)
        first, second = (
            [one['chosen'], *map(percent, (one['AP'], one['other'], one['off_other']))]
            for one in fit
        )
        lines.append([name, 'A', *first, '', '', ''])
        gained = percent(gain.value, '+.2f')
        lines.append(['', 'B', *second, percent(ap), gained, f'{low} to {high}'])
    titles = 'among', 'on half', 'chosen', 'AP there', 'AP on other', 'off on other'
    titles = *titles, 'mean on other', 'gain over off', '95% interval'
    columns = [Column(title, left=title in ('among', 'chosen')) for title in titles]
    return content, Table(columns, lines).text()


def cfg_options(heads: Sequence[str], fusion: Mapping[str, Any] | None) -> list[str]:
    """The options of tools/test.py that apply a fusion."""
    options = []
    for head in heads:
        for key, value in leaves(fusion):
            if value is not None:
                value = f'[{",".join(map(str, value))}]' if isinstance(value, list) else value
                options.append(f'{head}.fusion.{key}={value}')
    return options


def command_of(
    args: argparse.Namespace, cfg: Any, evaluator: Any, best: Mapping[str, Any], options: list[str]
) -> str:
    """The call of tools/test.py that gives the numbers of the best fusion, and what it needs."""
    checkpoint = args.checkpoint
    if best['fusion']['type'] == 'NorCal':
        checkpoint = args.out_checkpoint or 'FILE_OF_OUT_CHECKPOINT'
    command = ['python', 'tools/test.py', args.config, str(checkpoint)]
    line = shlex.join([*command, '--cfg-options', *args.cfg_options_text, *options])
    tested = next(dicts(cfg.get('test_evaluator')), {}).get('ann_file')
    if launch.same_path(tested or '', evaluator.ann_file):
        return line
    return (
        f'the numbers are of {evaluator.ann_file}; let test_dataloader and test_evaluator use it '
        f'(test_ann), too, for this command:\n{line}'
    )


def main() -> None:
    args = parse_args()
    launch.escape_unknown_letters()
    launch.check_checkpoint(args.checkpoint)
    with launch.quiet_imports():
        from mmdet_multigrain.apis import roi_outputs, score_sweep
        from mmdet_multigrain.engine.checkpoint.weights_only import trust_checkpoints
        from mmdet_multigrain.evaluation import write_json
        from mmdet_multigrain.models.losses.score_fusion import has_groups

    with trust_checkpoints(args.trust_checkpoint):
        cfg, evaluator = load(args)
        heads = [key for key, _ in roi_outputs.head_configs(cfg.model)]
        out = args.out or Path(cfg.work_dir, 'sweep')
        rois, result = out / 'rois', out / 'sweep.json'
        inputs = args.config, args.checkpoint, evaluator.ann_file
        again = (rois / roi_outputs.DESCRIPTION).is_file()  # of another test it is refused below
        launch.check_outputs([result], inputs=inputs, replace=args.force or again)
        launch.check_outputs([args.out_checkpoint], inputs=inputs, replace=args.force)
        head = roi_outputs.build_head(cfg.model)
        counts = read_counts(args, cfg, head)
        sweep = make_sweep(args, cfg, evaluator, head, counts, rois)

    taxonomy, count_gammas = sweep.loss.taxonomy, args.count_gammas if counts else ()
    options = dict(num_levels=taxonomy.hierarchy.num_levels, with_groups=has_groups(taxonomy))
    fusions = [*score_sweep.make_fusions(args.gammas, count_gammas, **options)]
    halves = sweep.halves(args.seed)
    rows, start = [], time.perf_counter()
    for fusion in progress_bar(fusions, show=True, desc='fusions'):
        found, name = sweep.detect(fusion), score_sweep.describe_fusion(fusion)
        row = {'name': name, 'fusion': fusion, 'numbers': sweep.numbers(found)}
        rows.append({**row, 'halves': [sweep.ap_of(found, half) for half in halves]})
    seconds = (time.perf_counter() - start) / len(fusions)
    chosen, choice_table = choose(args, sweep, fusions, rows, halves)
    caps, limits = [*map(str, sweep.caps)], 'detections of an image / of a class in it'
    best = max(rows, key=lambda row: row['numbers'][caps[0]]['AP'])
    detections = sweep.detections(sweep.detect(best['fusion']))
    f1_thresholds = score_sweep.f1_thresholds(
        sweep.truth, detections, sweep.taxonomy, max_dets=sweep.caps[0].per_class
    )
    options = cfg_options(heads, best['fusion'])
    content = {
        'config': args.config,
        'checkpoint': args.checkpoint,
        'ann_file': evaluator.ann_file,
        'images': len(sweep.truth.image_ids),
        'limits': f'{limits}; choices are at {caps[0]}',
        'seconds_per_fusion': seconds,
        'class_counts': counts,
        'fusions': rows,
        'cross_fitting': chosen,
        'best_on_all': {'name': best['name'], 'cfg_options': options},
        'f1_thresholds': f1_thresholds,
    }
    write_json(result, content)
    print(f'\nAP in percent at {caps[0]} {limits}, and other limits')
    print(results_table(caps, rows))
    print(f'\nchosen on one half of the images, scored on the other\n{choice_table}')
    print(f'\n{len(rows)} fusions, {seconds:.2f} s each; all numbers and F1 thresholds -> {result}')
    if not options:
        print('no fusion has a higher AP on all images than none')
        return
    print(f'highest AP on all images, which the choices above put into perspective: {best["name"]}')
    print(command_of(args, cfg, evaluator, best, options))


if __name__ == '__main__':
    launch.run_tool(main, interrupted=INTERRUPTED)
