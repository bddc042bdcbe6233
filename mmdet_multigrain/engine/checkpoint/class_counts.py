"""Training boxes of each class: found for a checkpoint, and written into one for NorCal."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError
from mmdet_multigrain.utils.files import write_whole

from ..fingerprints import file_digest
from ..hooks.exact_resume_hook import KEY
from ..runner.resolver import leaf_datasets
from .read import state_dict_of

BUFFER = 'loss_cls.fusion.class_counts'  # below a box head


def find_counts(
    cfg: Config, taxonomy: Taxonomy, checkpoint: Mapping[str, Any], *, name: object
) -> tuple[list[int], str]:
    """The counts that a checkpoint has, else those of the training files that a config names.

    The config is resolved, `taxonomy` is that of the head, and `name` the checkpoint's file, for
    messages. Returns the counts in label order, and where they are from.

    Raises:
        CheckpointError: There are no such files here, or it was trained on others.
    """
    for key, value in state_dict_of(checkpoint).items():
        if key.endswith(BUFFER) and value.any():
            return value.tolist(), 'the checkpoint'
    parts = leaf_datasets((cfg.get('train_dataloader') or {}).get('dataset'))
    files = [os.path.join(part.get('data_root') or '', part.get('ann_file', '')) for part in parts]
    digests = {file_digest(file) for file in files}
    trained_on = ((checkpoint.get('meta') or {}).get(KEY) or {}).get('annotations')
    if not digests or None in digests:
        problem = f'there is no training file {", ".join(files)}'
    elif trained_on is not None and digests != {*trained_on}:
        problem = f'it was not trained on {", ".join(files)} as it is now'
    else:
        options = dict(taxonomy=taxonomy, allow_missing=True, allow_unknown=True, coarse=True)
        counts = [AnnotationFile(Path(file), **options).training_counts() for file in files]
        doubt = ' (it does not say whether it was trained on them)' if trained_on is None else ''
        return np.sum(counts, axis=0).tolist(), ', '.join(files) + doubt
    raise CheckpointError(
        f'{name}: does not say how many training boxes each class has, and {problem}; name what it '
        'was trained on (data_root, train_ann)'
    )


def write_counts(
    checkpoint: dict[str, Any], out: Path, heads: Iterable[str], record: Mapping[str, Any]
) -> None:
    """Write a checkpoint with counts in the buffers of its heads' NorCal, atomically.

    `heads` are the dotted names of the box heads in the model. `record` has the `counts` in label
    order and where they are from, and is kept in `meta`. The content is changed in place.
    """
    for head in heads:
        state_dict_of(checkpoint)[f'{head}.{BUFFER}'] = torch.tensor(record['counts'])
    checkpoint.setdefault('meta', {})['class_counts'] = dict(record)
    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_whole(out, content.getvalue(), sync=True)
