"""Check, before the first iteration, that data and model fit, and that validation will run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.mask_heads import FusedSemanticHead
from mmdet.registry import HOOKS
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmdet_multigrain.models import NorCal
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError
from mmdet_multigrain.utils.messages import show_list
from mmdet_multigrain.utils.table import Column, Table

from ..data_access import bare_model, inner_datasets
from ..incomplete_labels import (
    check_coarse_boxes,
    check_masks,
    check_unannotated,
    coarse_lines,
    unannotated_lines,
)
from ..main_process import on_main_process
from ..resampling import resampling_lines


@HOOKS.register_module()
class PreflightHook(Hook):
    """Compare heads and data sets; print the class table and the effective learning rate.

    Without a box to train or to evaluate on the run stops; classes without any are named. The
    number of classes, their names and order, and their superclasses must agree between every head
    and the training data; those of data to evaluate on may have other superclasses. The model must
    be able to learn boxes without a class, ignore them, and leave out classes that a file does not
    annotate. What would stop the first validation stops the run before its first iteration: images
    that are missing or damaged, or annotations that the evaluator cannot use. Before a test, the
    latter are checked, too.

    Raises:
        AnnotationError: There is no box to train or to evaluate on.
        MultigrainError: Model and data do not agree, or validation would fail.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training and validation data; print what the run starts from."""
        dataset = runner.train_dataloader.dataset
        check_data(runner.model, dataset)
        check_boxes(dataset, 'train on')
        check_coarse_boxes(runner.model, dataset)
        check_unannotated(runner.model, dataset)
        check_masks(runner.model, dataset)
        counts = box_counts(dataset)
        give_counts(runner.model, counts)
        if runner.val_loop is not None:
            check_data(runner.model, runner.val_dataloader.dataset, with_groups=False)
            check_boxes(runner.val_dataloader.dataset, 'evaluate on')
            metrics = runner.val_loop.evaluator.metrics
            check_masks(runner.model, runner.val_dataloader.dataset, metrics)
            runner.logger.info('Checking the photos and annotations to evaluate on')
            on_main_process(lambda: check_validation(runner.val_loop))
        metainfo = next(inner_datasets(dataset)).metainfo
        if 'taxonomy' in metainfo:
            taxonomy = Taxonomy.load(metainfo['taxonomy'])
            sampler = getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
            lines = [
                f'Classes of {_sources(dataset)}:',
                class_table(taxonomy, counts),
                *coarse_lines(dataset),
                *unannotated_lines(dataset),
                *empty_line(dataset),
                *resampling_lines(dataset, sampler, taxonomy.classes),
            ]
            runner.logger.info('\n'.join(lines))
            if counts is not None and 0 in counts:
                never = [taxonomy.classes[label] for label, n in enumerate(counts) if not n]
                runner.logger.warning(
                    f'{_sources(dataset)}: {len(never)} of {len(counts)} classes have no training '
                    f'box and WILL NEVER BE LEARNED: {show_list(never)}; add boxes, or leave them '
                    'out of the taxonomy'
                )
        runner.logger.info(length_line(runner))
        runner.logger.info(learning_rate_line(runner))

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        check_data(runner.model, runner.test_dataloader.dataset, with_groups=False)
        check_scored(runner.test_loop, runner.test_dataloader.dataset)
        on_main_process(lambda: check_metrics(runner.test_loop))


def check_data(model: nn.Module, dataset: Any, *, with_groups: bool = True) -> None:
    """Check the heads against a data set, or against each one that a wrapper holds."""
    for part in inner_datasets(dataset):
        check_heads(model, part.metainfo, source=_source(part), with_groups=with_groups)


def check_boxes(dataset: Any, purpose: str) -> None:
    """Raise a one-line AnnotationError if no box counts in a data set and all that it wraps."""
    if not has_boxes(dataset):
        raise AnnotationError(
            f'{_sources(dataset)}: no box to {purpose}: all are crowds, outside their image, '
            'smaller than a pixel, or marked ignore, or there are none; tools/check_dataset.py '
            'names them'
        )


def check_validation(loop: BaseLoop) -> None:
    """Raise what would stop the first validation, if data sets and metrics can tell."""
    for part in inner_datasets(loop.dataloader.dataset):
        if hasattr(part, 'check_images'):
            part.check_images()
    check_metrics(loop)


def check_metrics(loop: BaseLoop) -> None:
    """Raise what metrics cannot use of their files, before anything is detected."""
    metrics = [metric for metric in loop.evaluator.metrics if hasattr(metric, 'check_data')]
    if metrics:
        image_ids = [
            part.get_data_info(idx)['img_id']
            for part in inner_datasets(loop.dataloader.dataset)
            for idx in range(len(part))
        ]
        for metric in metrics:
            metric.check_data(image_ids)


def check_scored(loop: Any, dataset: Any) -> None:
    """Raise a one-line ConfigError if detections are to be scored on data without boxes."""
    metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', ())
    if all(getattr(metric, 'format_only', False) for metric in metrics):
        return
    if not has_boxes(dataset):
        raise ConfigError(
            f'{_sources(dataset)}: no boxes to score detections against; take annotated data, or '
            'only write the detections, as for a test set: --cfg-options test_evaluator.format_only=True'
        )


def check_heads(
    model: nn.Module, metainfo: dict[str, Any], *, source: str, with_groups: bool = True
) -> None:
    """Raise a one-line ConfigError if a head of `model` does not fit the data's classes.

    With `with_groups` the superclasses must agree, too. `source` says where `metainfo` is from.
    """
    model = bare_model(model)
    check_stages(model)
    classes = tuple(metainfo['classes'])
    taxonomy = metainfo.get('taxonomy')
    taxonomy = None if taxonomy is None else Taxonomy.load(taxonomy)
    for name, head in model.named_modules():
        # Fused semantic heads count classes of "stuff", class-agnostic masks count none.
        is_head = ('roi_head' in name or 'bbox_head' in name) and hasattr(head, 'num_classes')
        is_free = isinstance(head, FusedSemanticHead) or getattr(head, 'class_agnostic', False)
        if is_free or not is_head:
            continue
        own = getattr(head, 'taxonomy', None)
        if head.num_classes != len(classes):
            number = '' if own is not None else f' (or num_classes={len(classes)})'
            raise ConfigError(
                f'model.{name} has {head.num_classes} classes, the data in {source} '
                f'{len(classes)}; give both the same taxonomy{number}'
            )
        if own is None:
            continue
        for label, (of_head, of_data) in enumerate(zip(own.classes, classes, strict=True)):
            if of_head != of_data:
                raise ConfigError(
                    f'label {label} is {of_head!r} in model.{name} but {of_data!r} in {source}; '
                    'give both the same taxonomy'
                )
        if taxonomy is None or own.is_ungrouped or own.has_one_group or not with_groups:
            continue
        if own.num_levels != taxonomy.num_levels:
            raise ConfigError(
                f'model.{name} has {own.num_levels} levels, the taxonomy of {source} '
                f'{taxonomy.num_levels}; give both the same taxonomy'
            )
        for level in range(own.num_levels - 1):
            for label, of_data in enumerate(classes):
                groups = own.superclass_of(label, level), taxonomy.superclass_of(label, level)
                if groups[0] != groups[1]:
                    raise ConfigError(
                        f'{of_data!r} belongs to {groups[0]!r} in model.{name} but to '
                        f'{groups[1]!r} in {source}; give both the same taxonomy'
                    )


def check_stages(model: nn.Module) -> None:
    """Raise a one-line ConfigError if only some stages of a cascade give scores of all levels.

    A cascade averages the scores of its stages.
    """
    stages = getattr(getattr(model, 'roi_head', None), 'bbox_head', None)
    if not isinstance(stages, nn.ModuleList):
        return
    fuses = [getattr(getattr(head, 'loss_cls', None), 'fuses_levels', False) for head in stages]
    if any(fuses) and not all(fuses):
        raise ConfigError(
            f'model.roi_head.bbox_head.{fuses.index(False)} has no fusion of levels, but '
            f'model.roi_head.bbox_head.{fuses.index(True)} has; give all {len(fuses)} stages the same'
        )


def class_table(taxonomy: Taxonomy, counts: list[int] | None) -> str:
    """Text table: label, class, superclass (all coarser levels; a column for each tree), boxes."""
    columns = [Column('label'), Column('class', left=True)]
    columns += [Column(tree or 'superclass', left=True) for tree in taxonomy.forest]
    trees = [taxonomy.levels_of(tree or None) for tree in taxonomy.forest]
    rows = []
    for label, name in enumerate(taxonomy.classes):
        paths = (
            ' / '.join(taxonomy.superclass_of(label, level) for level in levels) for levels in trees
        )
        rows.append((label, name, *paths, '?' if counts is None else counts[label]))
    return Table((*columns, Column('boxes')), rows).text()


def length_line(runner: Runner) -> str:
    """One line on the length of the run in iterations, epochs and checkpoints."""
    images = len(runner.train_dataloader.dataset)
    batch = runner.world_size * runner.train_dataloader.batch_sampler.batch_size
    iterations = runner.max_iters
    line = (
        f'Run of {iterations} iterations with {batch} images each: '
        f'{iterations * batch / images:.3g} epochs of {images} images'
    )
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.interval > 0:
            unit = 'epochs' if hook.by_epoch else 'iterations'
            length = runner.max_epochs if hook.by_epoch else iterations
            line += f'; {-(-length // hook.interval)} checkpoints, every {hook.interval} {unit}'
    return line


def learning_rate_line(runner: Runner) -> str:
    """One line on the learning rate after warm-up and the batch it is used with."""
    # Of the optimizer: its wrapper adds a group of base settings, which scaling leaves alone.
    groups = runner.optim_wrapper.optimizer.param_groups
    # Parts of the model may have smaller rates (paramwise_cfg).
    rate = max(group.get('initial_lr', group['lr']) for group in groups)
    steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    batch = runner.world_size * runner.train_dataloader.batch_sampler.batch_size * steps
    line = f'Learning rate {rate:g} after warm-up, for batches of {batch} images'
    if steps > 1:
        line += f' ({steps} steps accumulated)'
    scaling = runner.cfg.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size', batch)
    if scaling.get('enable'):
        line += f'; scaled from the schedule for {base} (the number of iterations is not scaled)'
        scaled = rate * steps  # MMEngine scales by the images of a step, without accumulation
    else:
        scaled = rate if batch == base else rate * batch / base
        if scaled != rate:
            line += f'; the schedule is for {base}'
    if scaled != rate:
        line += f': {"auto_scale_lr" if steps == 1 else "linear scaling"} gives {scaled:g}'
    return line


def box_counts(dataset: Any) -> list[int] | None:
    """Boxes of each class in a data set and whatever it wraps; None if one of them is unknown."""
    counts = [getattr(part, 'box_counts', None) for part in inner_datasets(dataset)]
    return None if None in counts else [sum(column) for column in zip(*counts, strict=True)]


def give_counts(model: nn.Module, counts: Sequence[int] | None) -> None:
    """Give NorCal the boxes of each class, if they are known; checkpoints keep them."""
    for part in model.modules():
        if isinstance(part, NorCal) and counts is not None:
            part.class_counts.copy_(torch.tensor([*counts]))


def has_boxes(dataset: Any) -> bool:
    """Whether a box of any granularity counts in a data set; True if unknown."""
    counts = box_counts(dataset)
    coarse = (sum(getattr(part, 'coarse_counts', ())) for part in inner_datasets(dataset))
    return counts is None or any(counts) or any(coarse)


def empty_line(dataset: Any) -> list[str]:
    """One line on the photos without objects, for below the class table; none if unknown."""
    counts = [getattr(part, 'empty_counts', None) for part in inner_datasets(dataset)]
    if None in counts:
        return []
    kept, dropped = (sum(column) for column in zip(*counts, strict=True))
    return [f'Photos without objects: {kept} kept as negatives, {dropped} left out']


def _sources(dataset: Any) -> str:
    return ', '.join(map(_source, inner_datasets(dataset)))


def _source(dataset: Any) -> str:
    return getattr(dataset, 'ann_file', '') or type(dataset).__name__
