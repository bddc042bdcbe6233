"""Where the time of a step goes: clocks on the parts of a two-stage detector, and its FLOPs.

The clocks are on the instances for one profiled step only, so the timed steps run the unchanged
detector.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

# (stage, part of the model, method). A method that runs within another one's time is not counted
# there.
_COMMON = (
    ('preprocessing', 'data_preprocessor', 'forward'),
    ('backbone', 'backbone', 'forward'),
    ('neck', 'neck', 'forward'),
    ('RoIAlign', 'roi_head.bbox_roi_extractor', 'forward'),
    ('RoI head', 'roi_head.bbox_head', 'forward'),
)
STAGES = {
    'training': (
        *_COMMON,
        ('RPN', 'rpn_head', 'loss_and_predict'),
        ('RPN loss', 'rpn_head', 'loss_by_feat'),
        ('RoI sampling', 'roi_head', 'loss'),
        ('RoI loss', 'roi_head.bbox_head', 'loss_and_target'),
    ),
    'inference': (
        *_COMMON,
        ('RPN', 'rpn_head', 'predict'),
        ('RoI post-processing', 'roi_head', 'predict'),
    ),
}
OPTIMIZER = (('backward', 'backward'), ('optimizer', 'step'), ('optimizer', 'zero_grad'))
OTHER = 'other'  # time outside of all stages
MATRIX_SIZES = {'cuda': 8192, 'cpu': 2048}


class StageClock:
    """`seconds` by stage; while a stage runs within another, the outer one's clock stands still.

    `synchronize` is called before each look at the clock, to wait for a device.
    """

    def __init__(
        self,
        synchronize: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._synchronize, self._clock = synchronize, clock
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block, or of the decorated function, to a stage."""
        self._charge()
        self.seconds.setdefault(name, 0.0)
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        self._synchronize()
        now = self._clock()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


@contextlib.contextmanager
def clocked(clock: StageClock, targets: list[tuple[str, Any, str]]) -> Iterator[None]:
    """Count methods of instances, given as (stage, instance, method), to stages in the block."""
    with contextlib.ExitStack() as stack:
        for stage, instance, name in targets:
            method = clock.stage(stage)(getattr(instance, name))
            stack.enter_context(mock.patch.object(instance, name, method))
        yield


def find_targets(
    model: nn.Module, stages: tuple[tuple[str, str, str], ...]
) -> list[tuple[str, Any, str]]:
    """The instances of a model that stages name, without parts that it lacks.

    For a list of modules (the heads of Cascade R-CNN) these are all of them.
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

    Operators of mmcv (RoIAlign, NMS) and elementwise operators are not counted.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matmul_peak(device: torch.device, dtype: torch.dtype, *, size: int | None = None) -> float:
    """FLOP/s of the fastest of five large matrix products: the best that the device gives."""
    size = size or MATRIX_SIZES[device.type]
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
    variables = dict(torch=torch, left=left, right=right)
    timer = Timer('torch.mm(left, right)', globals=variables, num_threads=torch.get_num_threads())
    return 2 * size**3 / min(timer.timeit(1).median for _ in range(5))


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished its work; a CPU always has."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def counting_rois(model: nn.Module) -> Iterator[dict[str, int]]:
    """Count the RoIs that a two-stage detector samples to learn from: all and positive ones."""
    rois: dict[str, int] = {}
    sampler = getattr(getattr(model, 'roi_head', None), 'bbox_sampler', None)
    if not hasattr(sampler, 'sample'):
        yield rois
        return
    sample, results = sampler.sample, []

    def recorded(*args: Any, **kwargs: Any) -> Any:
        results.append(sample(*args, **kwargs))
        return results[-1]

    with mock.patch.object(sampler, 'sample', recorded):
        yield rois
    rois['rois'] = sum(len(result.priors) for result in results)
    rois['positive_rois'] = sum(len(result.pos_priors) for result in results)
