"""ExactResumeHook: a run that may end later or earlier follows the schedule of its new length.

What it refuses, and that the rest is exact: tests/tools/test_exact_resume.py.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR, MultiStepLR, OptimWrapper

from mmdet_multigrain.engine.hooks import ExactResumeHook
from mmdet_multigrain.utils.errors import CheckpointError

EPOCH = 4  # iterations


def schedulers(kind, optimizer, length):
    """Warm-up and decay of a run of so many iterations."""
    warm_up = LinearLR(optimizer, start_factor=0.1, by_epoch=False, begin=0, end=3)
    if kind == 'cosine':
        decay = CosineAnnealingLR(optimizer, by_epoch=False, begin=3, end=length, eta_min=0.01)
    elif kind == 'steps':
        decay = MultiStepLR(optimizer, by_epoch=False, milestones=[length // 2], gamma=0.1)
    else:
        decay = MultiStepLR(optimizer, by_epoch=True, milestones=[length // EPOCH // 2], gamma=0.1)
    return [warm_up, decay]


class Run:
    """A run of schedulers only, as the hook sees a runner."""

    _resume, _load_from, world_size, rank, hooks = True, 'old.pth', 1, 0, ()

    def __init__(self, kind, length, *, lr=1.0, batch=2, scales=False):
        parameter = torch.nn.Parameter(torch.zeros(1))
        self.optim_wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=lr))
        self.param_schedulers = kind and schedulers(kind, self.optim_wrapper, length)
        self.auto_scale_lr = dict(enable=scales)
        self.train_dataloader = range(EPOCH)
        self.by_epoch = kind == 'epochs'
        self._randomness_cfg, self.model = {}, SimpleNamespace()
        self.facts = dict(iterations=length, batch_size=batch, versions={}, seed=3)
        self.iter = self.epoch = 0
        self.rates = []

    def train(self, until):
        while self.iter < until:
            self.rates.append(self.optim_wrapper.param_groups[0]['lr'])
            self.optim_wrapper.step()
            self.iter += 1
            for scheduler in self.param_schedulers or ():
                if not scheduler.by_epoch or self.iter % EPOCH == 0:
                    scheduler.step()
            self.epoch = self.iter // EPOCH if self.by_epoch else 0
        return self.rates

    def checkpoint(self):
        return dict(
            meta=dict(exact_resume=self.facts),
            optimizer=self.optim_wrapper.state_dict(),
            param_schedulers=[one.state_dict() for one in self.param_schedulers or ()],
        )

    def resume(self, old, hook):
        """What MMEngine's `resume` does, and the call before the first iteration."""
        checkpoint, hook._facts = old.checkpoint(), self.facts
        hook.after_load_checkpoint(self, checkpoint)
        self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        states = checkpoint.get('param_schedulers', [])
        for scheduler, state in zip(self.param_schedulers or (), states, strict=False):
            scheduler.load_state_dict(state)
        self.iter, self.epoch = old.iter, old.epoch
        hook.before_train(self)


@pytest.mark.parametrize('kind', ['cosine', 'steps', 'epochs'])
@pytest.mark.parametrize(('old', 'stopped', 'new'), [(16, 6, 40), (40, 6, 16), (16, 16, 40)])
def test_the_advice_on_another_length(kind, old, stopped, new):
    before = Run(kind, old)
    before.train(stopped)
    with pytest.raises(CheckpointError) as caught:
        Run(kind, new).resume(before, ExactResumeHook())
    assert str(caught.value) == (
        f'old.pth: is of a run with {old} iterations, not {new}; restore that, or give up an exact '
        'resume with default_hooks.exact_resume.allow_length_change=True'
    )
    continued = Run(kind, new)
    continued.resume(before, ExactResumeHook(allow_length_change=True))
    assert continued.train(new) == pytest.approx(Run(kind, new).train(new)[stopped:], rel=1e-9)


@pytest.mark.parametrize('allowed', [False, True])
def test_the_same_length_keeps_the_state_of_its_schedule(allowed):
    before = Run('cosine', 16)
    before.train(6)
    before.param_schedulers[0].last_step = before.optim_wrapper.param_groups[0]['lr'] = 0.7
    continued = Run('cosine', 16)
    continued.resume(before, ExactResumeHook(allow_length_change=allowed))
    assert continued.param_schedulers[0].last_step == 0.7
    assert continued.train(7) == [0.7]


@pytest.mark.parametrize('kind', [None, 'cosine', 'steps'])
@pytest.mark.parametrize('scales', [True, False])
def test_another_batch_has_the_rate_that_is_scaled_to_it(kind, scales):
    """As auto_scale_lr has done with that of the config when a run resumes; else it goes on."""
    options = dict(lr=2.0, batch=4, scales=scales)
    before = Run(kind, 16)
    before.train(6)
    continued = Run(kind, 16, **options)
    continued.resume(before, ExactResumeHook(allow_world_size_change=True))
    expected = Run(kind, 16, **options if scales else {})
    assert continued.train(16) == pytest.approx(expected.train(16)[6:], rel=1e-9)
    (group,) = continued.optim_wrapper.param_groups
    assert group.get('initial_lr', group['lr']) == (2.0 if scales else 1.0)  # what the log tells
