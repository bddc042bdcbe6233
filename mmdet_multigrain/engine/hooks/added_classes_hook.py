"""Train classes that `tools/add_class.py` added, and keep the old ones bit for bit as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_multigrain.models import MultiGrainedBBoxHead, NorCal
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError

from ..checkpoint.added_classes import ADDED, added_by
from ..data_access import bare_model, inner_datasets, taxonomy_of_data

FREEZE = ('all_but_new', 'fine_branch', 'none')
# Rows of a tensor that learn, by its name; None: all.
Learning = dict[str, Sequence[int] | None]


@HOOKS.register_module()
class AddedClassesHook(Hook):
    """Freeze what a detector knew before classes were added to it.

    Parameters that are frozen as a whole get no gradient, and batch norm in frozen parts keeps its
    statistics. Frozen rows of a predictor get a gradient of 0, and after each step their old
    values back: frozen values and their moving averages (`EMAHook`) are equal bit for bit, whatever
    the optimizer.

    Args:
        freeze: What is frozen. 'all_but_new': all but the rows of the new classes and groups.
            'fine_branch': backbone, neck, the branch of the fine level and the old rows of its
            predictors; the RPN and coarser branches learn, too. 'none': nothing.
            Defaults to 'all_but_new'.

    Raises:
        CheckpointError: The run starts from a checkpoint without added classes, or NorCal would
            not know the training boxes of the old ones.
        ConfigError: `freeze` is unknown, the data lacks a new class, or several processes would
            wait for gradients of what is frozen.
    """

    # Its rows are back before other hooks (EMA, checkpoints) look at the model.
    priority = 'VERY_HIGH'

    def __init__(self, freeze: str = 'all_but_new') -> None:
        if freeze not in FREEZE:
            raise ConfigError(f'freeze={freeze!r}: must be one of {FREEZE}')
        self.freeze = freeze
        self._added: list[dict[str, Any]] = []
        self._started = 0.0
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []
        self._norms: list[_BatchNorm] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read which classes were added."""
        self._added = added_by(checkpoint)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the record, with the seconds of training so far."""
        *before, last = self._added
        seconds = last.get('seconds', 0) + time.monotonic() - self._started
        checkpoint['meta'][ADDED] = [*before, last | {'seconds': seconds}]

    def before_train(self, runner: Runner) -> None:
        """Freeze."""
        if not self._added:
            raise CheckpointError(
                f'{runner._load_from}: no class was added to it; start from what tools/add_class.py '
                'wrote (load_from), or leave AddedClassesHook out'
            )
        self._started = time.monotonic()
        if self.freeze == 'none':
            return
        if getattr(runner.model, 'find_unused_parameters', True) is False:
            raise ConfigError(
                f'freeze={self.freeze!r}: several processes would wait for gradients of frozen '
                'parameters; set find_unused_parameters=True'
            )
        model = bare_model(runner.model)
        metainfo = next(inner_datasets(runner.train_dataloader.dataset)).metainfo
        find = taxonomy_of_data(metainfo).label_of
        labels = [find(name, 'the training data') for name in self._added[-1]['classes']]
        learning = learning_rows(model, labels, self.freeze)
        values = sum(self._set(name, value, learning) for name, value in model.named_parameters())
        old = [label for label in range(len(metainfo['classes'])) if label not in labels]
        for part in model.modules():
            if isinstance(part, NorCal):  # new photos tell the boxes of new classes only
                counts = part.class_counts[old].clone()
                if not counts.any():
                    raise CheckpointError(
                        f'{runner._load_from}: lacks the training boxes of the old classes, which '
                        'NorCal needs; add them before the new class (tools/analysis_tools/'
                        'sweep_scores.py --out-checkpoint), or leave fusion out'
                    )
                self._kept.append((part.class_counts, torch.tensor(old), counts))
        self._norms = [
            part
            for name, part in model.named_modules()
            if isinstance(part, _BatchNorm) and not any(key.startswith(name) for key in learning)
        ]
        runner.logger.info(
            f'Frozen ({self.freeze}): all but {values:,} values of {", ".join(learning)}'
        )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep frozen batch norm in evaluation; a validation turns training on again."""
        for part in self._norms:
            part.eval()

    def before_val(self, runner: Runner) -> None:
        """Give NorCal its counts back: a resumed run may validate before its first iteration."""
        self._give_back()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Give frozen rows their values back."""
        self._give_back()

    @torch.no_grad()
    def _give_back(self) -> None:
        for parameter, rows, values in self._kept:
            parameter[rows] = values

    def _set(self, name: str, parameter: nn.Parameter, learning: Learning) -> int:
        """Freeze a parameter, or rows of it; returns how many of its values learn."""
        rows = learning.get(name, ())
        if rows is None:
            return parameter.numel() * parameter.requires_grad
        if not len(rows):
            parameter.requires_grad_(False)
            return 0
        is_frozen = torch.ones(len(parameter), dtype=torch.bool, device=parameter.device)
        is_frozen[list(rows)] = False
        frozen = is_frozen.nonzero()[:, 0]
        # Gradients of 0 do not count in a norm that gradients are clipped by.
        parameter.register_hook(lambda gradient: gradient.index_fill(0, frozen, 0))
        self._kept.append((parameter, frozen, parameter.detach()[frozen].clone()))
        return parameter[0].numel() * len(rows)


def learning_rows(model: nn.Module, labels: Sequence[int], freeze: str) -> Learning:
    """The parameters that learn: names, and rows where only new classes (`labels`) or groups do."""
    learning: Learning = {}
    for name, part in model.named_modules():
        if isinstance(part, BBoxHead):
            layers = dict(_of_head(part, labels))
            if freeze == 'fine_branch' and isinstance(part, MultiGrainedBBoxHead):
                layers |= dict(_coarse_branches(part))
        elif hasattr(part, 'conv_logits') and not getattr(part, 'class_agnostic', False):
            layers = {f'conv_logits.{key}': list(labels) for key in ('weight', 'bias')}
        else:
            continue
        learning |= {f'{name}.{key}': rows for key, rows in layers.items()}
    if freeze == 'fine_branch' and hasattr(model, 'rpn_head'):
        learning |= {f'rpn_head.{key}': None for key, _ in model.rpn_head.named_parameters()}
    return learning


def _of_head(head: BBoxHead, labels: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """The rows of new classes and groups in the predictors of a box head."""
    rows = {'fc_cls': list(labels)}
    if head.with_reg and not head.reg_class_agnostic:
        new = list(labels)
        if getattr(head, 'reg_rows', None) is not None:
            new = _new_groups(head.reg_taxonomy, -2, labels)
        rows['fc_reg'] = _blocks(new)
    if isinstance(head, MultiGrainedBBoxHead):
        for level in range(len(head.coarse_fc_cls)):
            rows[f'coarse_fc_cls.{level}'] = _new_groups(head.taxonomy, level, labels)
        for level in () if head.reg_class_agnostic else head.coarse_fc_reg:
            new = _new_groups(head.taxonomy, int(level), labels)
            rows[f'coarse_fc_reg.{level}'] = _blocks(new)
    for layer, index in rows.items():
        for key, _ in head.get_submodule(layer).named_parameters():
            if index:
                yield f'{layer}.{key}', index


def _new_groups(taxonomy: Taxonomy, level: int, labels: Sequence[int]) -> list[int]:
    """Groups of which all classes are new."""
    index = taxonomy.group_index(level)
    old = {group for label, group in enumerate(index) if label not in labels}
    return sorted(set(index) - old)


def _blocks(rows: Sequence[int]) -> list[int]:
    return [4 * row + part for row in rows for part in range(4)]


def _coarse_branches(head: MultiGrainedBBoxHead) -> Iterator[tuple[str, Sequence[int] | None]]:
    """What the fine level does not read: branches of the others, and their predictors."""
    fine = len(head.branch_depths) - 1
    for key, _ in head.named_parameters():
        if key.startswith('branch_in.'):
            yield key, range(fine * head.fc_out_channels)
        elif key.startswith('coarse_fc_') or (
            key.startswith('branch_fcs.') and int(key.split('.')[1]) < fine
        ):
            yield key, None
