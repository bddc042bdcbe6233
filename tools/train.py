"""Train a detector: python tools/train.py CONFIG [--work-dir DIR] [--resume] ..."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmdet_multigrain import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by total batch / auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on from CKPT, or from the last checkpoint in the work folder',
    )
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    launch.add_common_arguments(parser)
    return parser.parse_args()


def set_resume(cfg, resume: str | None) -> None:
    """Choose the checkpoint to go on from; without one, start as the config says."""
    if resume is None:
        return
    if resume == 'auto':
        from mmengine.runner import find_latest_checkpoint

        resume = find_latest_checkpoint(cfg.work_dir)
        if resume is None:
            print(f'{cfg.work_dir}: no checkpoint to resume from; starting from the beginning')
            return
        # The folder may have been moved or copied since that path was noted.
        here = Path(cfg.work_dir, Path(resume).name)
        resume = str(here) if here.is_file() else resume
    cfg.resume, cfg.load_from = True, resume


def main() -> None:
    args = parse_args()
    launch.set_local_rank(args.local_rank)
    cfg = launch.load_config(args.config, args.cfg_options)
    launch.set_work_dir(cfg, config_path=args.config, work_dir=args.work_dir)
    if args.amp:
        from mmengine.device import get_device

        if get_device() == 'cpu':
            raise ValueError('--amp needs a GPU; leave it out here')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.seed is not None:
        cfg.randomness = dict(seed=args.seed)
    set_resume(cfg, args.resume)
    if cfg.get('load_from'):
        launch.check_checkpoint(cfg.load_from)
    launch.start_processes(cfg, args.launcher)

    from mmdet_multigrain.engine.runner import Runner
    from mmdet_multigrain.engine.weights_only import trust_checkpoints

    with trust_checkpoints(args.trust_checkpoint):
        Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    launch.run_tool(main, interrupted='interrupted; --resume goes on from the last checkpoint')
