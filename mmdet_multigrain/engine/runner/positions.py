"""The position of a run: its seed, its loader set to any batch, whether it is validated.

Here belongs what loops and hooks must agree on for a run to continue exactly.
"""

from __future__ import annotations

import warnings

from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets.samplers import ExactAspectRatioBatchSampler, ExactSampler
from mmdet_multigrain.utils.errors import ConfigError

# In the message hub, which a checkpoint keeps: iterations before the last validation.
VALIDATED = 'iter_of_validation'


def begin_at(dataloader: DataLoader, *, seed: int, epoch: int, batch: int) -> None:
    """Let the next iteration over a loader begin after any number of its batches.

    Samplers without end count all of them in epoch 0.

    Raises:
        ConfigError: Its sampler is not an exact one, and cannot begin anywhere.
    """
    batches = dataloader.batch_sampler
    sampler = exact_sampler(dataloader)
    if sampler is None:
        raise ConfigError(
            f'{type(getattr(batches, "sampler", batches)).__name__} cannot begin at an iteration; '
            'set train_dataloader.sampler.type=ExactInfiniteSampler (ExactSampler by epoch) and '
            'batch_sampler.type=ExactAspectRatioBatchSampler, or a loop of MMEngine'
        )
    sampler.seed = seed
    if isinstance(batches, ExactAspectRatioBatchSampler):
        batches.begin_at(epoch=epoch, batch=batch)
    else:
        sampler.begin_at(epoch=epoch, skip=batch * batches.batch_size)


def check_sampler(dataloader: DataLoader, *, by_epoch: bool) -> None:
    """Raise a one-line ConfigError if an exact sampler does not go with the loop.

    By epoch, a sampler without end would train on in the first epoch forever; by iteration, one that
    ends would stop the run after its first epoch.
    """
    sampler = exact_sampler(dataloader)
    if sampler is None or sampler.infinite != by_epoch:
        return
    what, other, loop = (
        ('never ends an epoch', 'ExactSampler', 'ExactIterBasedTrainLoop')
        if by_epoch
        else ('ends after one epoch', 'ExactInfiniteSampler', 'ExactEpochBasedTrainLoop')
    )
    raise ConfigError(
        f'{type(sampler).__name__} {what} and needs a train_cfg of type {loop}; take that, or set '
        f'train_dataloader.sampler.type={other}'
    )


def exact_sampler(dataloader: DataLoader) -> ExactSampler | None:
    """The sampler of a loader, if it is an exact one that its batches are made of as they come."""
    batches = dataloader.batch_sampler
    sampler = getattr(batches, 'sampler', None)
    plain = type(batches).__module__.startswith('torch.')
    known = plain or isinstance(batches, ExactAspectRatioBatchSampler)
    return sampler if known and isinstance(sampler, ExactSampler) else None


def run_seed(runner: Runner) -> int:
    """The seed of a run, the same in all processes, also with `diff_rank_seed`."""
    differs = runner._randomness_cfg.get('diff_rank_seed', False)
    return runner.seed - (runner.rank if differs else 0)


def replay_schedule(runner: Runner) -> None:
    """Step new schedulers up to where the run continues, from the values that they began with."""
    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        schedulers = [one for several in schedulers.values() for one in several]
    for scheduler in schedulers:
        groups = scheduler.optimizer.param_groups
        for group, value in zip(groups, scheduler.get_last_value(), strict=True):
            group[scheduler.param_name] = value
    epoch = len(runner.train_dataloader) if runner.epoch else runner.iter + 1
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the optimizer makes no steps
        for iteration in range(1, runner.iter + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch or iteration % epoch == 0:
                    scheduler.step()


def is_validated(runner: Runner) -> bool:
    """Whether the last validation saw the model as it is now."""
    return runner.message_hub.get_info(VALIDATED) == runner.iter


def between_steps(runner: Runner, iteration: int) -> bool:
    """Whether accumulated gradients are still unused after that many iterations."""
    steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    return iteration % steps != 0 and iteration != runner.max_iters
