"""Options for faster training, by name: small config files that are merged into a config.

The files are in configs/_base_/speed. MMEngine refuses two bases that set the same entry, so they
cannot be listed in `_base_` next to a model and a schedule; `merge_options` merges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet_multigrain.configs import config_folder
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import did_you_mean
from mmdet_multigrain.utils.nested import leaves

FOLDER = config_folder() / '_base_' / 'speed'


def option_names(folder: Path = FOLDER) -> list[str]:
    """Names of all options, sorted: `channels-last` is channels_last.py."""
    return sorted(path.stem.replace('_', '-') for path in folder.glob('*.py'))


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
