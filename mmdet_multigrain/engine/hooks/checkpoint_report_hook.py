"""Say what a checkpoint gave to the model, and refuse one that does not fit where it must."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

# One branch or predictor is a useful unit; a ResNet block is not.
_DEPTH = {'backbone': 1, 'neck': 1, 'rpn_head': 1}


@HOOKS.register_module()
class CheckpointReportHook(Hook):
    """Report loaded, new and skipped tensors whenever a checkpoint is loaded.

    Starting from another detector (`load_from`) may leave tensors out: those of other shape are
    skipped, not loaded. Testing and resuming must not: every tensor of the model has to come from
    the checkpoint.

    Raises:
        ValueError: Before testing or when resuming, if tensors are missing or of other shape.
    """

    priority = 'HIGH'

    def __init__(self) -> None:
        self._problem: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Drop what does not fit from the checkpoint and log what is left."""
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        own = model.state_dict()
        given = checkpoint.get('state_dict', checkpoint)
        names = {key: key.removeprefix('module.') for key in given}
        skipped = [
            key
            for key, name in names.items()
            if name not in own or own[name].shape != given[key].shape
        ]
        other_shape = [key for key in skipped if names[key] in own]
        self._problem = None
        if other_shape:
            key = other_shape[0]
            self._problem = (
                f'{names[key]} has shape {tuple(given[key].shape)} in the checkpoint but '
                f'{tuple(own[names[key]].shape)} in the model'
            )
        for key in skipped:
            del given[key]
        loaded = {names[key] for key in given}
        new = [name for name in own if name not in loaded]
        if new and self._problem is None:
            self._problem = f'{new[0]} is not in the checkpoint'
        if self._problem is not None:
            classes = (checkpoint.get('meta') or {}).get('dataset_meta', {}).get('classes')
            if classes is not None:
                self._problem += f' (trained on {len(classes)} classes: {_abridged(classes)})'
        lines = [f'Checkpoint gives {len(loaded)} of the {len(own)} tensors of the model']
        if new:
            lines.append(f'  new, not in the checkpoint: {_by_module(new)}')
        if skipped:
            lines.append(
                f'  skipped, of other shape or unknown: {_by_module(map(names.get, skipped))}'
            )
        runner.logger.info('\n'.join(lines))

    def before_train(self, runner: Runner) -> None:
        """Stop a resumed run whose checkpoint does not fit."""
        if runner._resume:
            self._stop(runner, 'resume')

    def before_test(self, runner: Runner) -> None:
        """Stop a test whose checkpoint does not fit."""
        self._stop(runner, 'test')

    def _stop(self, runner: Runner, purpose: str) -> None:
        if self._problem is not None:
            raise ValueError(
                f'{runner._load_from}: cannot {purpose} with this config: {self._problem}; '
                'use the config that the checkpoint was trained with'
            )


def _by_module(names: Any) -> str:
    """Names of tensors, counted by module: 'backbone (530), roi_head.bbox_head.fc_cls (2)'."""
    counts = Counter()
    for name in names:
        parts = name.split('.')
        counts['.'.join(parts[: _DEPTH.get(parts[0], len(parts) - 1)])] += 1
    return ', '.join(f'{module} ({count})' for module, count in counts.items())


def _abridged(classes: Any) -> str:
    names = [str(name) for name in classes]
    return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
