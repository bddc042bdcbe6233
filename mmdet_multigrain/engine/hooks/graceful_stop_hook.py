"""After SIGTERM or Ctrl-C finish the iteration, save, and end with status 143 or 130."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, get_comm_device
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import distributed

from ..runner.positions import between_steps
from .safe_checkpoint_hook import SafeCheckpointHook


@HOOKS.register_module()
class GracefulStopHook(Hook):
    """Stop a run at SIGTERM or Ctrl-C such that it can resume where it was.

    All processes stop after the same iteration, whichever of them got the signal: in each iteration
    they exchange one number over gloo, on the CPU, and read the answer in the next. Gloo needs host
    names that can be resolved; where one cannot, the backend of the run takes its place. A
    validation is finished first, and accumulated gradients are used.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self._group: Any = None
        self._device: torch.device | str = 'cpu'
        self._answer: torch.Tensor | None = None
        self._pending: Any = None

    def before_train(self, runner: Runner) -> None:
        """Make the group in which the processes ask."""
        if runner.world_size > 1:
            resolvable = all(all_gather_object(_is_resolvable(socket.gethostname())))
            self._group = distributed.new_group(backend='gloo' if resolvable else None)
            self._device = 'cpu' if resolvable else get_comm_device()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save and end the process with status 143 (SIGTERM) or 130 (Ctrl-C), if that is agreed."""
        request = getattr(runner, 'stop_request', None)  # MMEngine's own Runner has none
        wanted = 0 if request is None else request.signal
        stop = wanted if self._group is None else self._agree(wanted)
        if not stop or between_steps(runner, runner.iter + 1):
            return
        self._wait()
        savers = [hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)]
        for hook in savers:
            hook.save(runner)
        if runner.rank == 0:
            place = 'there' if savers else 'the last checkpoint'
            name = 'SIGTERM' if stop == signal.SIGTERM else 'Ctrl-C'
            line = f'stopped by {name} after iteration {runner.iter + 1}; resume from {place}'
            print(line, file=sys.stderr, flush=True)
        raise SystemExit(128 + stop)

    def after_train(self, runner: Runner) -> None:
        """Receive the last answer, which nobody needs any more."""
        self._wait()

    def _agree(self, wanted: int) -> int:
        """The signal that any process had one iteration ago, or 0; starts the request for this one."""
        agreed = self._wait()
        self._answer = torch.tensor(wanted, device=self._device)
        self._pending = distributed.all_reduce(
            self._answer, op=distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        return agreed

    def _wait(self) -> int:
        if self._pending is None:
            return 0
        self._pending.wait()
        self._pending = None
        return int(self._answer)


def _is_resolvable(host: str) -> bool:
    """Whether gloo finds an address for a host name, or is told the interface."""
    if 'GLOO_SOCKET_IFNAME' in os.environ:
        return True
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True
