"""Targets and weights of paths, against values by hand; losses against MMDetection's."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.losses import FocalLoss, QualityFocalLoss

from mmdet_multigrain.models.losses.node_loss import NodeLoss
from mmdet_multigrain.taxonomy import Taxonomy

# shirt, skirt, vest, hat, shorts | top, bottom
GARMENTS = {
    'shirt': '1000010',
    'skirt': '0100001',
    'vest': '0010010',
    'hat': '0001000',
    'shorts': '0000101',
    'background': '0000000',
    'top': '0000010',
    'bottom': '0000001',
    'object': '0000000',
}
FREE = {'top': '0101111', 'bottom': '1011011', 'object': '0000000'}
# shirt, vest, skirt, shorts, hat | body, upper, lower
LEVELS = {
    'shirt': '10000110',
    'shorts': '00010101',
    'hat': '00001000',
    'body': '00000100',
    'upper': '00000110',
    'object': '00000000',
}
LEVELS_FREE = {'body': '00001100', 'upper': '00111111', 'object': '00000000'}


def row(digits):
    return [float(digit) for digit in digits]


@pytest.mark.parametrize('which', ['garments', 'three_levels'])
def test_targets_and_weights(which, request):
    taxonomy = request.getfixturevalue(which)
    loss = NodeLoss(taxonomy, FocalLoss())
    targets, free = (GARMENTS, FREE) if which == 'garments' else (LEVELS, LEVELS_FREE)
    names = taxonomy.labels.names
    for name, digits in targets.items():
        assert loss.targets[names.index(name)].tolist() == row(digits), name
        wanted = row(free.get(name, '1' * len(digits)))
        assert loss.weights[names.index(name)].tolist() == wanted, name
    assert list(loss.state_dict()) == []


def test_groups_of_several_trees_need_not_nest(garments):
    """A group that crosses the label's may hold the object or not."""
    loss, names = NodeLoss(garments, FocalLoss()), garments.labels.names
    assert names[6:8] == ('top', 'bottom')
    crossing = Taxonomy('two', garments.classes, garments.paths)
    sets = garments.labels.sets.copy()
    sets[7, :5] = [1, 1, 0, 0, 0]  # shirt and skirt instead of skirt and shorts
    vars(crossing)['labels'] = type('Table', (), {'sets': sets, 'names': names})
    loss = NodeLoss(crossing, FocalLoss())
    assert loss.targets[0].tolist() == row('1000011') and loss.weights[0].tolist() == [1] * 7
    assert loss.targets[6].tolist() == row('0000010') and loss.weights[6].tolist() == row('0101110')


def test_the_weight_of_groups(garments):
    weights = NodeLoss(garments, FocalLoss(), coarse_weight=0.25).weights
    assert weights[0].tolist() == [1] * 5 + [0.25] * 2
    assert weights[6].tolist() == [0, 1, 0, 1, 1, 0.25, 0.25]


@pytest.fixture
def logits():
    return torch.randn(9, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()


def focal(z, t):
    p = z.sigmoid()
    return -(0.25 * t * (1 - p) ** 2 * p.log() + 0.75 * (1 - t) * p**2 * (1 - p).log())


def quality_focal(z, t):
    p = z.sigmoid()
    return -(t * p.log() + (1 - t) * (1 - p).log()) * (t - p) ** 2


@pytest.mark.parametrize('kind', ['focal', 'quality'])
def test_the_sum_over_outputs(garments, logits, kind):
    labels, weight = torch.arange(9), torch.linspace(0, 2, 9)
    quality = torch.linspace(0.1, 0.9, 9)
    targets = torch.tensor([row(GARMENTS[name]) for name in garments.labels.names])
    free = torch.tensor([row(FREE.get(name, '1' * 7)) for name in garments.labels.names])
    if kind == 'focal':
        found = NodeLoss(garments, FocalLoss())(logits, labels, weight, avg_factor=4)
        wanted = focal(logits, targets)
    else:
        loss = NodeLoss(garments, QualityFocalLoss())
        found = loss(logits, (labels, quality), weight, avg_factor=4)
        wanted = quality_focal(logits, targets * quality[:, None])
    torch.testing.assert_close(found, (wanted * free * weight[:, None]).sum() / 4)


@pytest.mark.parametrize('kind', [FocalLoss, QualityFocalLoss])
def test_children_of_a_coarse_label_learn_nothing(garments, logits, kind):
    labels = torch.arange(9)
    target = labels if kind is FocalLoss else (labels, torch.full((9,), 0.5))
    NodeLoss(garments, kind())(logits, target, avg_factor=1).backward()
    learns = logits.grad != 0
    for name, label in zip(garments.labels.names, labels, strict=True):
        assert learns[label].float().tolist() == row(FREE.get(name, '1' * 7)), name
    assert logits.grad[6, 5] < 0 < logits.grad[6, 6]


@pytest.mark.parametrize('coarse_weight', [None, 0])
@pytest.mark.parametrize('kind', [FocalLoss, QualityFocalLoss])
def test_without_groups_it_is_stock(garments, logits, kind, coarse_weight):
    """A taxonomy without groups, or groups of weight 0: classes learn as in MMDetection."""
    flat = Taxonomy('flat', garments.classes)
    taxonomy, width = (flat, 5) if coarse_weight is None else (garments, 7)
    labels, weight = torch.arange(9) % 6, torch.linspace(0, 2, 9)
    target = labels if kind is FocalLoss else (labels, torch.linspace(0.1, 0.9, 9))
    loss = NodeLoss(taxonomy, kind(loss_weight=2.0), coarse_weight=coarse_weight or 0)
    found = loss(logits[:, :width], target, weight, avg_factor=3.0)
    (mine,) = torch.autograd.grad(found, logits)
    wanted = kind(loss_weight=2.0)(logits[:, :5], target, weight, avg_factor=3.0)
    (theirs,) = torch.autograd.grad(wanted, logits)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)
    assert torch.equal(mine, theirs)
