"""Which branch feeds which level: scores, box deltas, cascades, unreduced losses, defaults."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS

from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead
from mmdet_multigrain.models.bbox_heads.multi_branch_bbox_head import resolve_taxonomy
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .made_heads import SMALL, losses_of, make_batch, make_head, total
from .test_multi_grained_in_roi_heads import one_image, roi_head_config


@pytest.mark.parametrize('reg_weights', [(0, 1, 1), (1, 0, 1), (0.5, 2, 3), (0, 0, 1)])
def test_each_level_is_predicted_from_its_own_branch(three_levels, reg_weights):
    head = make_head(three_levels, reg_weights=reg_weights, coarse_width='groups')
    x = torch.randn(7, 4, 3, 3)
    *coarse, fine = head.branch_features(x)
    scores = [head.fc_cls(fine)]
    scores += [head.coarse_fc_cls[level](coarse[level]) for level in (0, 1)]
    regressed = [level for level in (0, 1) if reg_weights[level]]
    deltas = [head.fc_reg(fine)]
    deltas += [head.coarse_fc_reg[str(level)](coarse[level]) for level in regressed]
    assert len(head.coarse_fc_reg) == len(regressed)
    found = head(x)
    assert torch.equal(found[0], torch.cat(scores, 1))
    assert torch.equal(found[1], torch.cat(deltas, 1))
    # body, head; upper, lower, hat; five classes; four deltas each.
    assert [part.shape[1] for part in scores] == [6, 3, 4]
    assert [part.shape[1] for part in deltas] == [20, *((8, 12)[level] for level in regressed)]


def test_each_branch_has_its_own_rows_and_layers(three_levels):
    head = make_head(three_levels, branch_fcs=(2, 1, 3))
    x = torch.randn(5, 4, 3, 3)
    for level, depth in enumerate((2, 1, 3)):
        rows = slice(16 * level, 16 * (level + 1))
        feature = x.flatten(1) @ head.branch_in.weight[rows].T + head.branch_in.bias[rows]
        feature = feature.relu()
        assert len(head.branch_fcs[level]) == depth - 1
        for layer in head.branch_fcs[level]:
            feature = layer(feature).relu()
        torch.testing.assert_close(head.branch_features(x)[level], feature)
    torch.testing.assert_close(head.fine_feature(x), feature)


@pytest.mark.parametrize('class_agnostic', [False, True])
def test_regression_of_three_levels_equals_a_naive_loop(three_levels, class_agnostic):
    weights = (0.5, 2.0, 3.0)
    head = make_head(
        three_levels, reg_weights=weights, coarse_width='groups', reg_class_agnostic=class_agnostic
    )
    features, batch = make_batch(5)
    deltas = 50 * head(features)[1]  # linear parts of smooth L1, too
    losses = head.loss(head(features)[0], deltas, **batch)
    starts = (4, 8, 0) if class_agnostic else (20, 28, 0)
    for level, name in enumerate(('loss_bbox_level0', 'loss_bbox_level1', 'loss_bbox')):
        expected = 0.0
        for row, label in enumerate(batch['labels'].tolist()):
            if label < 5:
                group = 0 if class_agnostic else three_levels.group_index(level)[label]
                start = starts[level] + 4 * group
                x = (deltas[row, start : start + 4] - batch['bbox_targets'][row]).abs()
                expected += torch.where(x < 1, 0.5 * x * x, x - 0.5).sum().item()
        assert losses[name].item() == pytest.approx(weights[level] * expected / 12, rel=1e-4)


@pytest.mark.parametrize('class_agnostic', [False, True])
def test_a_cascade_moves_boxes_by_the_fine_branch(garments, class_agnostic):
    options = dict(reg_class_agnostic=class_agnostic)
    head = make_head(garments, reg_weights=(1, 1), **options)
    stock = BBoxHead(num_classes=5, in_channels=4, roi_feat_size=3, **options)
    features, batch = make_batch(5)
    deltas, priors = 50 * head(features)[1], batch['rois'][:, 1:]
    labels, meta = batch['labels'].clamp(max=4), dict(img_shape=(100, 100))
    expected = stock.regress_by_class(
        priors, labels, deltas[:, : 4 if class_agnostic else 20].contiguous(), meta
    )
    assert torch.equal(head.regress_by_class(priors, labels, deltas, meta), expected)
    assert not torch.allclose(expected, priors, atol=0.1)


@pytest.mark.parametrize('reg_weights', [(0, 1), (1, 1)])
def test_class_agnostic_cascades(garments, reg_weights):
    """What the coarse regressors say reaches no box."""
    bbox_head = dict(
        type='MultiGrainedBBoxHead',
        taxonomy=garments.to_dict(),
        reg_weights=reg_weights,
        reg_class_agnostic=True,
        **SMALL,
    )
    torch.manual_seed(0)
    roi_head = MODELS.build(roi_head_config('CascadeRoIHead', bbox_head))
    roi_head.init_weights()
    sample, proposals = one_image()
    features = (torch.randn(1, 4, 16, 16),)
    losses = roi_head.loss(features, [copy.deepcopy(proposals)], [sample])
    assert {f's{stage}.loss_bbox_coarse' in losses for stage in (0, 1)} == {reg_weights == (1, 1)}
    total(losses).backward()
    for name, parameter in roi_head.named_parameters():
        assert parameter.grad is not None, name
    found = []
    for _ in range(2):
        with torch.no_grad():
            result = roi_head.eval().predict(features, [copy.deepcopy(proposals)], [sample])[0]
            for name, parameter in roi_head.named_parameters():
                if 'coarse' in name:
                    parameter.fill_(9.0)
        found.append(result)
    assert len(found[0]) > 0
    assert torch.equal(found[0].bboxes, found[1].bboxes)
    assert torch.equal(found[0].scores, found[1].scores)


def test_losses_of_single_rois(garments):
    head = make_head(garments, reg_weights=(0.5, 2))
    features, batch = make_batch(5)
    outputs = head(features)
    whole = head.loss(*outputs, **batch)
    single = head.loss(*outputs, **batch, reduction_override='none')
    for key, shape in dict(
        loss_cls_fine=(12,), loss_cls_coarse=(12,), loss_bbox=(10, 4), loss_bbox_coarse=(12, 4)
    ).items():
        assert single[key].shape == shape
        assert single[key].sum().item() / 12 == pytest.approx(whole[key].item(), rel=1e-5)


def test_the_taxonomy_gives_the_number_of_classes(garments):
    assert make_head(garments, num_classes=5).num_classes == 5
    with pytest.raises(ConfigError, match="num_classes=4: taxonomy 'garments' has 5 classes"):
        make_head(garments, num_classes=4)


def test_defaults_are_those_of_the_paper(garments):
    head = MultiGrainedBBoxHead(taxonomy=garments, in_channels=4)
    assert head.branch_in.out_features == 2 * 1024 and head.branch_in.in_features == 4 * 49
    assert head.coarse_fc_cls[0].out_features == 6  # as many as classes, and the background
    assert head.fc_cls.out_features == 6 and head.fc_reg.out_features == 20
    assert head.grouped and head.taxonomy == garments
    assert type(head.loss_cls.fine_loss).__name__ == 'CrossEntropyLoss'
    merged = MergedBBoxHead(taxonomy=garments, in_channels=4)
    assert (merged.fc_cls.in_features, merged.fc_reg.in_features) == (2048, 2048)
    assert merged.grouped and merged.training_facts() == dict(reg_per='class')


@pytest.mark.parametrize('options', [dict(with_cls=False), dict(with_reg=False)])
@pytest.mark.parametrize('kind', [MultiGrainedBBoxHead, MergedBBoxHead])
def test_half_a_head_is_refused(garments, kind, options):
    with pytest.raises((ConfigError, TypeError)):
        kind(taxonomy=garments, **SMALL, **options)


@pytest.mark.parametrize('reg_weights', [(0, 1), (0.5, 2)])
def test_facts_for_checkpoints(garments, reg_weights):
    loss = dict(
        type='HierarchicalCrossEntropyLoss',
        level_weights=(0.25, 3),
        fine_loss=dict(type='SeesawLoss'),
    )
    arguments = dict(grouped=False, coarse_width='groups', reg_weights=reg_weights, loss_cls=loss)
    head = make_head(garments, reg_per='group', **arguments)
    assert head.training_facts() == dict(
        grouped=False,
        coarse_width='groups',
        level_weights=[0.25, 3.0],
        reg_weights=[float(weight) for weight in reg_weights],
        fine_loss='SeesawLoss',
        coarse_labels='mask',
        taxonomy=garments.ungrouped().to_dict(),
        reg_per='group',
        reg_taxonomy=garments.to_dict(),
    )


@pytest.mark.parametrize('kind', [MultiGrainedBBoxHead, MergedBBoxHead])
def test_a_given_initialization_replaces_ours(garments, kind):
    config = dict(type='Constant', val=0.5, layer='Linear')
    head = kind(taxonomy=garments, **SMALL, init_cfg=config)
    head.init_weights()
    assert {value.item() for value in head.state_dict()['branch_in.weight'].unique()} == {0.5}
    assert head.init_cfg == config


def test_coarse_predictors_begin_small(garments):
    head = make_head(garments, fc_out_channels=1024, reg_weights=(1, 1))
    assert head.coarse_fc_cls[0].weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert head.coarse_fc_reg['0'].weight.std().item() == pytest.approx(0.001, rel=0.1)
    merged = MergedBBoxHead(taxonomy=garments, **{**SMALL, 'fc_out_channels': 1024})
    merged.init_weights()
    bound = (6 / (36 + 1024)) ** 0.5
    assert 0.98 * bound < merged.branch_in.weight.abs().max().item() <= bound * (1 + 1e-6)


def test_average_pooling_is_over_both_sides(garments):
    head = make_head(garments, with_avg_pool=True)
    x = torch.randn(3, 4, 3, 3)
    pooled = x.mean(3).mean(2)
    first = (pooled @ head.branch_in.weight.T + head.branch_in.bias).relu()
    torch.testing.assert_close(head.branch_features(x)[0], first[:, :16])


def test_without_rois_the_classification_is_that_of_the_loss(garments):
    """Also for a loss that returns one tensor, and with RoIs nothing is added."""
    torch.manual_seed(0)
    head = MergedBBoxHead(taxonomy=garments, **SMALL)
    features, batch = make_batch(5, num=1)
    assert losses_of(head, features, batch)['loss_cls'] > 1
    empty = {key: value[:0] for key, value in batch.items()}
    losses = losses_of(head, features[:0], empty)
    assert losses['loss_cls'].item() == 0 and losses['loss_cls'].requires_grad


def test_one_group_of_a_built_taxonomy_needs_no_leave(garments):
    everything = {'everything': list(garments.classes)}
    one = Taxonomy.from_mapping(everything, allow_one_group=True)
    assert make_head(one).taxonomy.num_groups(0) == 1
    assert make_head(one, allow_one_group=True).taxonomy is one
    for call in (
        lambda: MergedBBoxHead(taxonomy=everything, **SMALL),
        lambda: resolve_taxonomy(everything),
    ):
        with pytest.raises(ValueError, match='one group teaches nothing'):
            call()


def test_a_branch_for_each_level_of_each_tree(two_trees):
    head = make_head(two_trees, coarse_width='groups', reg_weights=(0, 0, 1, 1))
    assert head.branch_depths == (1, 2, 3, 4)
    features, batch = make_batch(5)
    losses = losses_of(head, features, batch)
    assert {key for key in losses if 'bbox' in key} == {'loss_bbox', 'loss_bbox_level2'}
    assert {'loss_cls_level0', 'loss_cls_level2', 'acc_level2'} <= losses.keys()
    total(losses).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    without = make_head(two_trees, grouped=False)
    assert len(without.coarse_fc_cls) == 3 and without.taxonomy.is_ungrouped
