"""Stop a run whose loss is NaN or infinite, and keep its checkpoints good."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet_multigrain.utils.errors import CheckpointError, LossError

from ..checkpoint.find import find_last_checkpoint
from ..data_access import samples_of

_SHOWN = 8  # images that the message names


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first loss that is NaN or infinite, and save no weights that are.

    The losses are those that MMEngine has just logged, so there is no further wait for the device.
    By then the optimizer has made its step; training can resume from the last saved checkpoint. A
    process knows its own losses only, but its gradients reach all weights, so the process that
    saves checks the weights first. The loss scale handles overflows in half precision.

    Raises:
        LossError: While training.
    """

    priority = 'HIGH'  # after RuntimeInfoHook, before all that logs, averages and saves

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the losses of this iteration."""
        losses = _losses(runner, outputs or {})
        bad = {name: value for name, value in losses if not math.isfinite(value)}
        if not bad:
            return
        terms = ', '.join(f'{name} is {value}' for name, value in bad.items())
        paths = [str(sample.get('img_path')) for sample in samples_of(data_batch)]
        images = ', '.join(paths[:_SHOWN]) + (', ...' if len(paths) > _SHOWN else '')
        raise LossError(
            f'iteration {runner.iter + 1}: {terms}; learning rate {_learning_rate(runner)}, '
            f'images {images}; {_way_on(runner)}'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Look at the weights."""
        for name, tensor in checkpoint['state_dict'].items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise LossError(
                    f'iteration {runner.iter + 1}: {name} holds values that are not finite; '
                    f'learning rate {_learning_rate(runner)}; {_way_on(runner)}'
                )


def _losses(runner: Runner, outputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Name and value of each loss term, the sum last."""
    logged = runner.message_hub.log_scalars
    for name, value in sorted(outputs.items(), key=lambda item: item[0] == 'loss'):
        if 'loss' in name:
            history = logged.get(f'train/{name}')
            yield name, float(value if history is None else history.current())


def _learning_rate(runner: Runner) -> str:
    rates = runner.optim_wrapper.get_lr()
    return ', '.join(f'{rate:g}' for rate in dict.fromkeys(sum(rates.values(), [])))


def _way_on(runner: Runner) -> str:
    last = runner._load_from if runner._resume else None  # of another folder, perhaps
    # The message hub names one while it is being saved, which it then never is.
    with contextlib.suppress(CheckpointError):
        last = find_last_checkpoint(runner.work_dir, warn=lambda line: None) or last
    # A resumed run would take the learning rate from the checkpoint.
    start = (
        f'start a new run from {last} (load_from)' if last else 'nothing is saved yet; start again'
    )
    return (
        f'{start} with a lower optim_wrapper.optimizer.lr, or look at these images and their boxes'
    )
