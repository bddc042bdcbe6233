"""Heads whose coarse branches correct the scores at test time (`fusion`), in mmdet's RoI heads."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.registry import MODELS

from .made_heads import SMALL, make_batch, make_head
from .test_multi_grained_in_roi_heads import one_image, roi_head_config

FUSION = dict(type='ConditionalFusion', gamma=1.0)


@pytest.mark.parametrize('reg_weights', [(0, 1), (1, 1)])
def test_all_scores_and_the_fine_deltas(garments, reg_weights):
    head = make_head(garments, reg_weights=reg_weights, fusion=FUSION).eval()
    plain = make_head(garments, reg_weights=reg_weights).eval()
    x = make_batch(5)[0]
    scores, deltas = head(x)
    fine = plain(x)
    assert torch.equal(scores[:, :6], fine[0]) and torch.equal(deltas, fine[1])
    torch.testing.assert_close(scores, plain.train()(x)[0])
    assert deltas.shape == (12, 20)


def test_training_does_not_know_of_it(garments):
    x, batch = make_batch(5)
    heads = make_head(garments), make_head(garments, fusion=FUSION)
    ours, theirs = (head.loss(*head(x), **batch) for head in heads)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_of_more_levels(three_levels):
    head, plain = make_head(three_levels, fusion=FUSION).eval(), make_head(three_levels)
    x = make_batch(5)[0]
    torch.testing.assert_close(head(x)[0], plain(x)[0])


def test_counts_alone_need_no_coarse_branch(garments):
    x = make_batch(5)[0]
    plain = make_head(garments).eval()
    head = make_head(garments, fusion=dict(type='NorCal')).eval()
    for ours, theirs in zip(head(x), plain(x), strict=True):
        assert torch.equal(ours, theirs)


def test_gamma_0_is_the_fine_branch_bit_by_bit(garments):
    x = make_batch(5)[0]
    plain = make_head(garments).eval()
    head = make_head(garments, fusion=dict(FUSION, gamma=0)).eval()
    for ours, theirs in zip(head(x), plain(x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize('kind', ['StandardRoIHead', 'CascadeRoIHead'])
def test_detections_have_its_scores(garments, kind):
    bbox_head = dict(type='MultiGrainedBBoxHead', taxonomy=garments.to_dict(), **SMALL)
    features, (sample, proposals) = (torch.randn(1, 4, 16, 16),), one_image()
    found = []
    for more in ({}, dict(fusion=FUSION)):
        torch.manual_seed(0)
        config = roi_head_config(kind, dict(bbox_head, **more))
        config.test_cfg.nms.iou_threshold = 1.0
        config.test_cfg.max_per_img = -1
        roi_head = MODELS.build(config)
        roi_head.init_weights()
        for name, parameter in roi_head.named_parameters():
            if 'coarse_fc_cls' in name and name.endswith('bias'):
                parameter.data[1] = 5.0  # all are taken for the second group, skirt and shorts
        roi_head.eval()
        with torch.no_grad():
            results = roi_head.predict(features, [copy.deepcopy(proposals)], [sample])
        found.append(results[0])
    plain, fused = found
    second = [label in garments_of(garments, 1) for label in fused.labels.tolist()]
    assert len(plain) == len(fused) == 15
    assert fused.scores[torch.tensor(second)].min() > 0.4 > plain.scores.max()


def garments_of(taxonomy, group):
    return [label for label, own in enumerate(taxonomy.group_index(0)) if own == group]
