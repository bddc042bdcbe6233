"""The loss of levels that need not nest, and fusion along the main tree."""

from __future__ import annotations

import math

import pytest
import torch

from mmdet_multigrain.models import HierarchicalCrossEntropyLoss
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .test_hierarchical_cross_entropy_loss import equation_1, random_batch

# Of background and of each of the classes shirt, vest, skirt, shorts, hat.
SUMMER, WINTER = (0, 3), (1, 2)


def make_loss(taxonomy, **arguments):
    return HierarchicalCrossEntropyLoss(taxonomy, coarse_width='groups', **arguments)


@pytest.mark.parametrize('coarse_width', ['classes', 'groups'])
def test_equals_equation_1(two_trees, coarse_width):
    weights = (0.5, 0.25, 3.0, 2.0)
    loss = HierarchicalCrossEntropyLoss(two_trees, weights, coarse_width)
    scores, labels, label_weights = random_batch(loss)
    losses = loss(scores, labels, label_weights, avg_factor=11)
    found = [losses[f'loss_cls_{name}'].item() for name in ('level0', 'level1', 'level2', 'fine')]
    expected = equation_1(loss.split(scores), labels, label_weights, two_trees, weights, 11)
    assert found == pytest.approx(expected, rel=1e-5) and len(losses) == 4


def test_by_hand(two_trees):
    """A vest, a hat and background; of the seasons, winter, 'hat' and background."""
    loss = make_loss(two_trees, level_weights=(1, 1, 3, 1))
    assert loss.level_channels == (3, 4, 4, 6)
    assert loss.group_of_label[2, :6].tolist() == [0, 1, 1, 0, 2, 3]
    scores = torch.zeros(3, 17)
    scores[:, 13:] = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()  # level 2 is the last part
    losses = loss(scores, torch.tensor([1, 4, 5]), avg_factor=3)
    assert losses['loss_cls_level2'].item() == pytest.approx(
        3 * (math.log(4) + math.log(8) + math.log(8)) / 3, rel=1e-6
    )
    assert losses['loss_cls_level0'].item() == pytest.approx(math.log(3), rel=1e-6)
    assert losses['loss_cls_level1'].item() == pytest.approx(math.log(4), rel=1e-6)


def test_each_tree_has_the_loss_that_it_has_alone(two_trees):
    loss = make_loss(two_trees)
    scores, labels, weights = random_batch(loss)
    *levels, fine = loss.split(scores)
    losses = loss(scores, labels, weights)
    for tree in two_trees.trees:
        alone, own = make_loss(two_trees.tree(tree)), two_trees.levels_of(tree)
        parts = torch.cat([fine, *(levels[level] for level in own)], dim=1)
        found = alone(parts, labels, weights)
        assert found['loss_cls_fine'].item() == losses['loss_cls_fine'].item()
        for number, level in enumerate(own):
            name = f'loss_cls_{alone.level_name(number)}'
            assert found[name].item() == losses[f'loss_cls_level{level}'].item()


def test_equal_levels_have_equal_losses(two_trees):
    season = two_trees.forest['season']
    loss = make_loss(Taxonomy('x', two_trees.classes, {'one': season, 'two': season}))
    scores, labels, weights = random_batch(loss)
    scores[:, 10:] = scores[:, 6:10]
    losses = loss(scores, labels, weights)
    assert losses['loss_cls_level0'].item() == losses['loss_cls_level1'].item()


@pytest.mark.parametrize('coarse_labels', ['mask', 'marginal'])
def test_boxes_of_which_only_the_group_of_one_tree_is_known(two_trees, coarse_labels):
    """A winter garment: level 2 learns it, and as all of them are for the body, so does level 0."""
    loss = make_loss(two_trees, coarse_labels=coarse_labels)
    scores = random_batch(loss)[0][:1].float()
    label = torch.tensor([two_trees.find('winter', coarse=True)])
    losses = loss(scores, label, avg_factor=1)
    level0, level1, level2, fine = (part[0].log_softmax(0) for part in loss.split(scores))
    expected = {'level0': -level0[0], 'level2': -level2[1]}
    expected |= {'level1': torch.zeros(()), 'fine': torch.zeros(())}
    if coarse_labels == 'marginal':  # a vest is upper, a skirt is lower
        expected['level1'] = -level1[:2].logsumexp(0)
        expected['fine'] = -fine[list(WINTER)].logsumexp(0)
    for name, value in expected.items():
        assert losses[f'loss_cls_{name}'].item() == pytest.approx(value.item(), abs=1e-6)


@pytest.mark.parametrize('tree', ['kind', 'season'])
@pytest.mark.parametrize(
    'fusion',
    [
        dict(type='ConditionalFusion', gamma=0.7),
        dict(type='ProductFusion', gamma=2),
        dict(type='NorCal', gamma=0.5, within_groups=True),
        dict(type='NorCal', gamma=0.5, fusion=dict(type='ConditionalFusion')),
    ],
    ids=lambda fusion: f'{fusion["type"]} {"fusion" in fusion}',
)
def test_fusion_follows_the_main_tree(two_trees, tree, fusion):
    loss = make_loss(two_trees.with_main_tree(tree), fusion=fusion)
    alone = make_loss(two_trees.tree(tree), fusion=fusion)
    for one in (loss, alone):
        if fusion['type'] == 'NorCal':
            one.fusion.class_counts.copy_(torch.tensor([9, 1, 4, 30, 2]))
    scores = random_batch(loss)[0].float()
    *levels, fine = loss.split(scores)
    parts = torch.cat([fine, *(levels[level] for level in two_trees.levels_of(tree))], dim=1)
    found = loss.get_activation(scores)
    assert torch.equal(found, alone.get_activation(parts))
    other = {'kind': 'season', 'season': 'kind'}[tree]
    moved = make_loss(two_trees.with_main_tree(other), fusion=fusion)
    if fusion['type'] != 'NorCal':
        assert not torch.allclose(found, moved.get_activation(scores), atol=1e-3)


def test_winter_by_hand(two_trees):
    """At gamma 1 the seasons have the probabilities of their own level."""
    fusion = dict(type='ConditionalFusion')
    loss = make_loss(two_trees.with_main_tree('season'), fusion=fusion)
    scores = random_batch(loss)[0].float()
    found, season = loss.get_activation(scores), loss.split(scores)[2].softmax(1)
    for group, members in enumerate((SUMMER, WINTER)):
        mass = found[:, list(members)].sum(1)
        torch.testing.assert_close(mass, season[:, group], rtol=1e-4, atol=1e-6)


def test_fusion_needs_the_levels_of_its_tree_only(two_trees):
    fusion = dict(type='ConditionalFusion', gamma=[0.5])
    season = two_trees.with_main_tree('season')
    assert make_loss(season, level_weights=(0, 0, 1, 1), fusion=fusion).fuses_levels
    with pytest.raises(ConfigError, match='leaves one untrained; leave fusion out'):
        make_loss(season, level_weights=(1, 1, 0, 1), fusion=fusion)
    with pytest.raises(ConfigError, match="'two trees .kind.' has 2 coarser levels and needs one"):
        make_loss(two_trees, fusion=fusion)
