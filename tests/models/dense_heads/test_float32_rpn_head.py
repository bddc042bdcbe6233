"""The RPN's outputs are single precision under autocast, and else those of the stock head."""

from __future__ import annotations

import torch
from mmdet.models.dense_heads import RPNHead

from mmdet_multigrain.models import Float32RPNHead

ARGUMENTS = dict(
    in_channels=4,
    feat_channels=4,
    anchor_generator=dict(type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4]),
)


def outputs(kind, low):
    torch.manual_seed(0)
    head = kind(**ARGUMENTS)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=low):
        (score,), (deltas,) = head([torch.randn(1, 4, 8, 8)])
    return score, deltas


def test_single_precision_is_left_alone():
    for mine, theirs in zip(outputs(Float32RPNHead, False), outputs(RPNHead, False), strict=True):
        assert torch.equal(mine, theirs)


def test_low_precision_ends_before_the_sigmoid():
    for mine, theirs in zip(outputs(Float32RPNHead, True), outputs(RPNHead, True), strict=True):
        assert theirs.dtype == torch.bfloat16 and mine.dtype == torch.float32
        assert torch.equal(mine, theirs.float())
    logits = torch.tensor([6.5, 7.0, 8.0], dtype=torch.bfloat16)
    assert len(logits.sigmoid().unique()) == 1  # what would tie ...
    assert len(logits.float().sigmoid().unique()) == 3  # ... does not
