"""Load checkpoints without running code that comes with them.

A checkpoint is a pickle, and a pickle can call any function. Torch's weights-only loader calls
only those on a list; here is what MMEngine's checkpoints need beyond torch's own list. MMEngine's
loaders bring a list with the true `getattr`, which lets a file run code although it is loaded as
weights only; so ours replace them.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pickle import UnpicklingError
from typing import Any

import mmengine.runner.checkpoint as stock
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from .restricted import restricted

# Torch's own switches. The first one outweighs `weights_only=False` in a call, which MMEngine
# falls back to when a file does not load as weights only; the second changes the default.
_FORCE, _FORCE_NOT = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
_TAKES_NAMES = torch.__version__ >= (2, 6)
_STATISTICS = frozenset({'current', 'max', 'mean', 'min'})
# What a file needs, in the message of its refusal; torch has a sentence for each way.
_ASKED_FOR = (
    r'unsupported global: global (\S+) was not',
    r'unsupported global (\S+) whose module',
    r'unsupported class (\S+)',
    r'reduce for unrecognized function (.+)',
    r'add_safe_globals`?,? but got (.+)',
    r'asks for (.+)',
)
_NEWER_PROTOCOL = r'unsupported operand (140|14[7-9])\b'

_trusted = contextvars.ContextVar('trusted', default=False)


def _history_statistic(owner: object, name: str) -> Callable:
    """What `getattr` is for in MMEngine's checkpoints: the methods that a HistoryBuffer names.

    The true one leads to every function of Python: getattr(getattr, '__self__') are the builtins,
    and torch's list has functions that call others.
    """
    if owner is not HistoryBuffer or name not in _STATISTICS:
        owner = getattr(owner, '__name__', type(owner).__name__)
        raise UnpicklingError(f'the file asks for attribute {name!r} of {owner}')
    return getattr(HistoryBuffer, name)


def _safe_names() -> dict[str, Callable]:
    """What a weights-only load may call beyond torch's own list, by `module.name`.

    MMEngine's checkpoints hold the history of each logged value (arrays), and best scores (numpy
    scalars). NumPy 2 has renamed the module of both; old files carry the old name.
    """
    # What pickles of this NumPy call, wherever it keeps them.
    rebuild, scalar = np.empty(0).__reduce__()[0], np.float64().__reduce__()[0]
    kinds = HistoryBuffer, np.ndarray, np.dtype, *map(type, map(np.dtype, '?bhilqBHILQefdSU'))
    return {
        **{f'{kind.__module__}.{kind.__qualname__}': kind for kind in kinds},
        'builtins.getattr': _history_statistic,
        **{
            f'{module}.multiarray.{function.__name__}': function
            for module in ('numpy.core', 'numpy._core')
            for function in (rebuild, scalar)
        },
    }


def _listed() -> contextlib.AbstractContextManager[None]:
    """Let torch's weights-only loader take our names, too."""
    names = _safe_names()
    if _TAKES_NAMES:
        return torch.serialization.safe_globals([(made, name) for name, made in names.items()])
    return contextlib.nullcontext() if _trusted.get() else restricted(names)


@contextlib.contextmanager
def trust_checkpoints(trust: bool) -> Iterator[None]:
    """Let checkpoints run code in this block, or not, whatever torch.load is called with."""
    token = _trusted.set(trust)
    try:
        with only_weights():
            yield
    finally:
        _trusted.reset(token)


@contextlib.contextmanager
def only_weights() -> Iterator[None]:
    """Load as weights only within this block, unless `trust_checkpoints` says otherwise.

    Raises:
        UnpicklingError: From torch.load, if a file would run code; see `refused`.
    """
    before = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
    os.environ[_FORCE_NOT if _trusted.get() else _FORCE] = '1'
    try:
        with _listed(), warnings.catch_warnings():
            # Torch warns about its arguments, and about pickle protocols before it refuses them.
            for message in ('Environment variable TORCH_FORCE', 'Detected pickle protocol'):
                warnings.filterwarnings('ignore', message=message)
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _is_forced() -> bool:
    return os.environ.get(_FORCE) == '1'


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a file as MMEngine does; within `only_weights` without MMEngine's list."""
    path = os.path.expanduser(filename)
    if not _is_forced() or not os.path.isfile(path):
        return stock.load_from_local(filename, map_location)
    return torch.load(path, map_location=map_location, weights_only=True)


@CheckpointLoader.register_scheme(prefixes=('open-mmlab://', 'openmmlab://'), force=True)
def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load weights by their name; a user's own table of names may lead to files."""
    name = filename.partition('://')[2]
    address = stock.get_external_models().get(name, '://')
    if _is_forced() and '://' not in address:
        raise ValueError(f'this name means {address}. Name that file itself')
    return stock.load_from_openmmlab(filename, map_location)


@CheckpointLoader.register_scheme(
    prefixes=[r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'pavi://'], force=True
)
def load_from_storage(filename: str, map_location: Any = None) -> Any:
    """Load from a remote store, but not within `only_weights`: MMEngine's list is used there."""
    if _is_forced():
        raise ValueError('remote stores are read only if checkpoints are trusted')
    load = stock.load_from_pavi if filename.startswith('pavi://') else stock.load_from_ceph
    return load(filename, map_location)


def refused(error: BaseException) -> str | None:
    """What a file needs that weights do not; None if something else is wrong with it."""
    if not isinstance(error, UnpicklingError):
        return None
    message = ' '.join(str(error).split())
    for pattern in _ASKED_FOR:
        if found := re.search(pattern, message, re.IGNORECASE):
            return found[1].partition(' Check the documentation')[0]
    if re.search(_NEWER_PROTOCOL, message, re.IGNORECASE):
        return 'a pickle protocol newer than 2'
    return None
