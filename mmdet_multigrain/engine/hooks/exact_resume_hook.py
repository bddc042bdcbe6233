"""Save with each checkpoint what an exact resume depends on, and refuse anything else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn

from mmdet_multigrain.datasets.samplers import ExactAspectRatioBatchSampler
from mmdet_multigrain.utils.errors import CheckpointError

from ..data_access import bare_model, inner_datasets, nested_datasets
from ..fingerprints import file_digest, versions
from ..runner.positions import VALIDATED, between_steps, replay_schedule, run_seed

KEY = 'exact_resume'  # in the 'meta' of a checkpoint
BUFFERS = 'process_buffers'  # next to 'meta'
EARLY_STOPPING = 'early_stopping'  # in 'meta'
# What must be equal unless a switch allows otherwise.
_COMPARED = {
    'allow_world_size_change': ('processes', 'batch_size'),
    'allow_data_change': ('images', 'order', 'repeats', 'shapes', 'annotations'),
    'allow_length_change': ('iterations', 'epochs'),
}

Buffers = dict[str, torch.Tensor]


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Save seed, processes, batch and data with a checkpoint; compare them when resuming.

    With another number of processes or another batch size the images come in another order, so
    the resumed run would not be the interrupted one. The seed comes from the checkpoint. So does
    what each `EarlyStoppingHook` has counted, which MMEngine begins to count again.

    Args:
        allow_world_size_change: Resume with another number of processes or another batch size;
            the images then come in a new order, and learning rates that `auto_scale_lr` scales
            follow the new batch. Defaults to False.
        allow_data_change: Resume with other training images or annotations. Defaults to False.
        allow_length_change: Resume with another number of iterations or epochs; the schedule is
            then that of the new length. Defaults to False.

    Raises:
        CheckpointError: When resuming, if seed, processes, batch or data are others.
    """

    def __init__(
        self,
        *,
        allow_world_size_change: bool = False,
        allow_data_change: bool = False,
        allow_length_change: bool = False,
    ) -> None:
        self.allow_world_size_change = allow_world_size_change
        self.allow_data_change = allow_data_change
        self.allow_length_change = allow_length_change
        self._follows_config = False
        self._facts: dict[str, Any] | None = None
        self._buffers: list[Buffers] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the run to be continued with this one."""
        if not runner._resume:
            return
        meta = checkpoint.get('meta') or {}
        counted = zip(_early_stopping(runner), meta.get(EARLY_STOPPING, ()), strict=False)
        for hook, (waited, best) in counted:
            hook.wait_count, hook.best_score = waited, best
        saved, path = meta.get(KEY), runner._load_from
        if saved is None:
            runner.logger.warning(
                f'{path}: does not tell the order of its images; the resumed run begins a new one'
            )
            return
        self._facts = self._facts or run_facts(runner)
        seed = runner._randomness_cfg.get('seed')
        if seed not in (None, saved['seed']):
            raise CheckpointError(
                f'{path}: is of a run with seed {saved["seed"]}, not {seed}; leave out the seed to '
                'continue that run, or start a new one from its weights (load_from)'
            )
        with_schedule = ['allow_length_change']
        if (runner.auto_scale_lr or {}).get('enable'):
            with_schedule.append('allow_world_size_change')
        for switch, names in _COMPARED.items():
            # Older checkpoints do not hold all of these.
            changed = [n for n in names if n in saved and saved[n] != self._facts[n]]
            if changed and not getattr(self, switch):
                raise CheckpointError(
                    f'{path}: is of a run with {_told(changed[0], saved, self._facts)}; restore '
                    'that, or give up an exact resume with '
                    f'default_hooks.exact_resume.{switch}=True'
                )
            if changed and switch in with_schedule:
                self._follows_config = True
                _drop_schedule(runner, checkpoint)
        for name, version in saved['versions'].items():
            if version != (here := self._facts['versions'].get(name)):
                runner.logger.warning(
                    f'{path}: was written with {name} {version}, this is {here}; the numbers of the '
                    'resumed run may differ'
                )
        self._buffers = checkpoint.get(BUFFERS, [])

    def before_train(self, runner: Runner) -> None:
        """Find out what is saved; give this process its own buffers back."""
        self._facts = self._facts or run_facts(runner)
        if self._follows_config:
            replay_schedule(runner)
        if len(self._buffers) == runner.world_size:
            set_buffers(runner.model, self._buffers[runner.rank])
        self._buffers = []

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Note that the model as it is now is validated; checkpoints keep it."""
        runner.message_hub.update_info(VALIDATED, runner.iter)

    def before_save(self, runner: Runner) -> None:
        """Collect the buffers of all processes; `SafeCheckpointHook` calls it in each of them."""
        if runner.world_size > 1:
            self._buffers = gather_buffers(runner.model)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add what resuming compares, and the buffers of the other processes."""
        # The seed may have come from the checkpoint that was resumed.
        checkpoint['meta'][KEY] = {**self._facts, 'seed': run_seed(runner)}
        for hook in _early_stopping(runner):
            counted = hook.wait_count, float(hook.best_score)
            checkpoint['meta'].setdefault(EARLY_STOPPING, []).append(counted)
        if 'optimizer' not in checkpoint:
            return
        if any(self._buffers):
            checkpoint[BUFFERS] = self._buffers
        if between_steps(runner, checkpoint['meta']['iter']):
            runner.logger.warning(
                'This checkpoint lies between two steps of the optimizer, whose accumulated '
                'gradients it lacks: a run resumed from it is not exact; set '
                'default_hooks.checkpoint.interval to a multiple of accumulative_counts'
            )


def gather_buffers(model: nn.Module) -> list[Buffers]:
    """By rank, the buffers that differ from the first process's, on the CPU; to be called by all.

    Gradients keep parameters equal, but each process counts its own running statistics (batch
    norm) or classes (Seesaw loss), and some of that is used in training.
    """
    own = {name: buffer.detach().cpu() for name, buffer in _saved_buffers(model).items()}
    first, *others = all_gather_object(own)
    return [{}] + [
        {name: buffer for name, buffer in buffers.items() if not torch.equal(buffer, first[name])}
        for buffers in others
    ]


def set_buffers(model: nn.Module, buffers: Mapping[str, torch.Tensor]) -> None:
    """Give a model, loaded from the checkpoint, what one process had beyond it."""
    own = _saved_buffers(model)
    for name, buffer in buffers.items():
        own[name].copy_(buffer)


def _saved_buffers(model: nn.Module) -> Buffers:
    model = bare_model(model)
    saved = model.state_dict()
    return {name: buffer for name, buffer in model.named_buffers() if name in saved}


def _drop_schedule(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Put the learning rates of the config into a checkpoint, and its schedule out.

    MMEngine would go by the rates of the old batch and the ends of the old length.
    """
    checkpoint.pop('param_schedulers', None)
    if groups := checkpoint.get('optimizer', {}).get('param_groups'):
        own = runner.optim_wrapper.optimizer.param_groups
        for saved, group in zip(groups, own, strict=True):
            saved.update({key: group[key] for key in ('lr', 'initial_lr') if key in group})


def _early_stopping(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]


def run_facts(runner: Runner) -> dict[str, Any]:
    """What must be equal, apart from the seed, for a run to continue exactly; plain values."""
    batches = runner.train_dataloader.batch_sampler
    dataset = runner.train_dataloader.dataset
    shapes = None
    if isinstance(batches, ExactAspectRatioBatchSampler):
        shapes = hashlib.sha256(np.packbits(batches.upright)).hexdigest()
    by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
    files = [getattr(part, 'ann_file', '') for part in inner_datasets(dataset)]
    repeated = [
        np.asarray(part.repeat_indices, dtype=np.int64)
        for *_, part in nested_datasets(dataset)
        if hasattr(part, 'repeat_indices')
    ]
    return {
        'iterations': runner.max_iters if by_iteration else None,
        'epochs': None if by_iteration else runner.max_epochs,
        'processes': runner.world_size,
        'batch_size': batches.batch_size,
        'images': len(dataset),
        'order': getattr(getattr(batches, 'sampler', None), 'rule', None),
        'repeats': [hashlib.sha256(indices).hexdigest() for indices in repeated],
        'shapes': shapes,
        'annotations': [file_digest(path) for path in files],
        'versions': versions(),
    }


def _told(name: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name in ('shapes', 'annotations'):
        return 'other training annotations'
    if name == 'repeats':
        return 'other images repeated (oversample_thr of ClassBalancedDataset)'
    if name == 'order':
        return f'the order {saved[name]!r} of its images, not {now[name]!r}'
    return f'{saved[name]} {name.replace("_", " ")}, not {now[name]}'
