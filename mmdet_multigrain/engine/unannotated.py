"""Files that annotate only some classes, before training: whether the model leaves the others out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmdet.datasets import MultiImageMixDataset
from torch import nn

from mmdet_multigrain.coco.unannotated import PER_IMAGE
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.messages import show_list

from .data_access import bare_model, inner_datasets, is_wrapper, nested_datasets

_RPN = "type='Float32RPNHead', unannotated_thr=0.5"


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
