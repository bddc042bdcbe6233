"""The record of what a model is trained as: made from the model, kept in its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import nn

from mmdet_multigrain.evaluation.training_record import TrainingRecord, record_difference

KEY = 'trained_as'  # in the meta of a checkpoint


def record_of(model: nn.Module) -> dict[str, dict[str, Any]]:
    """What the weights of a bare model mean beyond their shapes, by module, as plain values.

    Heads say what they are supervised with; of all heads count the boxes' coding and the anchors,
    of the preprocessor the normalization.
    """
    record = {}
    for name, module in model.named_modules():
        facts: dict[str, Any] = {}
        is_ours = hasattr(module, 'training_facts')
        if is_ours or isinstance(module, BBoxHead):
            facts['type'] = type(module).__name__
        if is_ours:
            facts |= module.training_facts()
        if hasattr(coder := getattr(module, 'bbox_coder', None), 'stds'):
            facts |= {'box_means': [*coder.means], 'box_stds': [*coder.stds]}
        anchors = getattr(module, 'prior_generator', None)
        if hasattr(anchors, 'scales'):
            facts |= {
                'anchor_scales': anchors.scales.tolist(),
                'anchor_ratios': anchors.ratios.tolist(),
                'anchor_strides': [list(stride) for stride in anchors.strides],
            }
        if isinstance(module, DetDataPreprocessor) and module._enable_normalize:
            facts |= {
                'mean': module.mean.flatten().tolist(),
                'std': module.std.flatten().tolist(),
                'channels_swapped': module._channel_conversion,
            }
        if facts:
            record[name] = facts
    return record


def keep_record(model: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Write the record of a model into a checkpoint that is about to be saved."""
    checkpoint.setdefault('meta', {})[KEY] = record_of(model)


def recorded(checkpoint: Mapping[str, Any]) -> TrainingRecord | None:
    """The record in a checkpoint; None if it was made without, as before version 0.3."""
    return (checkpoint.get('meta') or {}).get(KEY)


def is_missed(model: nn.Module, record: TrainingRecord | None) -> bool:
    """Whether nothing tells what our head in the model was trained with."""
    return record is None and any(hasattr(part, 'training_facts') for part in model.modules())


NO_RECORD = (
    'does not say how it was trained (grouped, taxonomy, weights), as it was made by an earlier '
    'version; only shapes and classes are checked, so make sure that the config is its own'
)


def other_training(record: TrainingRecord | None, model: nn.Module) -> str | None:
    """The first fact in which a model differs from what a checkpoint was trained as, in words."""
    places = '{there} in the checkpoint but {here} in the config'
    return record and record_difference(record, record_of(model), places=places)
