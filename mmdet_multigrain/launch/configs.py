"""Configs with what overrides them, and where their runs write.

Loading one either succeeds or raises one line that says what may have been meant.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_multigrain.speed import merge_options
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import did_you_mean

from .errors import TRACEBACK_VARIABLE
from .imports import quiet_imports
from .named_files import check_file

# What a run reads from its config in addition to the arguments of a Runner and the resolver's keys.
_OPTIONAL_KEYS = (
    'activation_checkpointing',
    'compile',
    'efficient_conv_bn_eval',
    'fast_loading',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)


def load_config(
    path: str | Path,
    cfg_options: Mapping[str, Any] | None = None,
    *,
    speed: Sequence[str] = (),
    launcher: str | None = None,
    checkpoint: str | None = None,
):
    """Load a config with its overrides, and resolve it.

    Args:
        path (str | Path): Config file.
        cfg_options (Mapping, optional): Overrides by dotted key, as from --cfg-options, including
            the resolver's keys (`data_root`, `taxonomy`, `epochs`, ...).
        speed (Sequence[str]): Names of options for faster training, as from --speed.
        launcher (str, optional): What starts the processes, among which `epochs` are divided.
            Default: the config's.
        checkpoint (str, optional): Checkpoint to test or predict with; it gives the taxonomy that
            the config leaves open.

    Returns:
        mmengine.config.Config: The config; its modules are imported.

    Raises:
        ConfigError: The config does not exist or cannot be loaded, or nothing reads an override;
        the
            message says what may have been meant.
    """
    with quiet_imports():
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
        from mmengine.config import Config

        from mmdet_multigrain.engine.runner import resolver

    path = check_file(path, 'config')
    if path.suffix != '.py':  # MMEngine's reader of YAML builds any object that a file names
        raise ConfigError(f'{path}: not a Python file (.py), as configs are')
    cfg_options = dict(cfg_options or {})
    try:
        with quiet_imports():
            cfg = Config.fromfile(path)
    except Exception as error:
        cause = error.__cause__ or error
        raise ConfigError(
            f'{path}: not a config that can be loaded ({type(cause).__name__}: '
            f'{" ".join(str(cause).split())}); {TRACEBACK_VARIABLE}=1 shows where'
        ) from error
    merge_options(cfg, [*(cfg.pop('speed', None) or ()), *speed])
    _check_options(cfg, cfg_options, path, keys=resolver.KEYS)
    for key, other in (('epochs', 'max_iters'), ('max_iters', 'epochs')):
        if key in cfg_options and other in cfg:
            cfg[other] = None
    cfg.merge_from_dict(cfg_options)
    if launcher is not None:
        cfg.launcher = launcher
    meta = None
    if checkpoint is not None:
        meta = _checkpoint_meta(checkpoint) if resolver.is_taxonomy_open(cfg) else {}
    used = resolver.resolve(cfg, checkpoint_meta=meta)
    for key in resolver.TABLE:
        if key in cfg_options and key not in used:
            raise ConfigError(
                f'--cfg-options {key}: no entry of {path} takes its value from it; set the entries '
                'themselves, like train_dataloader.dataset.ann_file'
            )
    return cfg


def _checkpoint_meta(path: str) -> Mapping[str, Any]:
    from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

    return read_checkpoint(path).get('meta') or {}


def set_work_dir(cfg: Any, *, config_path: str, work_dir: str | None) -> None:
    """Work directory: the command line's, else the config's, else work_dirs/<config name>."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(config_path).stem)


def _check_options(
    cfg: Any, cfg_options: Mapping[str, Any], path: Path, *, keys: Sequence[str]
) -> None:
    """Refuse overrides that would do nothing, because no part of a run reads them."""
    from mmengine.runner import Runner

    read = {*inspect.signature(Runner).parameters, *_OPTIONAL_KEYS, *keys}
    for option in cfg_options:
        key = option.partition('.')[0]
        if key in read:
            continue
        if key in cfg:
            places = ', '.join(_places(cfg, key)) or 'the entries made of it'
            raise ConfigError(
                f'--cfg-options {option}: {key!r} is a variable of {path}, used only while it '
                f'is read; set {places}'
            )
        hint = did_you_mean(key, sorted(read), 'no part of a run reads it')
        raise ConfigError(f'--cfg-options {option}: {path} has no {key!r}{hint}')


def _places(cfg: Mapping[str, Any], name: str, prefix: str = '') -> Iterator[str]:
    """Dotted keys of the entries of that name below the top level."""
    for key, value in cfg.items():
        if prefix and key == name:
            yield prefix + key
        elif isinstance(value, Mapping):
            yield from _places(value, name, f'{prefix}{key}.')
