"""The heads on boxes of which only the superclass is known: box deltas, branches, RoI heads."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS

from .made_heads import SMALL, losses_of, make_batch, make_head, total
from .test_multi_grained_in_roi_heads import one_image, roi_head_config

TOP, BOTTOM, OBJECT = 6, 7, 8  # of `garments`
CHILDREN = {TOP: [0, 2], BOTTOM: [1, 4], OBJECT: [0, 1, 2, 3, 4]}


def coarse_batch():
    """12 RoIs: two of each of six labels, of which three are coarse."""
    features, batch = make_batch(5)
    labels = torch.tensor([TOP, 0, BOTTOM, 5, OBJECT, 3] * 2)
    weights = (labels != 5).float()[:, None].expand(12, 4)
    targets = torch.randn(12, 4, generator=torch.Generator().manual_seed(2))
    return features, {
        **batch,
        'labels': labels,
        'bbox_targets': targets * weights,
        'bbox_weights': weights,
    }


def smooth_l1(output, target):
    difference = abs(output - target)
    return 0.5 * difference**2 if difference < 1 else difference - 0.5


@pytest.mark.parametrize('decoded', [False, True])
@pytest.mark.parametrize('class_agnostic', [False, True])
def test_boxes_of_coarse_labels_equal_naive_loop(garments, class_agnostic, decoded):
    head = make_head(
        garments,
        reg_weights=(0.5, 2.0),
        coarse_width='groups',
        reg_class_agnostic=class_agnostic,
        reg_decoded_bbox=decoded,
    )
    features, batch = coarse_batch()
    cls_score, bbox_pred = head(features)
    losses = head.loss(cls_score, bbox_pred, **batch)
    expected = {'fine': 0.0, 'coarse': 0.0}
    for row, label in enumerate(batch['labels'].tolist()):
        if label == 5:
            continue
        child = max(CHILDREN.get(label, [label]), key=lambda k: cls_score[row, k].item())
        for level, start, index in (
            ('fine', 0, child),
            ('coarse', 4 if class_agnostic else 20, garments.group_index(0)[child]),
        ):
            start += 0 if class_agnostic else 4 * index
            deltas = bbox_pred[row : row + 1, start : start + 4]
            if decoded:
                deltas = head.bbox_coder.decode(batch['rois'][row : row + 1, 1:], deltas)
            expected[level] += sum(
                map(smooth_l1, deltas[0].tolist(), batch['bbox_targets'][row].tolist())
            )
    assert losses['loss_bbox'].item() == pytest.approx(2.0 * expected['fine'] / 12, rel=1e-4)
    assert losses['loss_bbox_coarse'].item() == pytest.approx(
        0.5 * expected['coarse'] / 12, rel=1e-4
    )
    losses['loss_bbox'].backward()
    assert head.fc_cls.weight.grad is None  # which class is likeliest is not learned from boxes


@pytest.mark.parametrize('mode', ['mask', 'marginal'])
@pytest.mark.parametrize('grouped', [True, False])
@pytest.mark.parametrize('labels', [[TOP, BOTTOM], [OBJECT], [TOP, OBJECT, 0, 5]])
def test_batches_with_coarse_labels_give_every_parameter_a_gradient(
    garments, mode, grouped, labels
):
    head = make_head(
        garments,
        grouped=grouped,
        reg_weights=(1, 1),
        loss_cls=dict(type='HierarchicalCrossEntropyLoss', coarse_labels=mode),
    )
    features, batch = coarse_batch()
    batch['labels'] = torch.tensor(labels * 12)[:12]
    losses = losses_of(head, features, batch)
    total(losses).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert head.fc_reg.weight.grad.any()
    learns = mode == 'marginal' or 0 in labels
    assert bool(head.fc_cls.weight.grad.any()) == learns
    assert bool(head.coarse_fc_cls[0].weight.grad.any()) == (learns or grouped and TOP in labels)


def test_learns_the_superclass_of_boxes_without_a_class(three_levels):
    head = make_head(three_levels)
    features, batch = make_batch(5)
    batch['labels'] = torch.arange(12) % 3 + 6  # body, upper, lower
    batch['bbox_weights'] = torch.ones(12, 4)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(30):
        losses = losses_of(head, features, batch)
        optimizer.zero_grad()
        total(losses).backward()
        optimizer.step()
    assert losses['loss_cls_fine'].item() == 0
    assert losses['acc_level0'].item() == 100 and losses['acc_level1'].item() > 60


def test_stock_head_has_no_box_loss_for_coarse_labels(garments):
    """What the class is for."""
    stock = BBoxHead(num_classes=5, in_channels=4, roi_feat_size=3)
    _, batch = coarse_batch()
    batch['labels'] = torch.full((12,), TOP)
    deltas = torch.ones(12, 20)
    assert stock.loss(None, deltas, **batch)['loss_bbox'] == 0
    head = make_head(garments)
    assert head.loss(torch.zeros(12, 12), deltas, **batch)['loss_bbox'] > 0
    with pytest.raises(IndexError):
        stock.loss(torch.zeros(12, 6), deltas, **batch)


@pytest.mark.parametrize('kind', ['StandardRoIHead', 'CascadeRoIHead'])
@pytest.mark.parametrize('mode', ['mask', 'marginal'])
def test_stock_roi_heads_train_on_coarse_boxes(kind, mode, garments):
    bbox_head = dict(
        type='MultiGrainedBBoxHead',
        taxonomy=garments.to_dict(),
        loss_cls=dict(type='HierarchicalCrossEntropyLoss', coarse_labels=mode),
        **SMALL,
    )
    torch.manual_seed(0)
    roi_head = MODELS.build(roi_head_config(kind, bbox_head))
    roi_head.init_weights()
    sample, proposals = one_image()
    sample.gt_instances.labels = torch.tensor([TOP, OBJECT])
    features = (torch.randn(1, 4, 16, 16, requires_grad=True),)
    losses = roi_head.loss(features, [copy.deepcopy(proposals)], [sample])
    assert total(losses).isfinite()
    total(losses).backward()
    for name, parameter in roi_head.named_parameters():
        assert parameter.grad is not None, name
    boxes = [value for key, value in losses.items() if key.endswith('loss_bbox')]
    assert all(value > 0 for value in boxes) and len(boxes) == (1 if kind[0] == 'S' else 2)


def test_refined_boxes_are_those_of_the_likeliest_class(garments):
    head = make_head(garments)
    features, batch = coarse_batch()
    rows = batch['labels'] != 5
    rois, labels = batch['rois'][rows], batch['labels'][rows]
    cls_score, bbox_pred = head(features[rows])
    bbox_pred = bbox_pred * 1000
    likeliest = head.loss_cls.likeliest_class(cls_score, labels)

    def refine(labels):
        sampling = type('Sampled', (), {'pos_is_gt': torch.zeros(10, dtype=torch.uint8)})
        results = dict(rois=rois, cls_score=cls_score, bbox_pred=bbox_pred, bbox_targets=(labels,))
        (boxes,) = head.refine_bboxes([sampling], results, [dict(img_shape=(64, 64))])
        return boxes.bboxes

    assert torch.equal(refine(labels), refine(likeliest))
    assert not torch.equal(refine(labels), refine(torch.full_like(labels, 3)))
