"""Arguments of the multi-grained head: defaults that follow the taxonomy, and refusals."""

from __future__ import annotations

import copy

import pytest

from mmdet_multigrain.taxonomy import Taxonomy

from .made_heads import losses_of, make_batch, make_head, total


@pytest.mark.parametrize('levels', [2, 3, 5])
@pytest.mark.parametrize('grouped', [True, False])
def test_defaults_follow_the_levels(levels, grouped):
    paths = [tuple(f'{group}{level}' for level in range(levels - 1)) for group in 'aab']
    head = make_head(Taxonomy('deep', ['x', 'y', 'z'], paths), grouped=grouped)
    assert head.branch_depths == tuple(range(1, levels + 1))
    assert head.reg_weights == (*(0,) * (levels - 1), 1) and not head.coarse_fc_reg
    assert head.loss_cls.level_weights == (1,) * levels
    total(losses_of(head, *make_batch(3))).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_without_groups_the_grouped_head_is_refused():
    flat = Taxonomy('flat', ['shirt', 'vest', 'hat'])
    with pytest.raises(ValueError, match="taxonomy 'flat' has no groups .* train wogroup"):
        make_head(flat)
    assert make_head(flat, grouped=False).branch_depths == (1, 2)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(branch_fcs=(1,)), 'has 2 levels'),
        (dict(branch_fcs=(0, 2)), 'at least 1 layer'),
        (dict(reg_weights=(0, 0)), 'the fine one above 0'),
        (dict(reg_weights=(1,)), 'has 2 levels'),
        (dict(num_classes=80), 'num_classes=80'),
        (dict(loss_cls=dict(type='SeesawLoss', num_classes=5)), 'HierarchicalCrossEntropyLoss'),
        (dict(with_reg=False), 'always classifies and regresses'),
    ],
)
def test_wrong_arguments_say_what_is_wrong(arguments, message, garments):
    with pytest.raises((ValueError, TypeError), match=message):
        make_head(garments, **arguments)


def test_one_group_only_where_it_is_allowed(garments):
    groups = {'everything': list(garments.classes)}
    with pytest.raises(ValueError, match='one group teaches nothing'):
        make_head(groups)
    head = copy.deepcopy(make_head(groups, allow_one_group=True))
    assert head.taxonomy.classes == garments.classes
    # Five classes, background, and two labels of all classes: the group and the object.
    assert head.loss_cls.group_of_label[0].tolist() == [*[0] * 5, 5, 0, 0]
    losses_of(head, *make_batch(5))
