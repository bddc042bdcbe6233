"""Configs with what overrides them, and where their runs write.

Loading one either succeeds or raises one line that says what may have been meant.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_multigrain.speed import lay_over
from mmdet_multigrain.utils.errors import ConfigError, TaxonomyError

from .errors import TRACEBACK_VARIABLE
from .imports import quiet_imports
from .named_files import check_file

# --cfg-options that stand for what configs/_base_/datasets/custom_detection.py reads.
_CUSTOM_DATA_OPTIONS = {
    'data_root': 'MULTIGRAIN_DATA',
    'train_ann': 'MULTIGRAIN_TRAIN_ANN',
    'val_ann': 'MULTIGRAIN_VAL_ANN',
    'images': 'MULTIGRAIN_IMAGES',
    'taxonomy': 'MULTIGRAIN_TAXONOMY',
}
_CUSTOM_DATA_HINT = (
    'MULTIGRAIN_DATA, MULTIGRAIN_TRAIN_ANN and MULTIGRAIN_TAXONOMY say where the data is'
)
# What a run reads from its config beside the arguments of a Runner.
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
):
    """Load a config with its overrides.

    Args:
        path (str | Path): Config file.
        cfg_options (Mapping, optional): Overrides by dotted key, as from --cfg-options.
            `data_root` moves all paths below the config's own. For the custom configs it,
            `train_ann`, `val_ann`, `images` and `taxonomy` work like the environment variables
            that they read.
        speed (Sequence[str]): Names of options for faster training, as from --speed.

    Returns:
        mmengine.config.Config: The config; its modules are imported.

    Raises:
        ValueError: If there is no such config, if it cannot be loaded, or if nothing reads an
            override; the message says what may have been meant.
    """
    with quiet_imports():
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
        from mmengine.config import Config

    path = check_file(path, 'config')
    if path.suffix != '.py':  # MMEngine's reader of YAML builds any object that a file names
        raise ConfigError(f'{path}: not a Python file (.py), as configs are')
    cfg_options = dict(cfg_options or {})
    variables = {
        variable: str(cfg_options[option])
        for option, variable in _CUSTOM_DATA_OPTIONS.items()
        if option in cfg_options
    }
    try:
        with quiet_imports(), _environment(variables):
            cfg = Config.fromfile(path)
    except Exception as error:
        if isinstance(error, TaxonomyError):  # of the custom data that it loads
            message = str(error).replace('check the path', _CUSTOM_DATA_HINT)
            raise TaxonomyError(message) from None
        cause = error.__cause__ or error
        raise ConfigError(
            f'{path}: not a config that can be loaded ({type(cause).__name__}: '
            f'{" ".join(str(cause).split())}); {TRACEBACK_VARIABLE}=1 shows where'
        ) from error
    if 'MULTIGRAIN_DATA' in cfg.text:  # it or a base of it reads the variables
        cfg_options = {
            key: value for key, value in cfg_options.items() if key not in _CUSTOM_DATA_OPTIONS
        }
    if 'data_root' in cfg_options and cfg.get('data_root'):
        new_root = os.path.join(str(cfg_options.pop('data_root')), '')
        cfg.merge_from_dict(_replace_prefix(cfg.to_dict(), cfg.data_root, new_root))
    lay_over(cfg, [*(cfg.pop('speed', None) or ()), *speed])
    _check_options(cfg, cfg_options, path)
    cfg.merge_from_dict(cfg_options)
    if 'fast_loading' in cfg:
        from mmdet_multigrain.datasets.transforms import use_fast_loading

        use_fast_loading(cfg)
    return cfg


def set_work_dir(cfg: Any, *, config_path: str, work_dir: str | None) -> None:
    """Work directory: the command line's, else the config's, else work_dirs/<config name>."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(config_path).stem)


def _replace_prefix(value: Any, old: str, new: str) -> Any:
    """The same nested value, strings that begin with `old` beginning with `new` instead."""
    if isinstance(value, Mapping):
        return {key: _replace_prefix(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replace_prefix(item, old, new) for item in value)
    if isinstance(value, str) and value.startswith(old):
        return new + value.removeprefix(old)
    return value


def _check_options(cfg: Any, cfg_options: Mapping[str, Any], path: Path) -> None:
    """Refuse overrides that would do nothing, because no part of a run reads them."""
    from mmengine.runner import Runner

    read = {*inspect.signature(Runner).parameters, *_OPTIONAL_KEYS}
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
        close = difflib.get_close_matches(key, read, n=1)
        hint = f'did you mean {close[0]!r}?' if close else 'no part of a run reads it'
        raise ConfigError(f'--cfg-options {option}: {path} has no {key!r}; {hint}')


def _places(cfg: Mapping[str, Any], name: str, prefix: str = '') -> Iterator[str]:
    """Dotted keys of the entries of that name below the top level."""
    for key, value in cfg.items():
        if prefix and key == name:
            yield prefix + key
        elif isinstance(value, Mapping):
            yield from _places(value, name, f'{prefix}{key}.')


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
