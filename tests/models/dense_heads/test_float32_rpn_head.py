"""The RPN under autocast, and on images of which only some classes are annotated."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.dense_heads import RPNHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmdet_multigrain.coco.unannotated import UNANNOTATED
from mmdet_multigrain.models import Float32RPNHead
from mmdet_multigrain.utils.errors import ConfigError

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


TRAIN = ConfigDict(
    assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.3, min_pos_iou=0.3),
    sampler=dict(type='RandomSampler', num=400, pos_fraction=0.5, add_gt_as_proposals=False),
    allowed_border=-1,
    pos_weight=-1,
)


def score_gradients(kind, unannotated, **arguments):
    """Losses of two images of 64 anchors each, and gradients of the scores (2, 64)."""
    head = kind(**ARGUMENTS, **arguments, train_cfg=TRAIN)
    generator = torch.Generator().manual_seed(0)
    scores = (torch.randn(2, 1, 8, 8, generator=generator) * 2).requires_grad_()
    metas = [dict(img_shape=(32, 32), pad_shape=(32, 32)) for _ in range(2)]
    for meta, left_out in zip(metas, unannotated, strict=True):
        if left_out is not None:
            meta[UNANNOTATED] = left_out
    box = InstanceData(bboxes=torch.tensor([[0.0, 0, 30, 30]]), labels=torch.tensor([0]))
    losses = head.loss_by_feat([scores], [torch.zeros(2, 4, 8, 8)], [box, box], metas)
    (loss,) = losses['loss_rpn_cls']
    loss.backward()
    return loss.item(), scores.detach().flatten(1), scores.grad.flatten(1)


def test_likely_objects_without_a_box_are_no_negatives():
    _, scores, stock = score_gradients(RPNHead, [None, None])
    _, _, ours = score_gradients(Float32RPNHead, [(1,), None], unannotated_thr=0.6)
    ignored = (scores.sigmoid() > 0.6) & (stock > 0)  # negatives are pushed down
    assert ignored[0].sum() > 5 and (stock[0] < 0).any() and (stock[0] > 0).sum() > ignored[0].sum()
    assert not ours[0][ignored[0]].any()
    assert torch.equal(ours[0][~ignored[0]], stock[0][~ignored[0]])
    assert torch.equal(ours[1], stock[1])  # all of its classes are annotated


@pytest.mark.parametrize(
    ('unannotated', 'thr'),
    [([None, None], 0.6), ([(), None], 0.6), ([(0, 1), (0,)], None)],
)
def test_without_facts_or_threshold_it_is_stock(unannotated, thr):
    stock = score_gradients(RPNHead, [None, None])
    ours = score_gradients(Float32RPNHead, unannotated, unannotated_thr=thr)
    assert ours[0] == stock[0] and torch.equal(ours[2], stock[2])


def test_wrong_thresholds():
    for arguments in (
        dict(unannotated_thr=0),
        dict(unannotated_thr=1.5),
        dict(unannotated_thr=0.5, loss_cls=dict(type='CrossEntropyLoss')),
    ):
        with pytest.raises(ConfigError, match='^unannotated_thr=.*: must be between 0 and 1'):
            Float32RPNHead(**ARGUMENTS, **arguments)
