"""Classes that take no part in the softmax, on all levels of a taxonomy."""

import pytest
import torch

from mmdet_multigrain.models import HierarchicalCrossEntropyLoss

HIDDEN = torch.tensor([False, False, True, True, False])  # vest, of "top", and hat, on its own


@pytest.mark.parametrize('mode', ['mask', 'marginal'])
@pytest.mark.parametrize('coarse_width', ['classes', 'groups'])
def test_hidden_classes_by_hand(garments, mode, coarse_width):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_width=coarse_width, coarse_labels=mode)
    channels = loss.get_cls_channels(5)
    scores = torch.randn(1, channels, generator=torch.Generator().manual_seed(0))
    scores.requires_grad_()
    losses = loss(loss.without(scores, HIDDEN[None]), torch.tensor([5]))
    fine, coarse = scores[0, [0, 1, 4, 5]], scores[0, 6:]
    hidden = torch.tensor([0, 2])  # top, although shirts are annotated, and hat
    # Outputs that no group has stay in the sum.
    rest = [k for k in range(len(coarse)) if k not in hidden]
    assert len(rest) == (4 if coarse_width == 'classes' else 2)
    for name, value in (
        ('fine', fine.logsumexp(0) - scores[0, 5]),
        ('coarse', coarse[rest].logsumexp(0) - coarse[-1]),
    ):
        assert losses[f'loss_cls_{name}'].item() == pytest.approx(value.item(), rel=1e-5)
    (grad,) = torch.autograd.grad(sum(losses.values()), scores)
    assert not grad[0, [2, 3]].any() and not grad[0, 6 + hidden].any()
    expected = fine.softmax(0).tolist()
    expected[-1] -= 1
    assert grad[0, [0, 1, 4, 5]].tolist() == pytest.approx(expected, rel=1e-5)
    expected = coarse[rest].softmax(0).tolist()
    expected[-1] -= 1
    assert grad[0, 6:][rest].tolist() == pytest.approx(expected, rel=1e-5)


def test_three_levels_and_the_fine_level_alone(three_levels):
    loss = HierarchicalCrossEntropyLoss(three_levels, coarse_width='groups')
    vest = torch.tensor([[False, True, False, False, False]])
    hidden = loss.without(torch.zeros(1, loss.get_cls_channels(5)), vest).isinf()
    # Fine: 5 + 1; body, head: 2 + 1; upper, lower, hat: 3 + 1.
    assert hidden[0].nonzero()[:, 0].tolist() == [1, 6, 9]
    assert loss.without(torch.zeros(1, 6), vest).isinf().tolist() == [[False, True, *[False] * 4]]


def test_nothing_and_everything_hidden(garments):
    loss = HierarchicalCrossEntropyLoss(garments)
    scores = torch.randn(2, loss.get_cls_channels(5), requires_grad=True)
    nothing, everything = torch.zeros(2, 5, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    assert torch.equal(loss.without(scores, nothing), scores)
    losses = loss(loss.without(scores, everything), torch.tensor([5, 5]))
    assert losses['loss_cls_fine'].item() == 0
    (grad,) = torch.autograd.grad(losses['loss_cls_fine'], scores)
    assert not grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(garments, dtype):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_labels='marginal')
    scores = torch.randn(2, loss.get_cls_channels(5)).to(dtype).requires_grad_()
    hidden = HIDDEN.expand(2, -1)
    losses = loss(loss.without(scores, hidden), torch.tensor([5, 5]))
    (grad,) = torch.autograd.grad(sum(losses.values()), scores)
    assert grad.isfinite().all() and not grad[:, [2, 3]].any()


def test_which_fine_losses_can(garments):
    for fine_loss, can in (
        (dict(type='CrossEntropyLoss'), True),
        (dict(type='CrossEntropyLoss', class_weight=[1.0, 2, 3, 4, 5, 6]), True),
        (dict(type='SeesawLoss'), False),
    ):
        loss = HierarchicalCrossEntropyLoss(garments, fine_loss=fine_loss)
        assert loss.takes_unannotated == can
        if can:
            hidden = loss.without(torch.zeros(1, loss.get_cls_channels(5)), HIDDEN[None])
            assert loss(hidden, torch.tensor([5]))['loss_cls_fine'].isfinite()
