"""Incomplete labels, before training: boxes without a class or a mask, classes without boxes.

Whether the model can take them, and how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmdet.datasets import MultiImageMixDataset
from torch import nn

from mmdet_multigrain.coco.unannotated import PER_IMAGE
from mmdet_multigrain.models import IgnoreRegionAssigner
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError
from mmdet_multigrain.utils.messages import show, show_list

from .data_access import bare_model, inner_datasets, is_wrapper, nested_datasets

_ASSIGNERS = (
    "type='IgnoreRegionAssigner', ignore_iof_thr=0.5 in model.train_cfg.rpn.assigner and "
    'model.train_cfg.rcnn.assigner'
)
_RPN = "type='Float32RPNHead', unannotated_thr=0.5"


def check_coarse_boxes(model: nn.Module, dataset: Any) -> None:
    """Raise a one-line ConfigError if a model cannot train as the data wants to be used.

    Boxes of which only the superclass is known need heads that take them and know the groups of the
    data, even if they are trained without groups; boxes that are to be ignored need assigners that
    know ignore regions.
    """
    model = bare_model(model)
    for part in inner_datasets(dataset):
        counts, ignored = getattr(part, 'coarse_counts', ()), getattr(part, 'num_ignored', 0)
        if sum(counts):
            taxonomy = Taxonomy.load(part.metainfo['taxonomy'])
            _check_heads(model, part.ann_file, sum(counts), taxonomy)
        for name, assigner in _assigners(model) if ignored else ():
            if not isinstance(assigner, IgnoreRegionAssigner) or assigner.ignore_iof_thr <= 0:
                two_stages = hasattr(model, 'roi_head')
                fix = f'set {_ASSIGNERS}' if two_stages else 'take a two-stage detector'
                raise ConfigError(
                    f'{part.ann_file}: {ignored} boxes without a class are to be ignored, but '
                    f'the {type(assigner).__name__} of model.{name} makes them background; {fix}'
                )


def _check_heads(model: nn.Module, source: str, count: int, taxonomy: Taxonomy) -> None:
    ignore = f"set train_dataloader.dataset.coarse='ignore', and {_ASSIGNERS}"
    for name, head in model.named_modules():
        # An RPN and class-agnostic masks do not ask for the class.
        asks = hasattr(head, 'loss_cls') or getattr(head, 'class_agnostic', True) is False
        if not asks or name.startswith('rpn_head'):
            continue
        if not getattr(head, 'takes_coarse_labels', False):
            raise ConfigError(
                f'{source}: of {count} boxes only the superclass is known, which the '
                f'{type(head).__name__} of model.{name} cannot learn; take MultiGrainedBBoxHead '
                f'(wgroup, wogroup), or {ignore}'
            )
        own = getattr(head, 'label_taxonomy', head.taxonomy)
        if not np.array_equal(own.labels.sets, taxonomy.labels.sets):
            raise ConfigError(
                f'{source}: of {count} boxes only the superclass is known, but the groups of '
                f'model.{name} are others; give both the same taxonomy, or {ignore}'
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


def check_masks(model: nn.Module, dataset: Any, metrics: Sequence[Any] | None = None) -> None:
    """Raise a one-line AnnotationError if a model with masks is to learn from boxes without them.

    `metrics` evaluate on the data, and need masks for 'segm' only; None: it is to train on.
    """
    if not getattr(getattr(bare_model(model), 'roi_head', None), 'with_mask', False):
        return
    if metrics is not None and not any('segm' in getattr(m, 'metrics', ()) for m in metrics):
        return
    for part in inner_datasets(dataset):
        infos = map(part.get_data_info, range(len(part)))
        boxes = [one for info in infos for one in info['instances']]
        without = sum('mask' not in one for one in boxes)
        if without:
            purpose = 'train with' if metrics is None else "evaluate ('segm')"
            raise AnnotationError(
                f'{part.ann_file}: {without} of {len(boxes)} boxes have no mask (segmentation) to '
                f'{purpose}; add masks, or leave mask out of the bases of the config'
            )


def check_unannotated(model: nn.Module, dataset: Any) -> None:
    """Raise a one-line ConfigError if objects without a box would be learned as background."""
    model = bare_model(model)
    for *wrappers, part in nested_datasets(dataset):
        counts = getattr(part, 'annotated_counts', None) or ()
        if is_wrapper(part) or all(count == len(part) for count in counts):
            continue
        starts = f'{part.ann_file}: annotates only some classes, but'
        if mixing := _mixing(part, wrappers):
            raise ConfigError(
                f'{starts} {mixing} mixes its images with others, of which other classes may be '
                'annotated; take it out'
            )
        _check_model(model, starts)


def _check_model(model: nn.Module, starts: str) -> None:
    rpn, roi_head = getattr(model, 'rpn_head', None), getattr(model, 'roi_head', None)
    if roi_head is None:
        raise ConfigError(
            f'{starts} the {type(model).__name__} learns the others as background; take a two-stage '
            'detector'
        )
    if not getattr(roi_head, 'hands_over_unannotated', False):
        raise ConfigError(
            f'{starts} the {type(roi_head).__name__} of model.roi_head makes the others background; '
            'take FederatedStandardRoIHead or FederatedCascadeRoIHead'
        )
    if rpn is not None and getattr(rpn, 'unannotated_thr', None) is None:
        raise ConfigError(
            f'{starts} objects of the others are negatives of the {type(rpn).__name__} of '
            f'model.rpn_head; set {_RPN} in it'
        )
    for name, head in roi_head.named_modules():
        if hasattr(head, 'loss_cls') and not getattr(head, 'takes_unannotated', False):
            loss = type(getattr(head.loss_cls, 'fine_loss', head.loss_cls)).__name__
            raise ConfigError(
                f'{starts} the {type(head).__name__} of model.roi_head.{name} with {loss} cannot '
                'leave out the others; take MultiGrainedBBoxHead or MergedBBoxHead (wgroup, '
                'wogroup, merged) with CrossEntropyLoss'
            )


def _mixing(part: Any, wrappers: Sequence[Any]) -> str | None:
    """What mixes the images of a data set with others, if anything does."""
    # Transforms that keep images for later ones, as CachedMosaic and CachedMixUp do.
    mixing = [t for t in _steps(getattr(part, 'pipeline', None)) if hasattr(t, 'results_cache')]
    mixing += [one for one in reversed(wrappers) if isinstance(one, MultiImageMixDataset)]
    return type(mixing[0]).__name__ if mixing else None


def _steps(pipeline: Any) -> Iterator[Any]:
    """All transforms of a pipeline, also those within others."""
    if isinstance(pipeline, list | tuple):
        for step in pipeline:
            yield from _steps(step)
    elif pipeline is not None:
        yield pipeline
        yield from _steps(getattr(pipeline, 'transforms', None))
        yield from _steps(getattr(pipeline, 'compose', None))


def unannotated_lines(dataset: Any) -> list[str]:
    """Lines for below the class table: which classes are not annotated where."""
    lines, parts = [], list(inner_datasets(dataset))
    counts_of = [getattr(part, 'annotated_counts', None) for part in parts]
    for part, counts in zip(parts, counts_of, strict=True):
        if counts is None and getattr(part, 'tells_annotated', False):
            lines.append(
                f'{part.ann_file}: its images tell which classes they annotate, but it is read as '
                f'annotating all; train_dataloader.dataset.annotated={PER_IMAGE!r} follows them'
            )
        if counts is None:
            continue
        classes = Taxonomy.load(part.metainfo['taxonomy']).classes
        for what, rows in (
            ('does not annotate', [n == 0 for n in counts]),
            ('annotates only on some images', [0 < n < len(part) for n in counts]),
        ):
            names = [name for name, row in zip(classes, rows, strict=True) if row]
            if names:
                lines.append(
                    f'{part.ann_file}: {what} {len(names)} of {len(classes)} classes: '
                    f'{show_list(names)}'
                )
    if parts and None not in counts_of:
        totals = map(sum, zip(*counts_of, strict=True))
        never = [name for name, n in zip(classes, totals, strict=True) if n == 0]
        if never:
            lines.append(
                f'No image annotates {len(never)} classes, so that no background is learned for '
                f'them: {show_list(never)}'
            )
    return lines
