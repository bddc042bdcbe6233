"""Options for faster training, by name: small config files that are merged into a config.

The files are in configs/_base_/speed. MMEngine refuses two bases that set the same entry, so they
cannot be listed in `_base_` next to a model and a schedule; `merge_options` merges them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_multigrain.configs import config_folder
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import did_you_mean
from mmdet_multigrain.utils.nested import dicts, leaves

FOLDER = config_folder() / '_base_' / 'speed'
_ON_CPU = {
    'cudnn-benchmark': 'does nothing on a CPU but pad photos further',
    'pinned-loading': 'pins no memory on a CPU; its workers prefetch',
    'tf32': 'does nothing on a CPU',
}


def option_names(folder: Path = FOLDER) -> list[str]:
    """Names of all options, sorted: `channels-last` is channels_last.py."""
    return sorted(path.stem.replace('_', '-') for path in folder.glob('*.py'))


def describe_options(cfg: Mapping[str, Any], *, device: str, norm_eval: bool) -> list[str]:
    """The options that are active in a config, and why some of them do nothing here.

    Args:
        cfg: The config of a run, resolved.
        device: Its kind of device, such as `cpu`.
        norm_eval: Whether batch norm of the backbone keeps its statistics.
    """
    idle = dict(_ON_CPU) if device == 'cpu' else {}
    if not norm_eval:
        idle['efficient-conv-bn'] = 'does nothing where batch norm learns (norm_eval=False)'
    names = [name for name, overlay in _overlays().items() if _contains(cfg, overlay)]
    if any(part.get('type') == 'FastLoading' for part in dicts(cfg.get('train_dataloader'))):
        names = sorted([*names, 'fast-loading'])  # its key has become the loader's transform
    return [f'{name} ({idle[name]})' if name in idle else name for name in names]


@functools.cache
def _overlays() -> dict[str, Any]:
    from mmengine.config import Config

    return {name: Config.fromfile(_file(name, FOLDER)).to_dict() for name in option_names()}


def _contains(cfg: Any, overlay: Any) -> bool:
    """Whether a config has all entries of an option, among others."""
    if isinstance(overlay, Mapping):
        return isinstance(cfg, Mapping) and all(
            key in cfg and _contains(cfg[key], value) for key, value in overlay.items()
        )
    if isinstance(overlay, list) and isinstance(cfg, list):
        return all(item in cfg for item in overlay)
    return bool(cfg == overlay)


def merge_options(cfg: Any, names: Sequence[str], *, folder: Path = FOLDER) -> None:
    """Merge options into a config; their hooks join those that it has.

    Args:
        cfg (mmengine.config.Config): The config, changed in place.
        names (Sequence[str]): Names of options, as `option_names` gives them.
        folder (Path): Where the files are. Defaults to configs/_base_/speed.

    Raises:
        ValueError: If there is no such option, or if two of them contradict each other.
    """
    from mmengine.config import Config

    set_by: dict[str, tuple[str, Any]] = {}
    for name in dict.fromkeys(name.replace('_', '-') for name in names):
        overlay = Config.fromfile(_file(name, folder)).to_dict()
        hooks = overlay.pop('custom_hooks', [])
        for key, value in leaves(overlay):
            other, others_value = set_by.setdefault(key, (name, value))
            if value != others_value:
                raise ConfigError(f'--speed: {other} and {name} both set {key}; choose one')
        cfg.merge_from_dict(overlay)
        if hooks:
            cfg.custom_hooks = [*cfg.get('custom_hooks', ()), *hooks]


def _file(name: str, folder: Path) -> Path:
    path = folder / f'{name.replace("-", "_")}.py'
    if not path.is_file():
        known = option_names(folder)
        hint = did_you_mean(name, known, f'there are {", ".join(known)}')
        raise ConfigError(f'--speed {name}: no such option{hint}')
    return path
