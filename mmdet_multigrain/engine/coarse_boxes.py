"""Boxes without a class, before training: whether the model can take them, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from mmdet_multigrain.models import IgnoreRegionAssigner
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import show, show_list

from .data_access import bare_model, inner_datasets

_ASSIGNER = "type='IgnoreRegionAssigner', ignore_iof_thr=0.5"


def check_coarse_boxes(model: nn.Module, dataset: Any) -> None:
    """Raise a one-line ConfigError if a model cannot train as the data wants to be used.

    Boxes of which only the superclass is known need heads that take them; boxes that are to be
    ignored need assigners that know ignore regions.
    """
    model = bare_model(model)
    for part in inner_datasets(dataset):
        counts, ignored = getattr(part, 'coarse_counts', ()), getattr(part, 'num_ignored', 0)
        if sum(counts):
            _check_heads(model, part.ann_file, sum(counts))
        for name, assigner in _assigners(model) if ignored else ():
            if not isinstance(assigner, IgnoreRegionAssigner) or assigner.ignore_iof_thr <= 0:
                fix = (
                    f'set {_ASSIGNER} in model.train_cfg.rpn.assigner and '
                    'model.train_cfg.rcnn.assigner'
                )
                if not hasattr(model, 'roi_head'):
                    fix = 'take a two-stage detector'
                raise ConfigError(
                    f'{part.ann_file}: {ignored} boxes without a class are to be ignored, but '
                    f'the {type(assigner).__name__} of model.{name} makes them background; {fix}'
                )


def _check_heads(model: nn.Module, source: str, count: int) -> None:
    for name, head in model.named_modules():
        # An RPN and class-agnostic masks do not ask for the class.
        asks = hasattr(head, 'loss_cls') or getattr(head, 'class_agnostic', True) is False
        if asks and not name.startswith('rpn_head') and not getattr(head, 'takes_coarse_labels', 0):
            raise ConfigError(
                f'{source}: of {count} boxes only the superclass is known, which the '
                f'{type(head).__name__} of model.{name} cannot learn; take MultiGrainedBBoxHead '
                "(wgroup, wogroup), or set train_dataloader.dataset.coarse='ignore', and "
                f'{_ASSIGNER} in model.train_cfg.rpn.assigner and model.train_cfg.rcnn.assigner'
            )


def _assigners(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The assigners of a model with the names of their heads."""
    for name, module in model.named_modules():
        for key in ('assigner', 'bbox_assigner'):
            own = getattr(module, key, None)
            for assigner in own if isinstance(own, list | tuple) else (own,):
                if assigner is not None:
                    yield name, assigner


def coarse_lines(dataset: Any) -> list[str]:
    """Lines for below the class table: boxes of superclasses, and classes named like their group."""
    lines = []
    for part in inner_datasets(dataset):
        if not hasattr(part, 'coarse_counts'):
            continue
        taxonomy = Taxonomy.load(part.metainfo['taxonomy'])
        labels, num_classes = taxonomy.labels, taxonomy.num_classes
        nodes = []
        for label, count in enumerate(part.coarse_counts, num_classes + 1):
            level = labels.levels[label]
            place = 'any class' if level is None else taxonomy.level_title(level)
            nodes += [f'{labels.names[label]} {count} ({place})'] if count else []
        if nodes:
            lines.append(f'{part.ann_file}: boxes with a superclass only: {", ".join(nodes)}')
        if part.num_ignored:
            lines.append(f'{part.ann_file}: {part.num_ignored} boxes without a class are ignored')
        for name, count, others in _namesakes(taxonomy, part.box_counts):
            lines.append(
                f'{part.ann_file}: {show(name)} is a class and the superclass of '
                f'{show_list(others)}; its {count} boxes are the class, negatives of the others. If '
                'they may be any of these, leave the class out of the taxonomy'
            )
    return lines


def _namesakes(taxonomy: Taxonomy, counts: list[int]) -> Iterator[tuple[str, int, list[str]]]:
    """Annotated classes that have the name of their group: name, boxes, the group's others."""
    labels, num_classes = taxonomy.labels, taxonomy.num_classes
    for label, (name, count) in enumerate(zip(taxonomy.classes, counts, strict=True)):
        for group in range(num_classes + 1, len(labels) - 1):
            same_name = normalize(labels.names[group]) == normalize(name)
            if count and same_name and labels.sets[group, label]:
                members = labels.sets[group].nonzero()[0]
                yield name, count, [taxonomy.classes[k] for k in members if k != label]
