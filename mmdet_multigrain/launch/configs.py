"""Configs with what overrides them, and where their runs write.

Loading one either succeeds or raises one line that says what may have been meant.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_multigrain.speed import merge_options
from mmdet_multigrain.utils.errors import ConfigError

from .errors import TRACEBACK_VARIABLE
from .files import check_file
from .imports import quiet_imports
from .options import check_options


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
        path: Config file.
        cfg_options: Overrides by dotted key, as from --cfg-options, including the resolver's keys
            (`data_root`, `taxonomy`, `epochs`, ...).
        speed: Names of options for faster training, as from --speed.
        launcher: What starts the processes, among which `epochs` are divided; default: the config's.
        checkpoint: Checkpoint to test or predict with; it gives the taxonomy that the config
            leaves open.

    Returns:
        mmengine.config.Config: The config; its modules are imported.

    Raises:
        ConfigError: The config does not exist or cannot be loaded, or nothing reads an override;
            the message says what may have been meant.
    """
    with quiet_imports():
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
        from mmengine.config import Config

        from mmdet_multigrain.engine.runner import resolver
        from mmdet_multigrain.engine.runner.compositions import merge_compositions

    path = check_file(path, 'config')
    if path.suffix != '.py':  # MMEngine's reader of YAML builds any object that a file names
        raise ConfigError(f'{path}: not a Python file (.py), as configs are')
    cfg_options = dict(cfg_options or {})
    try:
        with quiet_imports():
            cfg = Config.fromfile(path, lazy_import=_lazy_import(path))
    except Exception as error:
        cause = error.__cause__ or error
        raise ConfigError(
            f'{path}: not a config that can be loaded ({type(cause).__name__}: '
            f'{" ".join(str(cause).split())}); {TRACEBACK_VARIABLE}=1 shows where'
        ) from error
    merge_compositions(cfg)
    merge_options(cfg, [*(cfg.pop('speed', None) or ()), *speed])
    check_options(cfg, cfg_options, path=path, keys=resolver.KEYS, sources=resolver.TABLE)
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
    if not {*cfg_options}.isdisjoint(resolver.LENGTH_KEYS):
        _check_length(cfg, cfg_options, path)
    return cfg


def _lazy_import(path: Path) -> bool | None:
    """False for a config that imports from Python's own library only; None: as MMEngine decides.

    MMEngine 0.10.7 takes some of those modules for others (`os`, from Python 3.11 on; all of them in
    a virtual environment), and the config for one in its lazy syntax.
    """
    nodes = [*ast.walk(ast.parse(path.read_text('utf-8')))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names.append('.' * node.level + (node.module or ''))
    tops = {name.partition('.')[0] for name in names}
    return False if tops and tops <= sys.stdlib_module_names else None


def _check_length(cfg: Any, cfg_options: Mapping[str, Any], path: Path) -> None:
    """Refuse a length that the training loop does not take, because the config sets its own."""
    loop = cfg.get('train_cfg') or {}
    for entry in ('max_iters', 'max_epochs'):
        key, own = f'train_cfg.{entry}', loop.get(entry)
        if own is not None and own != cfg.get(entry) and key not in cfg_options:
            raise ConfigError(
                f'--cfg-options: {path} has {key}={own}, which neither epochs nor max_iters '
                f'changes; set {key}, and the milestones and ends of param_scheduler'
            )


def _checkpoint_meta(path: str) -> Mapping[str, Any]:
    from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

    return read_checkpoint(path).get('meta') or {}


def set_work_dir(cfg: Any, *, config_path: str, work_dir: str | None) -> None:
    """Work directory: the command line's, else the config's, else work_dirs/<config name>."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(config_path).stem)
