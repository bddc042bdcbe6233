"""Where the time of a step goes: clocks on the parts of a two-stage detector, and its FLOPs.

The clocks are put on instances for one profiled step and taken off again, so that the steps whose
time is reported run the detector as it is.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

# (stage, part of the model, method), for training and for inference. A method that runs within
# another one's time is not counted there.
_COMMON = (
    ('preprocessing', 'data_preprocessor', 'forward'),
    ('backbone', 'backbone', 'forward'),
    ('neck', 'neck', 'forward'),
)
TRAINING = (
    *_COMMON,
    ('RPN', 'rpn_head', 'loss_and_predict'),
    ('RPN loss', 'rpn_head', 'loss_by_feat'),
    ('RoI sampling', 'roi_head', 'loss'),
    ('RoIAlign', 'roi_head.bbox_roi_extractor', 'forward'),
    ('RoI head', 'roi_head.bbox_head', 'forward'),
    ('RoI loss', 'roi_head.bbox_head', 'loss_and_target'),
)
INFERENCE = (
    *_COMMON,
    ('RPN', 'rpn_head', 'predict'),
    ('RoI post-processing', 'roi_head', 'predict'),
    ('RoIAlign', 'roi_head.bbox_roi_extractor', 'forward'),
    ('RoI head', 'roi_head.bbox_head', 'forward'),
)
STAGES = {'training': TRAINING, 'inference': INFERENCE}
OPTIMIZER = (('backward', 'backward'), ('optimizer', 'step'), ('optimizer', 'zero_grad'))


class StageClock:
    """Seconds by stage; while a stage runs within another, the outer one's clock stands still.

    Args:
        synchronise: Called before each look at the clock, to wait for a device.
        clock: Seconds of now.

    Attributes:
        seconds: By stage, in the order in which they first began.
    """

    def __init__(
        self,
        synchronise: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._synchronise, self._clock = synchronise, clock
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block to a stage."""
        self._charge()
        self.seconds.setdefault(name, 0.0)
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        self._synchronise()
        now = self._clock()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


@contextlib.contextmanager
def clocked(clock: StageClock, targets: list[tuple[str, Any, str]]) -> Iterator[None]:
    """Let methods of instances count to stages within the block.

    Args:
        clock: What counts.
        targets: (stage, instance, name of the method).
    """
    with contextlib.ExitStack() as stack:
        for stage, instance, name in targets:
            method = _timed(clock, stage, getattr(instance, name))
            stack.enter_context(replaced(instance, name, method))
        yield


def _timed(clock: StageClock, stage: str, method: Callable) -> Callable:
    @functools.wraps(method)
    def timed(*args, **kwargs):
        with clock.stage(stage):
            return method(*args, **kwargs)

    return timed


@contextlib.contextmanager
def replaced(instance: Any, name: str, method: Callable) -> Iterator[None]:
    """Have another method on one instance, whose class stays as it is."""
    own = vars(instance).get(name)
    setattr(instance, name, method)
    try:
        yield
    finally:
        if own is None:
            delattr(instance, name)
        else:
            setattr(instance, name, own)


def find_targets(
    model: nn.Module, stages: tuple[tuple[str, str, str], ...]
) -> list[tuple[str, Any, str]]:
    """The instances of a model that stages name; parts that it lacks are left out.

    A list of modules (the heads of Cascade R-CNN) stands for all of them.
    """
    found = []
    for stage, path, method in stages:
        part = functools.reduce(
            lambda outer, name: getattr(outer, name, None), path.split('.'), model
        )
        for module in part if isinstance(part, nn.ModuleList) else [part]:
            if hasattr(module, method):
                found.append((stage, module, method))
    return found


def count_flops(step: Callable[[], Any]) -> int:
    """Floating-point operations of convolutions and matrix products in a step, backward included.

    Operators of mmcv (RoIAlign, NMS) and everything element by element are not counted.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matmul_peak(
    device: torch.device, dtype: torch.dtype, *, size: int | None = None, repeats: int = 5
) -> float:
    """FLOP/s of a large matrix product here and now: what the device gives at best.

    Args:
        device: Where.
        dtype: Of the matrices.
        size: Rows and columns. Default: 8192 on a GPU, 2048 on a CPU.
        repeats: The best of so many counts.
    """
    size = size or (8192 if device.type == 'cuda' else 2048)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats + 1):  # the first one only warms up
        synchronise(device)
        start = time.perf_counter()
        torch.mm(left, right)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds[1:])


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what it was given; a CPU always has."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
