"""Compare two runs bit for bit: what their checkpoints hold and what their logs say.

Times, paths and the memory in use are left out; everything else has to be equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# Last parts of the names of what depends on clock, folder, machine or checkout.
IGNORED = frozenset(
    'time data_time eta memory cfg experiment_name mmengine_version last_ckpt best_ckpt'.split()
)


def differences(left: Any, right: Any, *, place: str = '') -> Iterator[str]:
    """Dotted names of all values in which two checkpoints, or parts of them at `place`, differ."""
    if isinstance(left, HistoryBuffer) and isinstance(right, HistoryBuffer):
        left, right = left.data, right.data
    prefix = f'{place}.' if place else ''
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in [*left, *(key for key in right if key not in left)]:
            if str(key).rpartition('/')[2] in IGNORED:
                continue
            if key in left and key in right:
                yield from differences(left[key], right[key], place=f'{prefix}{key}')
            else:
                yield f'{prefix}{key}'
    elif _is_sequence(left) and _is_sequence(right) and len(left) == len(right):
        for number, pair in enumerate(zip(left, right, strict=True)):
            yield from differences(*pair, place=f'{prefix}{number}')
    elif not _are_equal(left, right):
        yield place


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _are_equal(left: Any, right: Any) -> bool:
    """Whether two values have the same type and bits; NaN equals itself."""
    if isinstance(left, torch.Tensor | np.ndarray | np.number | float | int):
        arrays = (
            np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
            for value in (left, right)
        )
        one, other = ((array.dtype, array.shape, array.tobytes()) for array in arrays)
        return one == other
    return type(left) is type(right) and left == right


def log_entries(work_dir: str | Path) -> tuple[dict[tuple[str, int], dict[str, Any]], list[str]]:
    """The JSON log of a run over all its restarts: entries by kind ('train' or 'val') and step.

    Also a line for each difference between entries of one step, which appear twice if a run was
    killed and repeated what was lost.
    """
    entries: dict[tuple[str, int], dict[str, Any]] = {}
    disagreements = []
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that was being written when the run was killed
            kind = 'train' if 'loss' in entry else 'val'
            before = entries.setdefault((kind, entry['step']), entry)
            disagreements += differences(before, entry, place=f'{kind} {entry["step"]}')
    return entries, disagreements
