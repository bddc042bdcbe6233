"""The loss of boxes of which only the superclass is known, against loops and its own identities."""

from __future__ import annotations

import math

import pytest
import torch
from mmdet.models.losses import CrossEntropyLoss, SeesawLoss, cross_entropy

from mmdet_multigrain.models import HierarchicalCrossEntropyLoss
from mmdet_multigrain.models.losses.hierarchical_cross_entropy_loss import set_cross_entropy
from mmdet_multigrain.utils.errors import ConfigError

# Of `garments`: shirt 0, skirt 1, vest 2, hat 3, shorts 4, background 5, and these.
TOP, BOTTOM, OBJECT = 6, 7, 8
# Of `three_levels`: shirt 0, vest 1, skirt 2, shorts 3, hat 4, background 5, and these.
BODY, UPPER, LOWER = 6, 7, 8


def scores_of(loss, num, seed=0):
    generator = torch.Generator().manual_seed(seed)
    channels = loss.get_cls_channels(loss.num_classes)
    return torch.randn(num, channels, generator=generator).requires_grad_()


def gradient(losses, scores, keys=None):
    """Gradient of the sum of the named losses, (N, C)."""
    return torch.autograd.grad(sum(losses[key] for key in keys or losses), scores)[0]


@pytest.mark.parametrize('mode', ['mask', 'marginal'])
def test_without_coarse_labels_losses_and_gradients_are_the_plain_ones(garments, mode):
    loss = HierarchicalCrossEntropyLoss(garments, (0.5, 2.0), coarse_labels=mode)
    labels = torch.tensor([0, 5, 3, 2, 5, 4, 1])
    weights = torch.tensor([1.0, 1, 0, 1, 0.5, 1, 1])
    scores = scores_of(loss, 7)
    losses = loss(scores, labels, weights, avg_factor=6.0)
    plain = scores.detach().clone().requires_grad_()
    groups = torch.tensor([0, 1, 0, 2, 1, 5])[labels]
    fine = 2.0 * CrossEntropyLoss()(plain[:, :6], labels, weights, avg_factor=6.0)
    coarse = 0.5 * cross_entropy(plain[:, 6:], groups, weights, avg_factor=6.0)
    assert losses['loss_cls_fine'].item() == fine.item()
    assert losses['loss_cls_coarse'].item() == coarse.item()
    (fine + coarse).backward()
    assert torch.equal(gradient(losses, scores), plain.grad)


def test_set_cross_entropy_by_hand():
    scores = torch.log(torch.tensor([[1.0, 2, 3, 4]]))  # probabilities 0.1 to 0.4
    sets = {(1, 0, 0, 0): 0.1, (0, 1, 1, 0): 0.5, (1, 1, 1, 0): 0.6, (1, 1, 1, 1): 1.0}
    for allowed, probability in sets.items():
        value = set_cross_entropy(scores, torch.tensor([allowed]).bool())
        assert value.item() == pytest.approx(-math.log(probability), abs=1e-6)
    assert value.item() == 0


def test_any_object_costs_what_is_not_background(garments):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_labels='marginal')
    scores = scores_of(loss, 1)
    losses = loss(scores, torch.tensor([OBJECT]), avg_factor=1)
    for name, part in (('fine', scores[:, :6]), ('coarse', scores[:, 6:9])):
        # Coarse outputs beyond the three groups stay in the sum.
        everything = part if name == 'fine' else scores[:, 6:]
        probability = part[:, : 5 if name == 'fine' else 3].exp().sum() / everything.exp().sum()
        assert losses[f'loss_cls_{name}'].item() == pytest.approx(-probability.log().item(), 1e-5)


def naive_marginal(loss, scores, label, level):
    """- log of the probability of the groups that hold a class of the label, as loops."""
    taxonomy, row = loss.taxonomy, loss.split(scores)[level][0].tolist()
    classes = [i for i, allowed in enumerate(taxonomy.labels.sets[label][:-1]) if allowed]
    outputs = {taxonomy.group_index(level)[i] for i in classes} or {len(row) - 1}
    return -math.log(sum(math.exp(row[i]) for i in outputs) / sum(math.exp(z) for z in row))


@pytest.mark.parametrize('coarse_width', ['classes', 'groups'])
def test_marginal_of_every_label_and_level_equals_loops(three_levels, coarse_width):
    loss = HierarchicalCrossEntropyLoss(
        three_levels, coarse_width=coarse_width, coarse_labels='marginal'
    )
    scores = scores_of(loss, 1)
    for label in range(len(three_levels.labels)):
        # Another RoI of weight 0 makes it a batch with coarse labels.
        both, labels = torch.cat([scores, scores]), torch.tensor([label, BODY])
        losses = loss(both, labels, torch.tensor([1.0, 0]), avg_factor=1)
        for level, name in enumerate(('level0', 'level1', 'fine')):
            expected = naive_marginal(loss, scores, label, level)
            assert losses[f'loss_cls_{name}'].item() == pytest.approx(expected, rel=1e-5)


def test_mask_trains_the_levels_that_know_the_label(three_levels):
    loss = HierarchicalCrossEntropyLoss(three_levels, coarse_width='groups')
    scores = scores_of(loss, 4)
    level0, level1, fine = slice(6, 9), slice(9, 13), slice(0, 6)
    known = {BODY: [level0], UPPER: [level0, level1], 9: [], 3: [level0, level1, fine]}
    labels = torch.tensor([*known])
    grad = gradient(loss(scores, labels, avg_factor=4.0), scores)
    for row, levels in enumerate(known.values()):
        for level in (level0, level1, fine):
            assert bool(grad[row, level].any()) == (level in levels)
    # What a level knows, it learns as from any of the label's classes (here a shirt: 0).
    children = torch.tensor([0, 0, 5, 3])
    as_fine = gradient(loss(scores, children, avg_factor=4.0), scores)
    # Level 0 divides by 3 RoIs, level 1 by 2, the fine one by 1.
    assert torch.allclose(grad[:2, level0] * 3, as_fine[:2, level0] * 4)
    assert torch.allclose(grad[1, level1] * 2, as_fine[1, level1] * 4)
    assert torch.allclose(grad[3, fine], as_fine[3, fine] * 4)


def test_marginal_pushes_others_down_and_no_child_up_over_another(garments):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_labels='marginal')
    scores = scores_of(loss, 1)
    grad = gradient(loss(scores, torch.tensor([TOP]), avg_factor=1), scores)[0]
    children, others = [0, 2], [1, 3, 4, 5]
    assert (grad[children] < 0).all() and (grad[others] > 0).all()
    probability = scores[0, :6].softmax(0)[children]
    ratios = grad[children] / probability
    assert ratios[0].item() == pytest.approx(ratios[1].item(), rel=1e-5)
    assert grad[6].item() < 0 and (grad[7:] > 0).all()  # the coarse level learns "top"


def test_permuting_children_permutes_gradients(garments):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_labels='marginal')
    scores = scores_of(loss, 3)
    labels = torch.tensor([TOP, 5, TOP])
    order = [2, 1, 0, *range(3, scores.size(1))]  # vest and shirt change places
    permuted = scores.detach()[:, order].requires_grad_()
    first = gradient(loss(scores, labels, avg_factor=3), scores)
    second = gradient(loss(permuted, labels, avg_factor=3), permuted)
    assert torch.allclose(first[:, order], second)


@pytest.mark.parametrize('weights', [None, [1.0, 1, 0.5, 1, 0, 1, 0]])
def test_masked_levels_divide_by_their_own_rois(garments, weights):
    loss = HierarchicalCrossEntropyLoss(garments)
    labels = torch.tensor([0, TOP, 5, OBJECT, 1, BOTTOM, OBJECT])
    weights = torch.tensor(weights) if weights else None
    scores = scores_of(loss, 7)
    total = 7.0 if weights is None else 5.0
    losses = loss(scores, labels, weights, avg_factor=total)
    for name, part, unknown in (
        ('fine', slice(0, 6), (1, 3, 5, 6)),
        ('coarse', slice(6, 12), (3, 6)),
    ):
        rows = [row for row in range(7) if row not in unknown]
        targets = {'fine': [0, 9, 5, 9, 1], 'coarse': [0, 0, 5, 9, 1, 1]}[name]
        targets = torch.tensor([targets[row] for row in rows])
        own = torch.ones(7) if weights is None else weights
        expected = cross_entropy(
            scores[rows, part], targets, own[rows], avg_factor=(own[rows] > 0).sum().item()
        )
        assert losses[f'loss_cls_{name}'].item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize('mode', ['mask', 'marginal'])
def test_reductions(garments, mode):
    loss = HierarchicalCrossEntropyLoss(garments, (0.5, 2.0), coarse_labels=mode)
    labels, scores = torch.tensor([TOP, 0, OBJECT, 5]), scores_of(loss, 4)
    each = loss(scores, labels, reduction_override='none')
    total = loss(scores, labels, reduction_override='sum')
    mean = loss(scores, labels, avg_factor=4.0)
    num = {'fine': 2, 'coarse': 3} if mode == 'mask' else {'fine': 4, 'coarse': 4}
    for name, count in num.items():
        key = f'loss_cls_{name}'
        assert each[key].shape == (4,) and (each[key] != 0).sum() == count
        assert each[key].sum().item() == pytest.approx(total[key].item(), rel=1e-5)
        assert mean[key].item() == pytest.approx(total[key].item() / count, rel=1e-5)


@pytest.mark.parametrize('fine_loss', ['CrossEntropyLoss', 'SeesawLoss'])
def test_a_level_that_knows_nothing_has_a_zero_with_a_gradient(garments, fine_loss):
    loss = HierarchicalCrossEntropyLoss(garments, fine_loss=dict(type=fine_loss))
    scores = scores_of(loss, 2)
    for labels, nothing in (([TOP, BOTTOM], ['fine']), ([OBJECT] * 2, ['fine', 'coarse'])):
        losses = loss(scores, torch.tensor(labels), torch.ones(2), avg_factor=2.0)
        for name in ('fine', 'coarse'):
            value = losses[f'loss_cls_{name}']
            assert (value.item() == 0) == (name in nothing)
            assert gradient({'it': value}, scores).isfinite().all()


def test_seesaw_does_not_see_what_is_masked(garments):
    loss = HierarchicalCrossEntropyLoss(garments, fine_loss=dict(type='SeesawLoss'))
    labels, known = torch.tensor([TOP, 0, 5, OBJECT, 3, 0]), [1, 2, 4, 5]
    scores = scores_of(loss, 6)
    reference = SeesawLoss(num_classes=5)
    losses = loss(scores, labels, torch.ones(6), avg_factor=6.0)
    expected = reference(scores[known, :7], labels[known], torch.ones(4), avg_factor=4.0)
    assert losses['loss_cls_fine'].item() == pytest.approx(sum(expected.values()).item())
    # Seesaw reads the counts of classes; that of background, the last, has no effect.
    assert torch.equal(loss.fine_loss.cum_samples[:5], reference.cum_samples[:5])
    with pytest.raises(IndexError):  # stock counts labels in an array that ends with background
        reference(scores[:, :7], labels)
    grad = gradient(losses, scores, ['loss_cls_fine'])
    assert not grad[[0, 3]].any() and grad[known, :7].any(dim=1).all()
    assert loss.get_accuracy(scores, labels)['acc_fine'].isfinite()
    assert loss.likeliest_class(scores, labels)[0] in (0, 2)


@pytest.mark.parametrize(
    'fine_loss', [dict(type='SeesawLoss'), dict(type='CrossEntropyLoss', class_weight=[1.0] * 6)]
)
def test_marginal_refuses_losses_that_it_does_not_fit(garments, fine_loss):
    with pytest.raises(ConfigError, match="CrossEntropyLoss without class_weight .*='mask'$"):
        HierarchicalCrossEntropyLoss(garments, fine_loss=fine_loss, coarse_labels='marginal')


def test_fine_loss_keeps_its_weight(garments):
    for mode in ('mask', 'marginal'):
        values = []
        for weight in (1.0, 3.0):
            fine = dict(type='CrossEntropyLoss', loss_weight=weight)
            loss = HierarchicalCrossEntropyLoss(garments, fine_loss=fine, coarse_labels=mode)
            values.append(loss(scores_of(loss, 2), torch.tensor([TOP, 1]), avg_factor=2.0))
        first, second = (value['loss_cls_fine'].item() for value in values)
        assert second == pytest.approx(3 * first)
        first, second = (value['loss_cls_coarse'].item() for value in values)
        assert second == first


@pytest.mark.parametrize('mode', ['mask', 'marginal'])
def test_fine_loss_keeps_its_reduction(garments, mode):
    """A sum has no divisor that masked RoIs could lower."""
    fine = dict(type='CrossEntropyLoss', reduction='sum')
    loss = HierarchicalCrossEntropyLoss(garments, fine_loss=fine, coarse_labels=mode)
    scores = scores_of(loss, 3)
    losses = loss(scores, torch.tensor([0, TOP, 5]))
    logs = -scores[:, :6].log_softmax(1)
    expected = logs[0, 0] + logs[2, 5]
    if mode == 'marginal':
        expected = expected - scores[1, :6].softmax(0)[[0, 2]].sum().log()
    assert losses['loss_cls_fine'].item() == pytest.approx(expected.item(), rel=1e-5)
    coarse = -scores[:, 6:].log_softmax(1)[range(3), [0, 0, 5]].mean()
    assert losses['loss_cls_coarse'].item() == pytest.approx(coarse.item(), rel=1e-5)


def test_a_divisor_below_one(garments):
    loss = HierarchicalCrossEntropyLoss(garments)
    scores, labels, weights = scores_of(loss, 2), torch.tensor([0, TOP]), torch.tensor([0.5, 0])
    expected = cross_entropy(scores[:1, :6], labels[:1], weights[:1], avg_factor=0.5)
    found = loss(scores, labels, weights, avg_factor=0.5)['loss_cls_fine']
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('mode', ['mask', 'marginal'])
def test_low_precision_stays_finite(garments, mode, dtype):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_labels=mode)
    scores = torch.full((3, 12), -6e4, dtype=dtype)
    scores[:, 5] = 6e4  # sure of background, in the fine part
    scores.requires_grad_()
    losses = loss(scores, torch.tensor([TOP, OBJECT, 5]), avg_factor=3.0)
    assert all(value.dtype == torch.float32 for value in losses.values())
    # Of the coarse outputs, which are equal, TOP and background allow one of six, OBJECT three.
    gap = 2 * scores[0, 5].item()
    fine, coarse = 0.0, math.log(6)
    if mode == 'marginal':
        fine, coarse = (2 * gap - math.log(2 * 5)) / 3, (2 * math.log(6) + math.log(2)) / 3
    assert losses['loss_cls_fine'].item() == pytest.approx(fine, rel=1e-6)
    assert losses['loss_cls_coarse'].item() == pytest.approx(coarse, abs=4e-3)
    assert gradient(losses, scores).isfinite().all()


def test_accuracies_count_what_has_a_truth(garments):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_width='groups')
    labels = torch.tensor([0, TOP, BOTTOM, OBJECT])
    scores = torch.zeros(4, 10)
    scores[0, 0] = scores[0, 6] = scores[1, 6] = scores[2, 6] = 9.0  # "bottom" taken for "top"
    accuracy = loss.get_accuracy(scores, labels)
    assert accuracy['acc_fine'].item() == 100
    assert accuracy['acc_coarse'].item() == pytest.approx(200 / 3)
    assert loss.get_accuracy(scores[3:], labels[3:])['acc_coarse'].item() == 0
    assert loss.get_accuracy(scores[1:2], labels[1:2])['acc_coarse'].item() == 100
    assert loss.get_accuracy(scores[:0], labels[:0])['acc_fine'].item() == 0


def test_likeliest_class_is_one_of_the_label_and_has_no_gradient(garments):
    loss = HierarchicalCrossEntropyLoss(garments)
    scores = torch.zeros(4, 12)
    scores[:, 5], scores[:, 1], scores[:, 2] = 9.0, 5.0, 3.0
    labels = torch.tensor([TOP, BOTTOM, OBJECT, 0])
    likeliest = loss.likeliest_class(scores.requires_grad_(), labels)
    assert likeliest.tolist() == [2, 1, 1, 0] and not likeliest.requires_grad
    fine = torch.arange(6)  # with background
    assert torch.equal(loss.likeliest_class(scores[:1].expand(6, -1), fine), fine)


def test_without_groups_the_labels_above_are_those_of_another_taxonomy(garments):
    flat = garments.ungrouped()
    loss = HierarchicalCrossEntropyLoss(
        flat, label_taxonomy=garments, coarse_labels='marginal', level_weights=(1, 1)
    )
    scores = scores_of(loss, 1)
    losses = loss(scores, torch.tensor([TOP]), avg_factor=1)
    for name, part in (('fine', scores[:, :6]), ('coarse', scores[:, 6:])):
        expected = -part.softmax(1)[0, [0, 2]].sum().log()
        assert losses[f'loss_cls_{name}'].item() == pytest.approx(expected.item(), rel=1e-5)
    masked = HierarchicalCrossEntropyLoss(flat, label_taxonomy=garments)
    assert not gradient(masked(scores, torch.tensor([TOP]), avg_factor=1), scores).any()
    with pytest.raises(IndexError):  # alone, it has no groups: background, then the object
        HierarchicalCrossEntropyLoss(flat)(scores, torch.tensor([BOTTOM]))
