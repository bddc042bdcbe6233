"""Test a detector: python tools/test.py CONFIG CKPT [--out FILE] [--show-dir DIR] [--tta] ..."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from pathlib import Path

from mmdet_multigrain import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help='JSON file for all numbers (default: result.json in the work folder); the '
        'detections go next to it',
    )
    parser.add_argument(
        '--show-dir', help='folder for pictures of detections next to the ground truth'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--max-dets',
        type=int,
        metavar='N',
        help="limit on detections per image and class (default: the config's, else COCO's 100)",
    )
    launch.add_common_arguments(parser)
    return parser.parse_args()


def set_out(cfg, out: Path) -> None:
    """Let the metric write its numbers to a file, and the detections next to it.

    The report needs both: numbers for tables, detections for errors and intervals.
    """
    cfg.test_evaluator.result_file = str(out)
    if cfg.test_evaluator.get('outfile_prefix') is None:
        cfg.test_evaluator.outfile_prefix = str(out.with_suffix(''))


def set_tta(cfg) -> None:
    """Wrap the model and its test pipeline for test-time augmentation."""
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(**cfg.tta_model, module=cfg.model)


def set_show_dir(cfg, show_dir: str) -> None:
    """Let the visualization hook draw every image into a folder."""
    warnings.filterwarnings('ignore', message='.* is out of bounds')  # a box on the image's border
    cfg.default_hooks.visualization.update(
        type='PictureHook', draw=True, test_out_dir=str(Path(show_dir).resolve()), interval=1
    )


def load_config(args: argparse.Namespace):
    """The config of the test, complete."""
    cfg = launch.load_config(
        args.config, args.cfg_options, launcher=args.launcher, checkpoint=args.checkpoint
    )
    launch.set_work_dir(cfg, config_path=args.config, work_dir=args.work_dir)
    cfg.load_from, cfg.resume = args.checkpoint, False
    set_out(cfg, Path(args.out or Path(cfg.work_dir, 'result.json')))
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', ()),
        dict(type='RunRecordHook', config=args.config, command=shlex.join(sys.argv)),
    ]
    if args.max_dets is not None:
        cfg.test_evaluator.max_dets = args.max_dets
    if args.show_dir:
        set_show_dir(cfg, args.show_dir)
    if args.tta:
        set_tta(cfg)
    return cfg


def main() -> None:
    args = parse_args()
    launch.set_local_rank(args.local_rank)
    launch.check_checkpoint(args.checkpoint)
    with launch.quiet_imports():
        from mmdet_multigrain.engine import MultigrainRunner, trust_checkpoints

    with trust_checkpoints(args.trust_checkpoint):
        MultigrainRunner.from_cfg(load_config(args)).test()


if __name__ == '__main__':
    launch.run_tool(main)
