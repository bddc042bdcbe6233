"""Test a detector: python tools/test.py CONFIG CKPT [--out FILE] [--tta] [--level LEVEL] ..."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.evaluation.result_file import read_result
    from mmdet_multigrain.taxonomy import Taxonomy
    from mmdet_multigrain.utils.errors import ConfigError, EvaluationError
    from mmdet_multigrain.utils.nested import dicts
    from mmdet_multigrain.visualization.palette import SCORE_THR
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

# Last parts of config keys that leave the numbers as they are.
NO_EFFECT = ('experiment_name', 'log_level', 'num_workers', 'persistent_workers', 'work_dir')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help='JSON file for all numbers (default: result.json in the work folder, with --tta '
        'and --level result_tta_coarse.json); the detections go next to it',
    )
    parser.add_argument(
        '--show-dir', help='folder for pictures of detections next to the ground truth'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--lineages',
        action='store_true',
        help='write the probabilities of class and superclasses of each detection, given an '
        'object, to the detections; the numbers stay the same',
    )
    parser.add_argument(
        '--max-dets',
        type=int,
        metavar='N',
        help="limit on detections per image and class (default: the config's, else COCO's 100)",
    )
    launch.add_level(parser)
    launch.add_common_arguments(parser)
    launch.add_force(parser)
    return parser.parse_args()


def options_of(args: argparse.Namespace) -> str | None:
    """The options that change the numbers, in a fixed order; None without any."""
    options = ['--tta'] if args.tta else []
    if args.level is not None:
        options.append(f'--level {args.level}')
    if args.max_dets is not None:
        options.append(f'--max-dets {args.max_dets}')
    overrides = (args.cfg_options or {}).items()
    options += sorted(
        f'{key}={value}' for key, value in overrides if key.rpartition('.')[2] not in NO_EFFECT
    )
    return ' '.join(options) or None


def is_result_of(out: Path, cfg, args: argparse.Namespace) -> bool:
    """Whether a file is the result of the same test, made before."""
    try:
        result = read_result(out)
    except EvaluationError:
        return False
    taxonomy = next((d['taxonomy'] for d in dicts(cfg.test_dataloader) if 'taxonomy' in d), None)
    before = result.run.config, result.run.checkpoint, result.ann_file
    now = args.config, args.checkpoint, cfg.test_evaluator.get('ann_file')
    return (
        result.run.options == options_of(args)
        and (taxonomy is None or Taxonomy.load(taxonomy) == result.leaves)
        and all(launch.same_path(a or '', b or '') for a, b in zip(before, now, strict=True))
    )


def check_outputs(cfg, out: Path, args: argparse.Namespace) -> None:
    """Refuse to replace what is read, the result of another test, or pictures of one."""
    evaluator = cfg.test_evaluator
    annotations = evaluator.get('ann_file'), evaluator.get('train_ann_file')
    outputs = [out, Path(f'{evaluator.outfile_prefix}.bbox.json')]
    replace = args.force or is_result_of(out, cfg, args)
    inputs = args.config, args.checkpoint, *annotations
    launch.check_outputs(outputs, inputs=inputs, replace=replace)
    folder = args.show_dir and Path(args.show_dir)
    if folder and cfg.get('test_level') is not None:
        raise ConfigError(
            '--show-dir draws the ground truth by class, and --level (test_level) detects groups; '
            'leave one out (tools/predict.py --level draws groups)'
        )
    if not folder or not folder.is_dir():
        return
    for part in dicts(cfg.test_dataloader):
        images = Path(part.get('data_root') or '', (part.get('data_prefix') or {}).get('img') or '')
        if 'ann_file' in part and images.is_dir() and folder.samefile(images):
            raise ConfigError(f'--show-dir {folder}: holds the images; name another folder')
    if any(folder.iterdir()) and not replace:
        raise ConfigError(
            f'--show-dir {folder}: holds files of another command; name another folder, or '
            'replace them (--force)'
        )


def set_show_dir(cfg, show_dir: str) -> None:
    """Let the visualization hook draw every image into a folder."""
    warnings.filterwarnings('ignore', message='.* is out of bounds')  # a box on the image's border
    folder = str(Path(show_dir).resolve())
    cfg.default_hooks.visualization.update(
        type='PictureHook', draw=True, test_out_dir=folder, interval=1, score_thr=SCORE_THR
    )


def load_config(args: argparse.Namespace):
    """The config of the test, complete."""
    cfg = launch.load_run_config(args, checkpoint=args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    parts = ['result', *(['tta'] if args.tta else []), *filter(None, [args.level])]
    out = Path(args.out or Path(cfg.work_dir, f'{"_".join(parts)}.json'))
    if args.level is not None:
        cfg.test_level = args.level
    if args.lineages:
        from mmdet_multigrain.engine.runner.resolver import leaf_datasets
        from mmdet_multigrain.engine.runner.test_level import set_lineages

        if args.tta:
            raise ConfigError(
                '--lineages are of one view of a photo, --tta merges several; leave one out'
            )
        set_lineages(cfg, leaf_datasets(cfg.test_dataloader.dataset))
    # The report needs both: numbers for tables, detections for errors and intervals.
    cfg.test_evaluator.result_file = str(out)
    if cfg.test_evaluator.get('outfile_prefix') is None:
        cfg.test_evaluator.outfile_prefix = str(out.with_suffix(''))
    check_outputs(cfg, out, args)
    command, options = shlex.join(sys.argv), options_of(args)
    record = dict(type='RunRecordHook', config=args.config, command=command, options=options)
    cfg.custom_hooks = [*cfg.get('custom_hooks', ()), record]
    if args.max_dets is not None:
        cfg.test_evaluator.max_dets = args.max_dets
    if args.show_dir:
        set_show_dir(cfg, args.show_dir)
    if args.tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(**cfg.tta_model, module=cfg.model)
    return cfg


def main() -> None:
    args = parse_args()
    launch.check_checkpoint(args.checkpoint)
    with launch.quiet_imports():
        from mmdet_multigrain.engine import MultigrainRunner, trust_checkpoints

    with trust_checkpoints(args.trust_checkpoint):
        MultigrainRunner.from_cfg(load_config(args)).test()


if __name__ == '__main__':
    launch.run_tool(main)
