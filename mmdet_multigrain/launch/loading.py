"""What the arguments of a command line name: the config of a run, or a trained detector."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .arguments import add_cfg_options, add_trust_checkpoint, set_local_rank
from .configs import load_config, set_work_dir
from .imports import quiet_imports

if TYPE_CHECKING:
    from mmdet_multigrain.apis.detector import Detector


def load_run_config(args: argparse.Namespace, **options: Any):
    """The config of a run that `args.config` and the arguments of `add_common_arguments` name.

    `options` are others of `load_config`. The launcher's rank becomes known to mmengine.
    """
    set_local_rank(args.local_rank)
    cfg = load_config(args.config, args.cfg_options, launcher=args.launcher, **options)
    set_work_dir(cfg, config_path=args.config, work_dir=args.work_dir)
    return cfg


def add_detector(parser: argparse.ArgumentParser) -> None:
    """The arguments CONFIG and CHECKPOINT, --cfg-options and --trust-checkpoint."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    add_cfg_options(parser)
    add_trust_checkpoint(parser)


def load_detector(args: argparse.Namespace, *, device: str = 'auto', **options: Any) -> Detector:
    """The detector that the arguments of `add_detector` name.

    `device` is one of torch's, or `auto`, the GPU if there is any; `options` are others of `Detector`.
    """
    with quiet_imports():
        from mmdet_multigrain.apis.detector import Detector
        from mmdet_multigrain.engine.checkpoint.weights_only import trust_checkpoints

    device = None if device == 'auto' else device
    with trust_checkpoints(args.trust_checkpoint):
        cfg = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
        return Detector(cfg, args.checkpoint, device=device, **options)
