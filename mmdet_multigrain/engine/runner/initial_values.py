"""Initial values drawn by the seed and the name of each tensor, not in the order of the layers.

Models that share a layer then share its initial values: a comparison of heads is not also one of
random backbones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmdet_multigrain.utils.seeding import Stream, name_entropy, seed_generators

Call = Callable[[], Any]


@contextmanager
def built_by_name(seed: int) -> Iterator[list[nn.Module]]:
    """Build a model whose values do not depend on the order in which its layers are built.

    Names are known only afterward, so what filled each tensor is repeated on leaving, by name.
    Tensors that are drawn first and become parameters later (`nn.Parameter(torch.randn(3))`)
    stay as they are. Yields a list that takes the model; `seed` is the run's.
    """
    calls: list[tuple[int, Call]] = []
    models: list[nn.Module] = []

    def record(address: int, call: Call) -> Any:
        calls.append((address, call))
        return call()

    with _InPlaceCalls(record):
        yield models
    names = _names(models[0])
    with torch.no_grad():
        for address, call in calls:
            if address in names:
                _seed_for(names[address], seed)
                call()


@contextmanager
def drawn_by_name(model: nn.Module, seed: int) -> Iterator[None]:
    """Let each initializer draw the values of a tensor by its name in the (bare) model."""
    names = _names(model)

    def draw(address: int, call: Call) -> Any:
        if address in names:
            _seed_for(names[address], seed)
        return call()

    with _InPlaceCalls(draw):
        yield


def _seed_for(name: str, seed: int) -> None:
    seed_generators((seed, Stream.VALUES, name_entropy(name)))


class _InPlaceCalls(TorchFunctionMode):
    """Hands every in-place operation to a function, with the address of the tensor's data.

    Initializers change parameters through `parameter.data` too, which has the same address only.
    """

    def __init__(self, handle: Callable[[int, Call], Any]) -> None:
        super().__init__()
        self._handle = handle

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        call = functools.partial(func, *args, **kwargs)
        target = args[0] if args else kwargs.get('tensor')
        name = getattr(func, '__name__', '')
        in_place = name == '__setitem__' or (name.endswith('_') and not name.endswith('__'))
        if in_place and isinstance(target, Tensor) and target.numel():
            return self._handle(target.data_ptr(), call)
        return call()


def _names(model: nn.Module) -> dict[int, str]:
    """The name of each tensor of a model, by the address of its data; of several, the first."""
    names: dict[int, str] = {}
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor) and tensor.numel():
            names.setdefault(tensor.data_ptr(), name)
    return names
