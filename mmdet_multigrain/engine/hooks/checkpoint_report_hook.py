"""Say what a checkpoint gave to the model, and refuse one that does not fit where it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch import nn

from mmdet_multigrain.utils.errors import CheckpointError, ConfigError

from ..checkpoint.box_heads import carry_box_heads
from ..checkpoint.frozen import frozen_at_random
from ..checkpoint.read import (
    Fit,
    check_mapping,
    keep_what_fits,
    misfit,
    other_classes,
    other_groups,
    state_dict_of,
    trained_on,
)
from ..checkpoint.training_record import NO_RECORD, is_missed, keep_record, other_training, recorded
from ..data_access import bare_model, inner_datasets

# One branch or predictor is a useful unit; a ResNet block is not.
_DEPTH = {'backbone': 1, 'neck': 1, 'rpn_head': 1}
# What a run resumes from, in addition to its weights. The best checkpoint has no optimizer.
_STATE = ('meta', 'message_hub', 'optimizer')


@HOOKS.register_module()
class CheckpointReportHook(Hook):
    """Report loaded, new and skipped tensors whenever a checkpoint is loaded.

    Starting from another detector (`load_from`) may leave tensors out: those of other shape are
    skipped, and box heads take what `carry_box_heads` says. Testing and resuming may not: every
    tensor of the model has to come from the checkpoint, its classes have to be those of the data,
    label by label, and the model has to be what it was trained as
    (`engine.checkpoint.training_record`), which the hook writes into checkpoints. To train on, the
    data has to group the classes as before; a test may group them in another way.

    The config decides on a start by `load_box_head` (see `carry_box_heads`),
    `allow_unmatched_checkpoint` and `allow_random_frozen`.

    Raises:
        CheckpointError: When resuming, or before testing or validating alone, if that is not so;
            when starting, if the checkpoint gives no tensor at all.
        ConfigError: Before training, if a frozen part of the backbone has random values.
    """

    priority = 'HIGH'

    def __init__(self) -> None:
        self._problem: str | None = None
        self._trained_on: Mapping[str, Any] = {}
        self._has_no_record = False
        self._loaded: frozenset[str] = frozenset()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Drop what does not fit from the checkpoint and log what is left."""
        check_mapping(runner._load_from, checkpoint)
        model = bare_model(runner.model)
        is_training = isinstance(getattr(runner, '_train_loop', None), BaseLoop)  # built before
        starts = is_training and not runner._resume
        keys = list(state_dict_of(checkpoint))
        carried: list[str] = []
        if starts:
            data = next(inner_datasets(runner.train_dataloader.dataset)).metainfo
            options = dict(load_box_head=runner.cfg.get('load_box_head'))
            carried = carry_box_heads(model, checkpoint, data, **options)
        fit = keep_what_fits(model, checkpoint)
        if starts and not fit.loaded and not runner.cfg.get('allow_unmatched_checkpoint'):
            raise _unmatched(runner._load_from, keys, fit)
        runner.logger.info('\n'.join([*_fit_lines(fit), *carried]))
        self._loaded = frozenset(fit.loaded)
        record = recorded(checkpoint)
        self._problem = fit.problem or other_training(record, model)
        self._has_no_record = is_missed(model, record)
        self._trained_on = trained_on(checkpoint)
        if runner._resume:  # now: MMEngine continues with the optimizer, whose error says less
            self._check(runner, 'resume', runner.train_dataloader.dataset)
            lacking = [key for key in _STATE if key not in checkpoint]
            if lacking:
                raise CheckpointError(
                    f"{runner._load_from}: cannot be resumed, it has no '{lacking[0]}'; resume a "
                    'checkpoint that training saved (not the best), or start from its weights '
                    '(load_from)'
                )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Write what the model is trained as."""
        keep_record(bare_model(runner.model), checkpoint)

    def before_train(self, runner: Runner) -> None:
        """Refuse a backbone that would stay at random values, and forget the checkpoint."""
        if not (runner._resume or runner.cfg.get('allow_random_frozen')):
            _check_frozen(bare_model(runner.model), self._loaded, load_from=runner._load_from)
        self._problem, self._trained_on, self._has_no_record = None, {}, False

    def before_val(self, runner: Runner) -> None:
        """Stop a validation without training whose checkpoint does not fit."""
        self._check(runner, 'validate', runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Stop a test whose checkpoint does not fit."""
        self._check(runner, 'test', runner.test_dataloader.dataset)

    def _check(self, runner: Runner, purpose: str, dataset: Any) -> None:
        for part in inner_datasets(dataset):
            problem = self._problem or other_classes(self._trained_on, part.metainfo)
            if problem is None and purpose == 'resume':
                problem = other_groups(self._trained_on, part.metainfo)
            if problem is not None:
                raise misfit(runner._load_from, purpose, problem)
        if self._has_no_record:
            runner.logger.warning(f'{runner._load_from}: {NO_RECORD}')
            self._has_no_record = False


def _fit_lines(fit: Fit) -> list[str]:
    total = len(fit.loaded) + len(fit.new)
    lines = [f'Checkpoint gives {len(fit.loaded)} of the {total} tensors of the model']
    if fit.new:
        lines.append(f'  new, not in the checkpoint: {_by_module(fit.new)}')
    if fit.skipped:
        lines.append(f'  skipped, of other shape or unknown: {_by_module(fit.skipped)}')
    return lines


def _unmatched(path: str, keys: list[str], fit: Fit) -> CheckpointError:
    first = f'{keys[0]!r}' if keys else 'nothing'
    return CheckpointError(
        f'{path}: gives 0 of the {len(fit.new)} tensors of the model (it begins with {first}, the '
        f'model with {fit.new[0]!r}); name a checkpoint of such a detector, give weights of a '
        'backbone by model.backbone.init_cfg, or set allow_unmatched_checkpoint=True'
    )


def _check_frozen(model: nn.Module, loaded: frozenset[str], *, load_from: str | None) -> None:
    names = frozen_at_random(model, loaded)
    if not names:
        return
    statistics = {name for name in names if name.endswith(('.running_mean', '.running_var'))}
    frozen = {name.rpartition('.')[0] for name in names if name not in statistics}
    what, keys = 'batch norm of the backbone keeps statistics that it never learned', []
    if frozen:
        what, keys = 'frozen stages of the backbone stay at random values', ['frozen_stages=-1']
    if {name.rpartition('.')[0] for name in statistics} - frozen:
        keys.append('norm_eval=False')
    more = f' and {len(names) - 1} more tensors' if len(names) > 1 else ''
    raise ConfigError(
        f'load_from={load_from}: {what} ({names[0]}{more}); set load_from or '
        'model.backbone.init_cfg to weights that fit, or '
        f'{" and ".join(f"model.backbone.{key}" for key in keys)}, or allow_random_frozen=True'
    )


def _by_module(names: Iterable[str]) -> str:
    """Names of tensors, counted by module: 'backbone (530), roi_head.bbox_head.fc_cls (2)'."""
    counts = Counter()
    for name in names:
        parts = name.split('.')
        counts['.'.join(parts[: _DEPTH.get(parts[0], len(parts) - 1)])] += 1
    return ', '.join(f'{module} ({count})' for module, count in counts.items())
