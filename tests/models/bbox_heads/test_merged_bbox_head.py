"""The merged head: one set of results from the features of all branches."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead

from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

SMALL = dict(in_channels=4, roi_feat_size=3, fc_out_channels=16)


def make_head(taxonomy, **arguments):
    torch.manual_seed(0)
    head = MergedBBoxHead(taxonomy=taxonomy, **{**SMALL, **arguments})
    head.init_weights()
    return head


def make_batch(num=12):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(num, 4, 3, 3, generator=generator)
    labels = torch.arange(num) % 6
    weights = (labels < 5).float()[:, None].expand(num, 4)
    return features, dict(
        rois=torch.rand(num, 5, generator=generator),
        labels=labels,
        label_weights=torch.ones(num),
        bbox_targets=torch.randn(num, 4, generator=generator) * weights,
        bbox_weights=weights,
    )


def test_an_unresolved_config_is_refused_in_one_line():
    for kind in (MergedBBoxHead, MultiGrainedBBoxHead):
        with pytest.raises(ConfigError, match='box head has no taxonomy; resolve the config'):
            kind(num_classes=None, **SMALL)


def test_predicts_from_the_concatenated_branches(garments):
    head = make_head(garments)
    features, _ = make_batch()
    cls_score, bbox_pred = head(features)
    coarse, fine = head.branch_features(features)
    merged = torch.cat([coarse, fine], 1)
    for found, layer in ((cls_score, head.fc_cls), (bbox_pred, head.fc_reg)):
        expected = merged @ layer.weight.T + layer.bias
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert found.std() > 1e-4  # far above the tolerance
    assert cls_score.shape == (12, 6)
    assert bbox_pred.shape == (12, 20)


def test_loss_is_the_stock_loss_and_reaches_both_branches(garments):
    head = make_head(garments)
    features, batch = make_batch()
    cls_score, bbox_pred = head(features)
    losses = head.loss(cls_score, bbox_pred, **batch)
    stock = BBoxHead(num_classes=5, in_channels=4, roi_feat_size=3)
    expected = stock.loss(cls_score, bbox_pred, **batch)
    assert {k: v.item() for k, v in losses.items()} == {k: v.item() for k, v in expected.items()}
    (losses['loss_cls'] + losses['loss_bbox']).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_no_rois_back_propagate_to_every_parameter(garments):
    head = make_head(garments)
    features, batch = make_batch()
    empty = {key: value[:0] for key, value in batch.items()}
    losses = head.loss(*head(features[:0]), **empty)
    (losses['loss_cls'] + losses['loss_bbox']).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name


def test_three_branches(three_levels):
    head = make_head(three_levels)
    assert head.branch_depths == (1, 2, 3)
    assert head.fc_cls.in_features == 3 * 16
    assert head(torch.randn(2, 4, 3, 3))[0].shape == (2, 6)


def test_seesaw_brings_its_own_channels(garments):
    head = make_head(garments, loss_cls=dict(type='SeesawLoss', num_classes=5))
    assert head(torch.randn(2, 4, 3, 3))[0].shape == (2, 7)


@pytest.mark.parametrize('class_agnostic', [False, True])
def test_class_agnostic_deltas(garments, class_agnostic):
    head = make_head(garments, reg_class_agnostic=class_agnostic)
    assert head(torch.randn(2, 4, 3, 3))[1].shape == (2, 4 if class_agnostic else 20)


def test_groups_play_no_part(garments):
    first, second = make_head(garments), make_head(garments, grouped=False)
    x = torch.randn(3, 4, 3, 3)
    assert torch.equal(first(x)[0], second(x)[0])


def test_wrong_branches_are_refused(garments):
    with pytest.raises(ValueError, match='has 2 levels and needs 2 branches'):
        make_head(garments, branch_fcs=(1, 2, 3))


def test_without_groups_there_are_still_two_branches():
    flat = Taxonomy('flat', ['shirt', 'vest', 'hat'])
    assert make_head(flat).branch_depths == (1, 2)
    assert make_head(flat, branch_fcs=(2, 3)).branch_depths == (2, 3)
