"""Fusion of levels at test time: hand-computed, against a naive loop, its limits, its refusals."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.losses import SeesawLoss

from mmdet_multigrain.models import ConditionalFusion, HierarchicalCrossEntropyLoss, ProductFusion
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

WIDTHS = ('classes', 'groups')
KINDS = ('ConditionalFusion', 'ProductFusion')
SEESAW = dict(type='SeesawLoss')


def make_loss(taxonomy, kind='ConditionalFusion', gamma=1.0, **arguments):
    return HierarchicalCrossEntropyLoss(taxonomy, fusion=dict(type=kind, gamma=gamma), **arguments)


def scores_of(loss, rows=40, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(rows, sum(loss.level_channels), generator=generator)


def groups_at(taxonomy, level):
    """Group of each class and, last, of background."""
    return (*taxonomy.group_index(level), taxonomy.num_groups(level))


def coarse_probabilities(loss, scores, level):
    """Softmax of a level over its groups and background alone, in double precision."""
    count = loss.taxonomy.num_groups(level)
    logits = loss.split(scores)[level].double()
    return torch.cat([logits[:, :count], logits[:, -1:]], dim=1).softmax(1)


def marginals(probabilities, groups):
    return torch.stack(
        [probabilities[:, [g == group for g in groups]].sum(1) for group in range(max(groups) + 1)],
        dim=1,
    )


def test_by_hand():
    # a, b in one group, c in another; background. p = 0.4, 0.2, 0.3, 0.1; q = 0.3, 0.6, 0.1.
    taxonomy = Taxonomy.load({'name': 'abc', 'groups': {'ab': ['a', 'b']}, 'ungrouped': ['c']})
    p, q = torch.tensor([[0.4, 0.2, 0.3, 0.1]]).log(), torch.tensor([[0.3, 0.6, 0.1]]).log()
    conditional = ConditionalFusion(taxonomy, gamma=1)(p, [q]).exp()
    torch.testing.assert_close(conditional, torch.tensor([[0.2, 0.1, 0.6, 0.1]]))
    product = torch.tensor([[0.12, 0.06, 0.18, 0.01]])
    torch.testing.assert_close(
        ProductFusion(taxonomy, gamma=1)(p, [q]).exp(), product / product.sum()
    )
    # gamma 2 of the quotients 1/2, 2 and 1.
    squares = torch.tensor([[0.4 / 4, 0.2 / 4, 0.3 * 4, 0.1]])
    found = ConditionalFusion(taxonomy, gamma=2)(p, [q]).exp()
    torch.testing.assert_close(found, squares / squares.sum())


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('fine_loss', [dict(type='CrossEntropyLoss'), SEESAW], ids=['CE', 'Seesaw'])
def test_equals_a_naive_loop(three_levels, kind, width, fine_loss):
    loss = make_loss(three_levels, kind, 0.7, coarse_width=width, fine_loss=fine_loss)
    scores = scores_of(loss)
    plain = HierarchicalCrossEntropyLoss(three_levels, coarse_width=width, fine_loss=fine_loss)
    expected = plain.get_activation(scores.double())
    for level in (1, 0):
        groups = groups_at(three_levels, level)
        q, of_groups = coarse_probabilities(loss, scores, level), marginals(expected, groups)
        for column, group in enumerate(groups):
            factor = q[:, group]
            if kind == 'ConditionalFusion':
                factor = factor / of_groups[:, group]
            expected[:, column] *= factor**0.7
        expected = expected / expected.sum(1, keepdim=True)
    found = loss.get_activation(scores)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('kind', KINDS)
def test_a_gamma_for_each_level(three_levels, kind):
    def activation(gamma):
        loss = make_loss(three_levels, kind, gamma)
        return loss.get_activation(scores_of(loss))

    assert torch.equal(activation([0.7, 0.7]), activation(0.7))
    assert torch.equal(activation((0, 0)), activation(0))
    # Only the coarsest level: as in a taxonomy without the middle one.
    loss = make_loss(three_levels, kind, [0.7, 0])
    top, middle, fine = loss.split(scores_of(loss))
    groups = {name: [] for name in three_levels.group_names(0)}
    for label, name in enumerate(three_levels.classes):
        groups[three_levels.superclass_of(label, 0)].append(name)
    flat = dict(name='flat', groups=groups, classes=list(three_levels.classes))
    two = make_loss(Taxonomy.load(flat), kind, 0.7)
    expected = two.get_activation(torch.cat([fine, top], dim=1))
    torch.testing.assert_close(activation([0.7, 0]), expected)


@pytest.mark.parametrize('width', WIDTHS)
def test_at_gamma_1_the_coarsest_level_decides_on_groups(three_levels, width):
    loss = make_loss(three_levels, coarse_width=width)
    scores = scores_of(loss)
    found = marginals(loss.get_activation(scores).double(), groups_at(three_levels, 0))
    torch.testing.assert_close(found, coarse_probabilities(loss, scores, 0), rtol=1e-4, atol=1e-7)


def test_of_classes_alone_the_coarse_branch_decides(garments):
    loss = make_loss(garments.ungrouped())
    scores = scores_of(loss)
    found, expected = loss.get_activation(scores), loss.split(scores)[0].softmax(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_probabilities_that_vanish(three_levels, kind, dtype):
    for gamma in (0.3, 1.0, 2.0):
        loss = make_loss(three_levels, kind, gamma)
        scores = scores_of(loss, scale=1000).to(dtype)
        scores[0, :3] = float('-inf')  # a group without any probability
        found = loss.get_activation(scores)
        assert found.isfinite().all() and (found >= 0).all()
        torch.testing.assert_close(found.sum(1), torch.ones(len(found)))


def test_gamma_0_is_the_fine_level_bit_by_bit(garments):
    loss = make_loss(garments, gamma=0)
    scores = scores_of(loss)
    plain = HierarchicalCrossEntropyLoss(garments)
    assert loss.fusion is None
    assert torch.equal(loss.get_activation(scores), plain.get_activation(scores))


def test_the_state_dict_stays_as_it_is(garments):
    assert not make_loss(garments).state_dict()
    assert isinstance(make_loss(garments, fine_loss=SEESAW).fine_loss, SeesawLoss)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(gamma=-1), 'fusion: gamma=-1: must be a number from 0 on'),
        (dict(gamma=True), 'gamma=True: must be a number'),
        (dict(gamma=[1, 1]), 'has 1 coarser levels and needs one number for all, or one for each'),
        (dict(level_weights=(0, 1)), 'leaves one untrained; leave fusion out'),
        (dict(fine_loss=dict(type='EQLV2Loss')), 'EQLV2Loss'),
    ],
)
def test_refusals(garments, arguments, message):
    with pytest.raises(ConfigError, match=message) as error:
        make_loss(garments, **arguments)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'fusion',
    [3, 'ProductFusion', dict(gamma=1), dict(type='NoFusion'), dict(type='ResNet', gamma=0)],
)
def test_what_is_no_fusion_is_refused(garments, fusion):
    with pytest.raises(ConfigError, match='must have the type ConditionalFusion, Pro') as error:
        HierarchicalCrossEntropyLoss(garments, fusion=fusion)
    assert '\n' not in str(error.value)
