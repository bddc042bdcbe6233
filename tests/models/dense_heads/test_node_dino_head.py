"""DINO's head on the nodes of a taxonomy: stock without groups, matching by classes, levels."""

from __future__ import annotations

import pytest
import torch

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .made_node_heads import DINO, META, of_nodes, stock_of, truth

TOP, OBJECT = 6, 8
DENOISING, MATCHING = 8, 12  # two groups of queries for up to two boxes


def outputs(width, layers=2):
    """Logits of two decoder layers and the encoder, boxes of both; for two images."""
    generator = torch.Generator().manual_seed(0)
    queries = DENOISING + MATCHING
    scores = torch.randn(layers, 2, queries, 7, generator=generator)
    boxes = torch.rand(layers, 2, queries, 4, generator=generator) * 0.5 + 0.25
    encoder = torch.randn(2, MATCHING, 7, generator=generator)
    proposals = torch.rand(2, MATCHING, 4, generator=generator) * 0.5 + 0.25
    return (
        scores[..., :width].clone().requires_grad_(),
        boxes,
        encoder[..., :width].clone().requires_grad_(),
        proposals,
    )


def losses_of(head, width, *objects):
    """Losses, and the gradients of the logits of decoder and encoder."""
    scores, boxes, encoder, proposals = outputs(width)
    meta = dict(num_denoising_queries=DENOISING, num_denoising_groups=2)
    losses = head.loss_by_feat(
        scores, boxes, encoder, proposals, list(objects), [META] * 2, dn_meta=meta
    )
    sum(losses.values()).backward()
    return losses, scores.grad, encoder.grad


@pytest.mark.parametrize('coarse_weight', [None, 0])
def test_without_groups_it_is_stock(garments, coarse_weight):
    """Also with groups of weight 0: then the classes have the gradients of stock."""
    if coarse_weight is None:
        head, width = of_nodes(DINO, Taxonomy('flat', garments.classes)), 5
    else:
        head, width = of_nodes(DINO, garments, coarse_weight=0), 7
    assert head.cls_branches[0].out_features == width
    stock, objects = stock_of(head, DINO, 5), (truth(0, 4), truth(3))
    mine, *gradients = losses_of(head, width, *objects)
    theirs, *others = losses_of(stock, 5, *objects)
    assert mine.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(mine[key], value, rtol=1e-5, atol=1e-7)
    for own, given in zip(gradients, others, strict=True):
        torch.testing.assert_close(own[..., :5], given)
        assert not own[..., 5:].any()


def test_scores_of_labels(garments):
    head = of_nodes(DINO, garments)
    scores = torch.tensor([[1.0, 5, 3, 4, 2, 9, 9], [3, 2, 1, 7, 0, 9, 9]])
    #                      classes          background  top bottom object
    wanted = [[1.0, 5, 3, 4, 2, 0, 3, 5, 5], [3, 2, 1, 7, 0, 0, 3, 2, 7]]
    assert head.label_scores(scores).tolist() == wanted


@pytest.mark.parametrize(('label', 'wanted'), [(0, 0), (TOP, 1), (OBJECT, 2)])
def test_a_coarse_label_matches_by_its_likeliest_class(garments, label, wanted):
    """All queries have the same box; outputs of groups would choose query 3."""
    head = of_nodes(DINO, garments)
    scores = torch.full((5, 7), -4.0)
    scores[[0, 1, 2, 3, 3], [0, 2, 3, 5, 6]] = torch.tensor([1.0, 2, 3, 9, 9])
    boxes = torch.tensor([[0.25, 0.25, 0.4, 0.4]]).expand(5, 4)
    labels, _, _, weights, positive, _ = head._get_targets_single(scores, boxes, truth(label), META)
    assert positive.tolist() == [wanted] and labels[wanted] == label
    assert weights[wanted].tolist() == [1] * 4


def test_children_of_a_coarse_label_learn_nothing(garments):
    head = of_nodes(DINO, garments)
    _, decoder, encoder = losses_of(head, 7, truth(TOP, TOP), truth(TOP, TOP))
    for gradient in (decoder.flatten(0, 2), encoder.flatten(0, 1)):
        rising = gradient[:, 5] < 0
        assert rising.any() and not (gradient[:, [0, 1, 2, 3, 4, 6]] < 0).any()
        assert not gradient[rising][:, [0, 2]].any() and gradient[rising][:, [1, 3, 4, 6]].all()
        assert gradient[~rising].all()
    # The first boxes of both groups of denoising queries are positive, the others negative.
    positive = decoder[0, 0, :DENOISING, 5] < 0
    assert positive.tolist() == [True, True, False, False] * 2


def predict(head, scores, boxes, **test_cfg):
    head.test_cfg = {'max_per_img': 3, **test_cfg}
    (found,) = head.predict_by_feat(scores[None, None], boxes[None, None], [META], rescale=False)
    return found


def test_predictions(garments):
    head, stock_cfg = of_nodes(DINO, garments), dict(max_per_img=3)
    scores = torch.full((4, 7), -9.0)
    #      shirt vest on one object, and a hat; groups say otherwise
    scores[[0, 1, 2], [0, 2, 3]] = torch.tensor([1.0, 2.0, 3.0])
    scores[[0, 1, 3, 3], [5, 5, 5, 6]] = torch.tensor([4.0, 5.0, 2.0, 6.0])
    boxes = torch.tensor([[0.3, 0.3, 0.2, 0.2]] * 2 + [[0.7, 0.7, 0.2, 0.2]] * 2)
    found = predict(head, scores, boxes)
    assert found.labels.tolist() == [3, 2, 0]
    stock = stock_of(head, DINO, 5)
    theirs = predict(stock, scores[:, :5], boxes, **stock_cfg)
    for key in ('bboxes', 'scores', 'labels'):
        assert torch.equal(found[key], theirs[key])
    same = predict(head, scores, boxes, groups=[*range(5)])
    assert torch.equal(same.scores, found.scores)
    groups = predict(head, scores, boxes, groups=[0, 1, 0, 2, 1])
    assert groups.labels.tolist() == [1, 0]  # of three, two are one object
    torch.testing.assert_close(groups.scores, torch.tensor([6.0, 5.0]).sigmoid())
    apart = predict(
        head, scores, boxes, groups=[0, 1, 0, 2, 1], nms=dict(type='nms', iou_threshold=1.0)
    )
    assert apart.labels.tolist() == [1, 0, 0]
    anything = predict(head, scores, boxes, groups=[0] * 5, max_per_img=20)
    assert anything.labels.tolist() == [0, 0]
    torch.testing.assert_close(anything.scores, torch.tensor([6.0, 5.0]).sigmoid())


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True)), 'needs FocalLoss'),
        (dict(train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=[
            dict(type='ClassificationCost')]))), 'costs of FocalLossCost, BBoxL1Cost, IoUCost'),
        (dict(num_classes=80), 'has 5 classes; leave num_classes out'),
    ],
)  # fmt: skip
def test_wrong_arguments(garments, arguments, said):
    with pytest.raises(ConfigError, match=said):
        of_nodes(DINO, garments, **arguments)
