"""RTMDet's head on the nodes of a taxonomy: stock without groups, coarse labels, levels."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.task_modules import DynamicSoftLabelAssigner
from mmengine.config import ConfigDict

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .made_node_heads import META, RTMDET, of_nodes, stock_of, truth

TOP, BOTTOM, OBJECT = 6, 7, 8


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 4, size, size, generator=generator) for size in (8, 4)]


def losses_of(head, features, objects):
    return head.loss_by_feat(*head(features), objects, [META] * len(objects))


def total(losses):
    return sum(sum(parts) for parts in losses.values())


@pytest.mark.parametrize('coarse_weight', [None, 0])
def test_without_groups_it_is_stock(garments, features, coarse_weight):
    """Also with groups of weight 0: then the classes have the gradients of stock."""
    if coarse_weight is None:
        head = of_nodes(RTMDET, Taxonomy('flat', garments.classes))
    else:
        head = of_nodes(RTMDET, garments, coarse_weight=0)
    assert head.rtm_cls[0].out_channels == (5 if coarse_weight is None else 7)
    stock = stock_of(head, RTMDET, 5)
    objects = [truth(0, 4), truth(3)]
    mine, theirs = (losses_of(one, features, objects) for one in (head, stock))
    for key, values in theirs.items():
        torch.testing.assert_close(mine[key], values, rtol=1e-6, atol=1e-7)
    for losses in (mine, theirs):
        total(losses).backward()
    for own, given in zip(head.rtm_cls, stock.rtm_cls, strict=True):
        torch.testing.assert_close(own.weight.grad[:5], given.weight.grad)
        assert not own.weight.grad[5:].any()
    scores, deltas = head.eval()(features)
    of_classes = [level[:, :5] for level in scores]
    detected = head.predict_by_feat(scores, deltas, batch_img_metas=[META] * 2)
    for own, given in zip(
        detected, stock.predict_by_feat(of_classes, deltas, batch_img_metas=[META] * 2), strict=True
    ):
        # The last bit of a sigmoid depends on the place in its vector.
        torch.testing.assert_close(own.scores, given.scores, rtol=1e-6, atol=0)
        assert torch.equal(own.bboxes, given.bboxes) and torch.equal(own.labels, given.labels)
        assert len(own)


def prefer(head, label):
    """Let all places score a class higher than the others."""
    with torch.no_grad():
        for layer in head.rtm_cls:
            layer.bias[label] += 1


def test_boxes_of_coarse_labels(garments, features):
    """Where a class is likeliest everywhere, they match as it; its output learns nothing."""
    head = of_nodes(RTMDET, garments)
    prefer(head, 2)
    found = {}
    for label in (2, TOP, OBJECT):
        outputs = [[part.detach().requires_grad_() for part in parts] for parts in head(features)]
        losses = head.loss_by_feat(*outputs, [truth(label), truth(label, 4)], [META] * 2)
        total(losses).backward()
        found[label] = losses, [part.grad for part in outputs[0]]
    for label in (TOP, OBJECT):
        for mine, theirs in zip(
            found[label][0]['loss_bbox'], found[2][0]['loss_bbox'], strict=True
        ):
            torch.testing.assert_close(mine, theirs)
    # Image 0 has one object: which outputs rise somewhere, and which have no gradient somewhere.
    for label, rising, silent in (
        (2, [2, 5], []),
        (TOP, [5], [0, 2]),
        (OBJECT, [], [*range(7)]),
    ):
        gradients = torch.cat([grad[0].flatten(1) for grad in found[label][1]], dim=1)
        assert (gradients < 0).any(1).nonzero()[:, 0].tolist() == rising
        assert (gradients == 0).any(1).nonzero()[:, 0].tolist() == silent


def test_a_step_with_every_label_and_none(garments, features):
    head = of_nodes(RTMDET, garments)
    for objects in ([truth(0, TOP, 3, OBJECT), truth(BOTTOM)], [truth(), truth()]):
        head.zero_grad()
        losses = losses_of(head, features, objects)
        total(losses).backward()
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def detections(head, features, groups=None):
    cfg = ConfigDict(RTMDET.test_cfg, **({} if groups is None else dict(groups=groups)))
    outputs = head.eval()(features)
    return head.predict_by_feat(*outputs, batch_img_metas=[META] * 2, cfg=cfg)


def test_classes_are_ranked_by_their_own_outputs(garments, features):
    head = of_nodes(RTMDET, garments)
    before = detections(head, features)
    with torch.no_grad():
        for layer in head.rtm_cls:
            layer.bias[5:] += 9  # of the groups
    for mine, others in zip(detections(head, features), before, strict=True):
        assert torch.equal(mine.scores, others.scores) and torch.equal(mine.labels, others.labels)


def test_groups_have_the_scores_of_their_own_outputs(garments, features):
    head = of_nodes(RTMDET, garments)
    logits = [level.flatten(2) for level in head.eval()(features)[0]]
    logits = torch.cat(logits, dim=2).detach()  # (2, 7, places)
    for groups, outputs in (
        ([0, 1, 0, 2, 1], [[5], [6], [3]]),  # hat has no group but itself
        ([0] * 5, [[0, 1, 2, 3, 4, 5, 6]]),  # any object
        ([0, 1, 0, 1, 1], [[5], [1, 3, 4, 6]]),  # not of the taxonomy
    ):
        assert head._outputs_of(groups) == outputs
        for image, found in zip(logits, detections(head, features, groups), strict=True):
            assert {*found.labels.tolist()} == {*range(len(outputs))}
            for label, own in enumerate(outputs):
                best = found.scores[found.labels == label].max()
                torch.testing.assert_close(best, image[own].max().sigmoid())
    classes, same = (detections(head, features, groups) for groups in (None, [*range(5)]))
    for mine, others in zip(same, classes, strict=True):
        assert torch.equal(mine.scores, others.scores) and torch.equal(mine.bboxes, others.bboxes)


def test_two_classes_of_a_group_are_one_answer(garments):
    head = of_nodes(RTMDET, garments)
    scores = [torch.full((1, 7, 8, 8), -9.0), torch.full((1, 7, 4, 4), -9.0)]
    deltas = [torch.full((1, 4, size, size), 16.0) for size in (8, 4)]
    scores[0][0, [0, 2, 5], 4, 4] = torch.tensor([2.0, 3.0, 4.0])
    cfg = ConfigDict(RTMDET.test_cfg, score_thr=0.5)
    (classes,) = head.predict_by_feat(scores, deltas, batch_img_metas=[META], cfg=cfg)
    assert classes.labels.tolist() == [2, 0]
    cfg.groups = [0, 1, 0, 2, 1]
    (groups,) = head.predict_by_feat(scores, deltas, batch_img_metas=[META], cfg=cfg)
    assert groups.labels.tolist() == [0] and groups.scores.item() == torch.tensor(4.0).sigmoid()


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(loss_cls=dict(type='FocalLoss', use_sigmoid=True)), 'needs QualityFocalLoss'),
        (dict(train_cfg=RTMDET.train_cfg), 'of type DynamicSoftLabelAssigner: .* needs NodeSoft'),
        (dict(num_classes=80), 'has 5 classes; leave num_classes out'),
        (dict(coarse_weight=-1), 'must be a number from 0 on'),
        (dict(taxonomy=None), 'has no taxonomy; resolve the config'),
    ],
)
def test_wrong_arguments(garments, arguments, said):
    assert DynamicSoftLabelAssigner.__name__ == RTMDET.train_cfg.assigner.type
    with pytest.raises(ConfigError, match=said):
        of_nodes(RTMDET, **{'taxonomy': garments, **arguments})


def test_groups_for_other_classes(garments, features):
    with pytest.raises(ConfigError, match=r'^test_cfg.groups has 2 entries, the head 5 classes; '):
        detections(of_nodes(RTMDET, garments), features, [0, 1])
