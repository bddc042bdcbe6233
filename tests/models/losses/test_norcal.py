"""NorCal and logit adjustment: against a naive loop, what they keep, what they need, refusals."""

from __future__ import annotations

import pytest
import torch

from mmdet_multigrain.models import HierarchicalCrossEntropyLoss
from mmdet_multigrain.models.losses.score_fusion import CENTERS
from mmdet_multigrain.utils.errors import ConfigError

from .test_score_fusion import groups_at, marginals, scores_of

COUNTS = [100, 7, 3, 0, 40]
FUSION = dict(type='ConditionalFusion', gamma=0.6)


def make_loss(taxonomy, counts=COUNTS, **arguments):
    loss = HierarchicalCrossEntropyLoss(taxonomy, fusion=dict(type='NorCal', **arguments))
    loss.fusion.class_counts.copy_(torch.tensor(counts))
    return loss


def before(taxonomy, scores, fusion=None):
    return HierarchicalCrossEntropyLoss(taxonomy, fusion=fusion).get_activation(scores).double()


@pytest.mark.parametrize('fusion', [None, FUSION])
@pytest.mark.parametrize('center', CENTERS)
def test_equals_a_naive_loop(three_levels, center, fusion):
    loss = make_loss(three_levels, gamma=0.7, center=center, fusion=fusion)
    scores, counts = scores_of(loss), [max(count, 1) for count in COUNTS]
    of_all = torch.tensor(counts).double()
    reference = {'geometric': of_all.log().mean().exp(), 'total': of_all.sum(), 'none': 1.0}[center]
    expected = before(three_levels, scores, fusion)
    for label, count in enumerate(counts):
        expected[:, label] /= (count / reference) ** 0.7
    expected = expected / expected.sum(1, keepdim=True)
    found = loss.get_activation(scores)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('fusion', [None, FUSION])
def test_a_group_keeps_its_probability(three_levels, fusion):
    loss = make_loss(three_levels, gamma=0.7, within_groups=True, fusion=fusion)
    scores = scores_of(loss)
    found, old = loss.get_activation(scores).double(), before(three_levels, scores, fusion)
    groups = groups_at(three_levels, 1)
    kept = [marginals(values, groups) for values in (found, old)]
    torch.testing.assert_close(*kept, rtol=1e-4, atol=1e-7)
    weights = torch.tensor([max(count, 1) for count in COUNTS]).double() ** -0.7
    for one in range(5):
        for other in range(5):
            if groups[one] == groups[other]:
                ratio = found[:, one] * old[:, other] / (found[:, other] * old[:, one])
                expected = (weights[one] / weights[other]).expand_as(ratio)
                torch.testing.assert_close(ratio, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize('within_groups', [False, True])
def test_of_equal_counts_nothing_changes(garments, within_groups):
    loss = make_loss(garments, [30] * 5, gamma=2, within_groups=within_groups)
    scores = scores_of(loss)
    found, old = loss.get_activation(scores), before(garments, scores).float()
    torch.testing.assert_close(found, old, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('within_groups', [False, True])
def test_probabilities_that_vanish(garments, within_groups):
    loss = make_loss(garments, within_groups=within_groups)
    scores = scores_of(loss, scale=1000)
    scores[0, [0, 2]] = float('-inf')  # a group without any probability
    found = loss.get_activation(scores)
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(1), torch.ones(len(found)))


def test_gamma_0_is_what_it_corrects_bit_by_bit(garments):
    scores = scores_of(make_loss(garments))
    for fusion in (None, FUSION):
        config = dict(type='NorCal', gamma=0, fusion=fusion)
        loss = HierarchicalCrossEntropyLoss(garments, fusion=config)
        assert not loss.state_dict()
        assert torch.equal(loss.get_activation(scores).double(), before(garments, scores, fusion))


def test_the_fine_scores_are_enough(garments):
    loss = make_loss(garments, within_groups=True)
    scores = scores_of(loss)
    assert not loss.fuses_levels and make_loss(garments, fusion=FUSION).fuses_levels
    assert torch.equal(loss.get_activation(scores[:, :6]), loss.get_activation(scores))
    # The coarse level, which is not read, may stay untrained.
    HierarchicalCrossEntropyLoss(garments, level_weights=(0, 1), fusion=dict(type='NorCal'))


def test_counts_are_in_the_state_dict(garments):
    for fusion in (None, FUSION):
        state = make_loss(garments, fusion=fusion).state_dict()
        assert {key: value.tolist() for key, value in state.items()} == {
            'fusion.class_counts': COUNTS
        }


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(gamma=-1), 'gamma=-1: must be a number from 0 on'),
        (dict(gamma=[1]), r'gamma=\[1\]: must be a number'),
        (dict(center='mean'), "center='mean': must be one of"),
        (dict(fusion=dict(type='NorCal')), 'NorCal on NorCal'),
        (dict(fusion=dict(type='ResNet')), 'must have the type ConditionalFusion, Pro'),
    ],
)
def test_refusals(garments, arguments, message):
    with pytest.raises(ConfigError, match=message) as error:
        make_loss(garments, **arguments)
    assert '\n' not in str(error.value)


def test_within_groups_needs_a_group_of_several_classes(garments, three_levels):
    """In wogroup it would change nothing, silently."""
    for taxonomy in (garments.ungrouped(), three_levels.ungrouped()):
        with pytest.raises(ConfigError, match='head without groups .*; leave within_groups out$'):
            make_loss(taxonomy, within_groups=True)
        assert make_loss(taxonomy).fusion is not None


def test_without_counts(garments):
    loss = make_loss(garments, [0] * 5)
    with pytest.raises(ConfigError, match='which this checkpoint lacks; add them with') as error:
        loss.get_activation(scores_of(loss))
    assert '\n' not in str(error.value)
