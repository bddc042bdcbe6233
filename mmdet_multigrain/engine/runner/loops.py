"""Training loops that resume exactly from a checkpoint, registered in mmengine's `LOOPS`.

MMEngine's load the data of all past iterations again, begin an interrupted epoch from its start,
and leave out a validation that was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from .positions import begin_at, check_sampler, is_validated, run_seed


@LOOPS.register_module()
class ExactIterBasedTrainLoop(IterBasedTrainLoop):
    """MMEngine's `IterBasedTrainLoop` with an exact resume; same arguments.

    The sampler has to be an `ExactInfiniteSampler`, or another exact one without end.
    """

    def run(self) -> Any:
        """Train; returns the model."""
        check_sampler(self.dataloader, by_epoch=False)
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        begin_at(self.dataloader, seed=run_seed(self.runner), epoch=0, batch=self._iter)
        if self._iter > 0 and not is_validated(self.runner):
            _validate_if_due(self, self._iter, self._max_iters)
        batches: Iterator[Any] | None = None
        while self._iter < self._max_iters and not self.stop_training:
            batches = batches or iter(self.dataloader)
            self.runner.model.train()
            self.run_iter(next(batches))
            _validate_if_due(self, self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model


@LOOPS.register_module()
class ExactEpochBasedTrainLoop(EpochBasedTrainLoop):
    """MMEngine's `EpochBasedTrainLoop` with an exact resume, within an epoch too; same arguments.

    The sampler has to be an `ExactSampler`.
    """

    def run(self) -> Any:
        """Train; returns the model."""
        check_sampler(self.dataloader, by_epoch=True)
        self.runner.call_hook('before_train')
        if self._iter > 0 and self._batches_done == 0 and not is_validated(self.runner):
            _validate_if_due(self, self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            _validate_if_due(self, self._epoch, self._max_epochs)
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train for one epoch, or for what is left of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._batches_done
        begin_at(self.dataloader, seed=run_seed(self.runner), epoch=self._epoch, batch=done)
        for number, batch in enumerate(self.dataloader, start=done):
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    @property
    def _batches_done(self) -> int:
        """Batches of this epoch that the model was trained on."""
        return self._iter - self._epoch * len(self.dataloader)


def _validate_if_due(loop: EpochBasedTrainLoop | IterBasedTrainLoop, done: int, end: int) -> None:
    loop._decide_current_val_interval()
    is_due = done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)
    if loop.runner.val_loop is not None and is_due:
        loop.runner.val_loop.run()
