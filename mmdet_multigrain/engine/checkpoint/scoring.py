"""What the scores of a detector come from, so that a calibration is not used for other scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from mmdet_multigrain.models.losses.score_fusion import is_off
from mmdet_multigrain.utils.nested import dicts

from .read import state_dict_of


def scoring_of(
    name: str, checkpoint: Mapping[str, Any], model: Mapping[str, Any]
) -> dict[str, Any]:
    """Plain values for `AnswerRule.checkpoint`: name of the file or URL, digest, fusion.

    `digest` is the SHA-256 of the weights, whatever else the file holds; `fusion` is that of the
    box head in the config of the model, None if it is off; of one with `gamma` 0, the one before it.
    """
    digest = hashlib.sha256()
    tensors = {
        key.removeprefix('module.'): value for key, value in state_dict_of(checkpoint).items()
    }
    for key, value in sorted(tensors.items()):
        digest.update(f'{key} {tuple(value.shape)} {value.dtype}\0'.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    fusions = [part['fusion'] for part in dicts(model) if part.get('fusion')]
    fusion = fusions[0] if fusions else None
    while fusion and is_off(fusion):
        fusion = fusion.get('fusion')
    return {
        'name': str(name),
        'digest': digest.hexdigest(),
        'fusion': {'gamma': 1.0, **fusion} if fusion else None,
    }
