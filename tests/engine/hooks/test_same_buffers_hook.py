"""Every process validates with the buffers of the first."""

from __future__ import annotations

from types import SimpleNamespace

from mmengine.hooks import EMAHook
from torch import nn

from mmdet_multigrain.engine.hooks import SameBuffersHook
from mmdet_multigrain.engine.hooks import same_buffers_hook as module


def test_all_buffers_are_those_of_the_first_process(monkeypatch):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2), nn.BatchNorm1d(3))
    monkeypatch.setattr(module, 'broadcast', lambda buffer: buffer.fill_(7))
    weights = {name: value.clone() for name, value in model.named_parameters()}
    SameBuffersHook().before_val(SimpleNamespace(model=model, hooks=[SameBuffersHook()]))
    assert len(list(model.buffers())) == 6
    assert all((buffer == 7).all() for buffer in model.buffers())
    assert all((value == weights[name]).all() for name, value in model.named_parameters())


def test_an_average_of_buffers_is_that_of_the_first_process(monkeypatch):
    """EMAHook validates with its own, if it averages them, too."""
    model = nn.Sequential(nn.BatchNorm1d(2))
    ema = EMAHook(update_buffers=True)
    runner = SimpleNamespace(model=model, hooks=[ema])
    ema.before_run(runner)
    monkeypatch.setattr(module, 'broadcast', lambda buffer: buffer.fill_(7))
    SameBuffersHook().before_val(runner)
    model[0].running_mean.fill_(0)
    ema.before_val_epoch(runner)
    assert model[0].running_mean.tolist() == [7, 7]
