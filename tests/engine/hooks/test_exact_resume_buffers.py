"""Buffers of several processes: what a checkpoint needs beyond the first one's."""

from __future__ import annotations

import torch
from torch import nn

from mmdet_multigrain.engine.hooks import exact_resume_hook as module
from mmdet_multigrain.engine.hooks.exact_resume_hook import gather_buffers, set_buffers


class Wrapped(nn.Module):
    """Batch norm, and a buffer that checkpoints leave out."""

    def __init__(self, mean: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.norm.running_mean.fill_(mean)
        self.register_buffer('scratch', torch.tensor(mean), persistent=False)


def test_what_differs_is_gathered_and_given_back(monkeypatch):
    models = [Wrapped(mean) for mean in (0.0, 1.0, 0.0)]
    monkeypatch.setattr(module, 'all_gather_object', lambda own: [own])
    states = [{name: value.clone() for name, value in model.state_dict().items()
               if 'norm.running' in name or 'num_batches' in name} for model in models]  # fmt: skip
    monkeypatch.setattr(module, 'all_gather_object', lambda own: states)
    gathered = gather_buffers(models[0])
    assert gathered == [{}, {'norm.running_mean': states[1]['norm.running_mean']}, {}]
    resumed = Wrapped(0.0)  # from the checkpoint, as all processes
    set_buffers(resumed, gathered[1])
    assert resumed.norm.running_mean.tolist() == [1.0, 1.0]
    assert resumed.norm.running_var.tolist() == [1.0, 1.0]


def test_buffers_that_no_checkpoint_has_are_left_alone(monkeypatch):
    sent = []
    monkeypatch.setattr(module, 'all_gather_object', lambda own: (sent.append(own), [own])[1])
    assert gather_buffers(Wrapped(3.0)) == [{}]
    assert set(sent[0]) == {'norm.running_mean', 'norm.running_var', 'norm.num_batches_tracked'}
