"""The length of a run, from one key, and the schedule that follows it.

`epochs` or `max_iters` at the top level of a config is the length. In `val_interval`, in the
checkpoint interval, and in `begin`, `end` and `milestones` of schedulers, fractions up to 1.0 are
parts of it; integers are iterations. A config without either key stays as it is.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmdet_multigrain.utils.errors import ConfigError, MultigrainError
from mmdet_multigrain.utils.nested import dicts

LENGTH_KEYS = ('epochs', 'max_iters')
_WARM_UP = 0.1  # at most this part of the run
_WORLD_SIZE = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS', 'mpi': 'OMPI_COMM_WORLD_SIZE'}


def resolve_length(cfg: Config, *, from_data: bool) -> None:
    """Set the loop, schedulers and intervals of a config from its length, in place.

    `epochs` becomes `max_iters`, with `from_data` only: that reads the training data. If it cannot
    be used, the length stays open: training raises the same error when it builds its data set.

    Raises:
        ConfigError: Both keys are set, or one is not a positive number.
    """
    epochs, iterations = (cfg.get(key) for key in LENGTH_KEYS)
    if epochs is not None and iterations is not None:
        raise ConfigError(
            f'epochs={epochs} and max_iters={iterations} both set the length of the run; '
            'set one of them and the other to None'
        )
    for key, value in zip(LENGTH_KEYS, (epochs, iterations), strict=True):
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise ConfigError(f'{key}={value!r} is not a positive number')
    if epochs is not None and from_data and cfg.get('train_dataloader'):
        with contextlib.suppress(MultigrainError):
            batch = cfg.train_dataloader.get('batch_size', 1) * world_size(cfg)
            iterations = max(1, round(epochs * _count_images(cfg) / batch))
            cfg.max_iters, cfg.epochs = iterations, None
    if iterations is None:
        return
    loop = cfg.get('train_cfg') or {}
    if 'max_iters' in loop and loop['max_iters'] is None:
        loop['max_iters'] = iterations
    for name, value in _at_length(schedule_of(cfg), iterations).items():
        _set(cfg, name, value)


def world_size(cfg: Config) -> int:
    """Number of processes, as the variables of the config's launcher say."""
    return int(os.environ.get(_WORLD_SIZE.get(cfg.get('launcher', 'none'), ''), 0) or 1)


def schedule_of(cfg: Config) -> dict[str, Any]:
    """What follows the length, as {dotted key: value}."""
    names = ['train_cfg.max_iters', 'train_cfg.val_interval', 'default_hooks.checkpoint.interval']
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, list | tuple):
        names += [
            f'param_scheduler.{number}.{entry}'
            for number in range(len(schedulers))
            for entry in ('type', 'start_factor', 'end_factor', 'begin', 'end', 'milestones')
        ]
    return {name: copy.deepcopy(value) for name in names for value in _get(cfg, name)}


def reset_schedule(cfg: Config, schedule: Mapping[str, Any], *, max_iters: int | None) -> None:
    """Undo `resolve_length` to what `schedule_of` said before, where its values still stand."""
    if max_iters is None:
        return
    after = _at_length(schedule, max_iters)
    if schedule.get('train_cfg.max_iters', 0) is None:
        after['train_cfg.max_iters'] = max_iters
    for name, value in after.items():
        if [value] == [*_get(cfg, name)]:
            _set(cfg, name, schedule[name])


def _at_length(schedule: Mapping[str, Any], length: int) -> dict[str, Any]:
    """The entries that change with the length, for one."""
    found = {}
    for name, value in schedule.items():
        if name.endswith(('.val_interval', '.interval')):
            scaled = _part(value, length) or 1
        elif name.endswith(('.begin', '.end')):
            scaled = _part(value, length)
        elif name.endswith('.milestones'):
            scaled = [_part(item, length) for item in value]
        else:
            continue
        if scaled != value:
            found[name] = scaled
    for name, end in _warm_ups(schedule):
        cut = min(end, max(1, int(_WARM_UP * length)))
        if cut == end:
            continue
        found[name] = cut
        # The decay that begins when the warm-up ends still does.
        for other, value in schedule.items():
            if other.endswith('.begin') and value == end:
                found[other] = cut
    return found


def _part(value: Any, length: int) -> Any:
    """Iterations of a fraction of the length; anything else as it is."""
    return round(value * length) if isinstance(value, float) and 0 < value <= 1 else value


def _warm_ups(schedule: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Name and value of `end` of each LinearLR that raises the rate from the first iteration."""
    for name, value in schedule.items():
        prefix, _, entry = name.rpartition('.')
        start = schedule.get(f'{prefix}.start_factor', 1 / 3)
        if (
            entry == 'end'
            and isinstance(value, int)
            and schedule.get(f'{prefix}.type') == 'LinearLR'
            and schedule.get(f'{prefix}.begin', 0) == 0
            and start < schedule.get(f'{prefix}.end_factor', 1.0)
        ):
            yield name, value


def _count_images(cfg: Config) -> int:
    """Images of the training data after the filter; they are not loaded."""
    dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    for part in dicts(dataset):
        if 'pipeline' in part:
            part['pipeline'] = []
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    logger = MMLogger.get_current_instance()
    before, logger.disabled = logger.disabled, True  # the run's own data set reports the same
    try:
        return len(DATASETS.build(dataset))
    finally:
        logger.disabled = before


def _get(cfg: Any, name: str) -> Iterator[Any]:
    """The value of a dotted key; nothing if there is none."""
    for step in name.split('.'):
        if isinstance(cfg, list | tuple) and step.isdecimal() and int(step) < len(cfg):
            cfg = cfg[int(step)]
        elif isinstance(cfg, Mapping | Config) and step in cfg:
            cfg = cfg[step]
        else:
            return
    yield cfg


def _set(cfg: Config, name: str, value: Any) -> None:
    prefix, _, entry = name.rpartition('.')
    for owner in _get(cfg, prefix):
        owner[entry] = value
