"""Checkpoints that run code when they are unpickled, for tests that they do not run it."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch._tensor import _rebuild_from_type_v2


class Touch:
    """Unpickled, it makes a file: os.mkdir, a function of the blocked module `posix`."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


class Evaluate:
    """Unpickled, it makes a file: eval, a function of the builtins."""

    def __init__(self, marker: Path) -> None:
        self.code = f'__import__("os").mkdir({str(marker)!r})'

    def __reduce__(self):
        return eval, (self.code,)


class _Attribute:
    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self):
        return getattr, self.arguments


class LikeHistory(Evaluate):
    """Names only what MMEngine's list allows: getattr, to reach eval, and a helper of torch."""

    def __reduce__(self):
        builtins = _Attribute(getattr, '__self__')
        called = (_Attribute(builtins, 'eval'), _Attribute(builtins, 'int'), (self.code,), {})
        return _rebuild_from_type_v2, called


PAYLOADS = {'blocked module': Touch, 'builtin': Evaluate, 'like a history': LikeHistory}


def save(path: Path, content: Any, *, legacy: bool = False) -> Path:
    """Save as torch does now (a zip file) or did before 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def hide(payload: Any, place: str, checkpoint: dict[str, Any] | None = None) -> dict[str, Any]:
    """A checkpoint with a payload in some place of it."""
    weights = OrderedDict(weight=torch.zeros(1))
    checkpoint = {**(checkpoint or {'state_dict': weights, 'meta': {}, 'message_hub': {}})}
    if place == 'state_dict':
        checkpoint['state_dict'] = {**checkpoint['state_dict'], 'x': payload}
    elif place == 'optimizer':
        checkpoint['optimizer'] = {'state': {0: {'momentum_buffer': payload}}, 'param_groups': []}
    elif place == 'log_scalars':
        checkpoint['message_hub'] = {'log_scalars': OrderedDict({'train/loss': payload})}
    else:
        raise ValueError(place)
    return checkpoint
