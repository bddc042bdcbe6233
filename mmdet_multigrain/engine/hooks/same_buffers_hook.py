"""Let all processes of a distributed run validate the same detector."""

from __future__ import annotations

from mmdet.registry import HOOKS
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class SameBuffersHook(Hook):
    """Give every process the first one's buffers before validation.

    Gradients keep parameters equal, but batch norm counts its running statistics on each process
    from the images that it saw. The first process writes the checkpoints, so a validation with
    the other processes' own statistics would not be one of the checkpoint.
    """

    def before_val(self, runner: Runner) -> None:
        """Broadcast all buffers of the model, and of averaged ones, which validation may use."""
        averaged = [hook.ema_model for hook in runner.hooks if hasattr(hook, 'ema_model')]
        for model in (runner.model, *averaged):
            for buffer in model.buffers():
                broadcast(buffer)
