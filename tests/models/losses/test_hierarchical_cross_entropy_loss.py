"""The loss against equation 1 of the paper, written as loops, and against its own identities."""

from __future__ import annotations

import math

import pytest
import torch
from mmdet.models.losses import CrossEntropyLoss, SeesawLoss
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS

from mmdet_multigrain.models import HierarchicalCrossEntropyLoss
from mmdet_multigrain.taxonomy import Taxonomy


def equation_1(level_scores, labels, weights, taxonomy, level_weights, avg_factor):
    """E_ce per level: - w_k sum_c t_c log y_c over RoIs, as nested loops in plain Python."""
    losses = []
    for level, scores in enumerate(level_scores):
        total = 0.0
        for row, label, weight in zip(
            scores.tolist(), labels.tolist(), weights.tolist(), strict=True
        ):
            background = len(row) - 1
            if label == taxonomy.num_classes:
                target = background
            else:
                target = taxonomy.group_index(level)[label]
            normalizer = sum(math.exp(score) for score in row)
            for channel, score in enumerate(row):
                one_hot = 1.0 if channel == target else 0.0
                total -= weight * one_hot * math.log(math.exp(score) / normalizer)
        losses.append(level_weights[level] * total / avg_factor)
    return losses


def random_batch(loss, num=17, seed=0):
    generator = torch.Generator().manual_seed(seed)
    channels = loss.get_cls_channels(loss.num_classes)
    scores = torch.randn(num, channels, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, loss.num_classes + 1, (num,), generator=generator)
    weights = torch.rand(num, generator=generator, dtype=torch.float64)
    return scores, labels, weights


@pytest.mark.parametrize('coarse_width', ['classes', 'groups'])
@pytest.mark.parametrize('which', ['garments', 'three_levels', 'ungrouped'])
def test_equals_equation_1(which, coarse_width, garments, three_levels):
    taxonomy = {
        'garments': garments,
        'three_levels': three_levels,
        'ungrouped': garments.ungrouped(),
    }[which]
    level_weights = (0.5, 2.0) if taxonomy.num_levels == 2 else (0.5, 0.25, 2.0)
    loss = HierarchicalCrossEntropyLoss(taxonomy, level_weights, coarse_width)
    scores, labels, weights = random_batch(loss)

    losses = loss(scores, labels, weights, avg_factor=11)

    *coarse, fine = loss.split(scores)
    expected = equation_1([*coarse, fine], labels, weights, taxonomy, level_weights, 11)
    names = [f'loss_cls_{loss.level_name(level)}' for level in range(taxonomy.num_levels)]
    assert set(losses) == set(names)
    for name, value in zip(names, expected, strict=True):
        assert losses[name].item() == pytest.approx(value, rel=1e-5)


def test_channels_are_fine_first_then_coarse_to_fine(three_levels):
    loss = HierarchicalCrossEntropyLoss(three_levels, (1, 1, 1), coarse_width='groups')
    # level 0: body, head; level 1: upper, lower, hat; fine: 5 classes; background in each.
    assert loss.level_channels == (3, 4, 6)
    scores = torch.arange(13.0)[None]
    level0, level1, fine = loss.split(scores)
    assert fine[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert level0[0].tolist() == [6, 7, 8]
    assert level1[0].tolist() == [9, 10, 11, 12]


def test_width_of_the_paper_keeps_as_many_coarse_outputs_as_classes(garments):
    loss = HierarchicalCrossEntropyLoss(garments)
    assert loss.level_channels == (6, 6)
    # Groups in label order: top, bottom, hat; background is the last output, not the fourth.
    # Behind it the coarse labels: top, bottom, object.
    assert loss.group_of_label.tolist() == [
        [0, 1, 0, 2, 1, 5, 0, 1, -1],
        [0, 1, 2, 3, 4, 5, -1, -1, -1],
    ]


def test_hand_computed_uniform_scores(garments):
    # All scores equal: each level's loss is the log of its number of outputs.
    loss = HierarchicalCrossEntropyLoss(garments, (1.0, 3.0), coarse_width='groups')
    losses = loss(torch.zeros(2, 10), torch.tensor([0, 5]), avg_factor=2)
    assert losses['loss_cls_fine'].item() == pytest.approx(3 * math.log(6), rel=1e-6)
    assert losses['loss_cls_coarse'].item() == pytest.approx(math.log(4), rel=1e-6)


def test_golden_values():
    # Origin: equation_1 above, in Python floats, on these scores (no generator: sines).
    loss = HierarchicalCrossEntropyLoss('deepfashion2')
    scores = (2 * torch.sin(1.7 * torch.arange(8 * 28))).view(8, 28)
    losses = loss(scores, torch.tensor([0, 3, 6, 9, 12, 13, 13, 5]), avg_factor=8)
    assert losses['loss_cls_fine'].item() == pytest.approx(3.1391447, abs=1e-5)
    assert losses['loss_cls_coarse'].item() == pytest.approx(3.6257560, abs=1e-5)


def test_identity_grouping_equals_wogroup(garments):
    # A taxonomy that spells out one group per class is the same as ungrouped().
    spelled = Taxonomy.load(
        {
            'groups': {f'group of {name}': [name] for name in garments.classes},
        }
    )
    left = HierarchicalCrossEntropyLoss(spelled)
    right = HierarchicalCrossEntropyLoss(garments.ungrouped())
    scores, labels, weights = random_batch(left)
    first, second = left(scores, labels, weights), right(scores, labels, weights)
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}


def test_coarse_weight_zero_is_the_plain_fine_loss(garments):
    loss = HierarchicalCrossEntropyLoss(garments, level_weights=(0.0, 1.0))
    scores, labels, weights = random_batch(loss)
    scores = scores.float().requires_grad_()
    losses = loss(scores, labels, weights.float(), avg_factor=9)
    sum(losses.values()).backward()
    grad = scores.grad.clone()

    plain = scores.detach()[:, :6].clone().requires_grad_()
    expected = CrossEntropyLoss()(plain, labels, weights.float(), avg_factor=9)
    expected.backward()
    assert sum(losses.values()).item() == expected.item()
    assert torch.equal(grad[:, :6], plain.grad)
    assert not grad[:, 6:].any()


def test_permuting_classes_and_taxonomy_together_changes_nothing(garments):
    order = [3, 0, 4, 2, 1]
    document = garments.to_dict()
    document['classes'] = [garments.classes[label] for label in order]
    permuted = Taxonomy.load(document)
    left = HierarchicalCrossEntropyLoss(garments, coarse_width='groups')
    right = HierarchicalCrossEntropyLoss(permuted, coarse_width='groups')
    scores, labels, weights = random_batch(left)

    coarse, fine = left.split(scores)
    groups = [garments.group_names(0).index(name) for name in permuted.group_names(0)]
    fine_permuted = fine[:, [*order, 5]]
    coarse_permuted = coarse[:, [*groups, 3]]
    new_label = torch.tensor([*(order.index(label) for label in range(5)), 5])
    first = left(scores, labels, weights)
    second = right(torch.cat([fine_permuted, coarse_permuted], 1), new_label[labels], weights)
    for key in first:
        assert first[key].item() == pytest.approx(second[key].item(), rel=1e-6)
    assert torch.allclose(
        left.get_activation(scores)[:, [*order, 5]],
        right.get_activation(torch.cat([fine_permuted, coarse_permuted], 1)),
    )


def test_activation_and_accuracy_are_per_level(garments):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_width='groups')
    labels = torch.tensor([0, 1, 5])
    scores = torch.full((3, 10), -10.0)
    scores[0, 2] = 10.0  # vest for shirt: wrong class ...
    scores[0, 6 + 0] = 10.0  # ... but the right superclass, top
    scores[1, 1] = 10.0  # skirt: right
    scores[1, 6 + 0] = 10.0  # but top for bottom
    scores[2, 5] = 10.0  # background: right in both
    scores[2, 6 + 3] = 10.0
    accuracy = loss.get_accuracy(scores, labels)
    assert accuracy['acc_fine'].item() == pytest.approx(200 / 3)
    assert accuracy['acc_coarse'].item() == pytest.approx(200 / 3)
    assert torch.allclose(loss.get_activation(scores), scores[:, :6].softmax(-1))
    assert not any('loss' in key for key in accuracy)


def test_seesaw_as_fine_loss(garments):
    loss = HierarchicalCrossEntropyLoss(garments, fine_loss=dict(type='SeesawLoss'))
    assert isinstance(loss.fine_loss, SeesawLoss)
    assert loss.fine_loss.num_classes == 5
    assert loss.get_cls_channels(5) == 7 + 6  # Seesaw has its own objectness pair
    scores, labels, _ = random_batch(loss)
    scores = scores.float().requires_grad_()
    losses = loss(scores, labels, avg_factor=17)
    reference = SeesawLoss(num_classes=5)
    expected = sum(reference(scores[:, :7], labels, avg_factor=17).values())
    assert losses['loss_cls_fine'].item() == expected.item()
    assert torch.equal(loss.get_activation(scores), reference.get_activation(scores[:, :7]))
    sum(losses.values()).backward()
    assert scores.grad.any(dim=0).all()


def test_accuracy_with_seesaw_is_that_of_its_probabilities(garments):
    """The largest score may be a class's although the pair of objectness says background."""
    loss = HierarchicalCrossEntropyLoss(garments, fine_loss=dict(type='SeesawLoss'))
    scores = torch.zeros(4, 7 + 6)
    scores[:, 2] = 5.0  # vest
    scores[:, 5:7] = torch.tensor([[3.0, -3.0], [-3.0, 3.0], [-3.0, 3.0], [3.0, -3.0]])
    scores[:, 7] = 9.0  # top
    labels = torch.tensor([2, 5, 5, 0])  # vest, background twice, shirt
    accuracy = loss.get_accuracy(scores, labels)
    assert accuracy['acc_fine'].item() == 75  # by the largest of all scores it would be 25
    assert accuracy['acc_coarse'].item() == 50
    reference = SeesawLoss(num_classes=5).get_accuracy(scores[:, :7], labels)
    assert reference['acc_objectness'].item() == 100 and reference['acc_classes'].item() == 50


def test_stock_heads_leave_channels_activation_and_accuracy_to_it(garments):
    loss_cls = dict(type='HierarchicalCrossEntropyLoss', taxonomy=garments)
    head = BBoxHead(num_classes=5, in_channels=4, roi_feat_size=3, loss_cls=loss_cls)
    assert head.fc_cls.out_features == 6 + 6
    loss = head.loss_cls
    assert loss.custom_activation and loss.custom_accuracy and loss.custom_cls_channels


def test_other_reductions(garments):
    loss = HierarchicalCrossEntropyLoss(garments, (0.5, 2.0))
    scores, labels, weights = random_batch(loss)
    options = dict(label_weights=weights)
    single = loss(scores, labels, **options, reduction_override='none')
    added = loss(scores, labels, **options, reduction_override='sum')
    averaged = loss(scores, labels, **options, reduction_override='mean')
    plain = loss(scores, labels, **options)
    assert single['loss_cls_coarse'].shape == (17,)
    for key in ('loss_cls_coarse', 'loss_cls_fine'):
        assert added[key].item() == pytest.approx(single[key].sum().item())
        assert averaged[key].item() == plain[key].item()
        assert averaged[key].item() == pytest.approx(single[key].mean().item())


def test_names_of_levels(garments, three_levels):
    two, three = (HierarchicalCrossEntropyLoss(one) for one in (garments, three_levels))
    assert [two.level_name(level) for level in (0, 1)] == ['coarse', 'fine']
    assert [three.level_name(level) for level in (0, 1, 2)] == ['level0', 'level1', 'fine']


def test_scores_of_the_fine_level_alone(garments):
    loss = HierarchicalCrossEntropyLoss(garments, (0.5, 2.0), coarse_width='groups')
    scores, labels, weights = random_batch(loss)
    fine, whole = scores[:, :6], loss(scores, labels, weights, avg_factor=3)
    alone = loss(fine, labels, weights, avg_factor=3)
    assert {*alone} == {'loss_cls_fine'} and {*loss.get_accuracy(fine, labels)} == {'acc_fine'}
    assert alone['loss_cls_fine'].item() == whole['loss_cls_fine'].item()
    assert torch.equal(loss.get_activation(fine), loss.get_activation(scores))


def test_the_config_of_the_fine_loss_stays_as_it_is(garments):
    config = dict(type='SeesawLoss')
    HierarchicalCrossEntropyLoss(garments, fine_loss=config)
    assert config == dict(type='SeesawLoss')


def test_no_rois_give_a_zero_that_back_propagates(garments):
    loss = HierarchicalCrossEntropyLoss(garments)
    scores = torch.zeros(0, 12, requires_grad=True)
    losses = loss(scores, torch.zeros(0, dtype=torch.long), avg_factor=1.0)
    total = sum(losses.values())
    total.backward()
    assert total.item() == 0
    assert scores.grad.shape == (0, 12)


def test_half_precision_scores_do_not_overflow(garments):
    loss = HierarchicalCrossEntropyLoss(garments)
    scores = torch.full((2, 12), 6e4, dtype=torch.float16)
    losses = loss(scores, torch.tensor([0, 5]), avg_factor=2)
    assert losses['loss_cls_fine'].dtype == torch.float32
    assert losses['loss_cls_fine'].item() == pytest.approx(math.log(6), rel=1e-3)


@pytest.mark.parametrize('coarse_labels', ['mask', 'marginal'])
def test_labels_beyond_the_last_are_refused_not_mistrained(garments, coarse_labels):
    loss = HierarchicalCrossEntropyLoss(garments, coarse_labels=coarse_labels)
    assert loss(torch.zeros(1, 12), torch.tensor([8]))['loss_cls_fine'].isfinite()
    with pytest.raises(IndexError):
        loss(torch.zeros(1, 12), torch.tensor([9]))


def test_group_buffer_moves_with_the_module_and_stays_out_of_checkpoints(garments):
    loss = HierarchicalCrossEntropyLoss(garments)
    assert 'group_of_label' in dict(loss.named_buffers())
    assert loss.state_dict() == {}


def test_builds_from_the_registry_with_a_built_in_name():
    loss = MODELS.build(
        dict(type='HierarchicalCrossEntropyLoss', taxonomy='openimages_v4_clothing')
    )
    assert loss.get_cls_channels(40) == 82


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(level_weights=(1.0,)), 'has 2 levels'),
        (dict(level_weights=(1.0, -1.0)), 'one weight >= 0'),
        (dict(coarse_width='narrow'), "'classes', 'groups'"),
        (dict(coarse_labels='ignore'), "'mask', 'marginal'"),
        (dict(fine_loss=dict(type='CrossEntropyLoss', use_sigmoid=True)), 'use_sigmoid'),
        (dict(fine_loss=dict(type='FocalLoss')), 'FocalLoss uses a sigmoid for each class'),
        (dict(fine_loss=dict(type='EQLV2Loss')), 'EQLV2Loss uses a sigmoid for each class'),
    ],
)
def test_wrong_arguments_say_what_is_wrong(arguments, message, garments):
    with pytest.raises(ValueError, match=message):
        HierarchicalCrossEntropyLoss(garments, **arguments)


def test_flat_taxonomy_and_wrong_number_of_classes_are_refused(garments):
    flat = Taxonomy.load({'ungrouped': ['a', 'b']})
    with pytest.raises(ValueError, match='has no groups'):
        HierarchicalCrossEntropyLoss(flat)
    with pytest.raises(ValueError, match='num_classes=7'):
        HierarchicalCrossEntropyLoss(garments).get_cls_channels(7)
