"""Train a detector: python tools/train.py CONFIG [--work-dir DIR] [--resume] ..."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.utils.errors import ConfigError
    from mmdet_multigrain.utils.files import nearby
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


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
        help='resume from CKPT, or from the last checkpoint in the work folder',
    )
    parser.add_argument(
        '--seed', type=launch.whole_number(0, 2**32 - 1), help='seed of all random numbers'
    )
    launch.add_speed(parser)
    launch.add_common_arguments(parser)
    return parser.parse_args()


def check_precision(cfg, what: str) -> None:
    """Raise a one-line ValueError if loss scaling is wanted where there is no GPU."""
    from mmengine.device import get_device

    if cfg.optim_wrapper.type == 'AmpOptimWrapper' and get_device() == 'cpu':
        raise ConfigError(
            f'{what} needs a GPU; on a CPU, --speed amp-bf16 trains in mixed precision'
        )


def how_to_test(runner) -> str:
    """The best checkpoints of a run, else the last one, and the command that tests the first."""
    info = runner.message_hub.runtime_info
    found = {
        nearby(info[key]): f'best checkpoint ({info[key.replace("ckpt", "score")]:.4f})'
        for key in info
        if key.startswith('best_ckpt')
    }
    if not found and 'last_ckpt' in info:
        found = {nearby(info['last_ckpt']): 'last checkpoint'}
    if not found:
        return 'no checkpoint was saved'
    lines = [f'{what}: {path}' for path, what in found.items()]
    script = nearby(Path(__file__).with_name('test.py'))
    command = ['python', script, nearby(runner.config_file), next(iter(found))]
    return '\n'.join([*lines, f'test it: {shlex.join(command)}'])


def main() -> None:
    args = parse_args()
    cfg = launch.load_run_config(args, speed=args.speed)
    if args.amp:
        if 'amp-bf16' in (name.replace('_', '-') for name in args.speed):
            raise ConfigError('--amp and --speed amp-bf16 both set the precision; choose one')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    check_precision(cfg, '--amp' if args.amp else 'fp16 (AmpOptimWrapper)')
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.seed is not None:
        cfg.randomness = dict(seed=args.seed)
    for checkpoint in (cfg.get('load_from'), args.resume):
        if checkpoint and checkpoint != 'auto':
            launch.check_checkpoint(checkpoint)
    if args.resume == 'auto':
        cfg.resume = 'auto'
    elif args.resume:
        cfg.resume, cfg.load_from = True, args.resume

    from mmdet_multigrain.engine import MultigrainRunner, trust_checkpoints
    from mmdet_multigrain.engine.checkpoint.find import refuse_used

    if not cfg.get('resume'):
        refuse_used(cfg.work_dir)  # before the run writes anything there

    with trust_checkpoints(args.trust_checkpoint):
        runner = MultigrainRunner.from_cfg(cfg)
        runner.train()
    if runner.rank == 0:
        print(how_to_test(runner))


if __name__ == '__main__':
    launch.run_tool(main, interrupted='interrupted; --resume continues from the last checkpoint')
