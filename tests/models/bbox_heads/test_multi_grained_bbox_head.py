"""The multi-grained head: outputs, losses, gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead, Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy

from .made_heads import SMALL, losses_of, make_batch, make_head, total


def test_forward_gives_one_score_and_one_delta_tensor(garments):
    head = make_head(garments)
    cls_score, bbox_pred = head(torch.randn(7, 4, 3, 3))
    assert cls_score.shape == (7, 6 + 6)
    assert bbox_pred.shape == (7, 20)


def test_common_first_layer_equals_separate_layers(garments):
    head = make_head(garments)
    x = torch.randn(5, 4, 3, 3)
    coarse, fine = head.branch_features(x)
    flat = x.flatten(1)
    weight, bias = head.branch_in.weight, head.branch_in.bias
    expected_coarse = torch.relu(flat @ weight[:16].T + bias[:16])
    expected_fine = torch.relu(flat @ weight[16:].T + bias[16:])
    expected_fine = torch.relu(head.branch_fcs[1][0](expected_fine))
    assert torch.allclose(coarse, expected_coarse, atol=1e-6)
    assert torch.allclose(fine, expected_fine, atol=1e-6)


def test_initialization_is_that_of_separate_layers(garments):
    # Xavier-uniform bounds of a 36 -> 1024 layer, whatever the number of branches.
    head = make_head(garments, fc_out_channels=1024)
    bound = (6 / (36 + 1024)) ** 0.5
    assert 0.98 * bound < head.branch_in.weight.abs().max().item() <= bound * (1 + 1e-6)
    bound = (6 / (1024 + 1024)) ** 0.5
    assert 0.98 * bound < head.branch_fcs[1][0].weight.abs().max().item() <= bound * (1 + 1e-6)
    assert head.coarse_fc_cls[0].weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert head.fc_reg.weight.std().item() == pytest.approx(0.001, rel=0.1)
    for name, parameter in head.named_parameters():
        if name.endswith('bias'):
            assert not parameter.any(), name


def test_loss_keys_and_values(garments):
    head = make_head(garments)
    features, batch = make_batch(5)
    losses = losses_of(head, features, batch)
    assert set(losses) == {
        'loss_cls_fine',
        'loss_cls_coarse',
        'loss_bbox',
        'acc_fine',
        'acc_coarse',
    }
    # The fine part is what a stock head computes from the same scores and deltas.
    stock = BBoxHead(num_classes=5, in_channels=4, roi_feat_size=3)
    cls_score, bbox_pred = head(features)
    expected = stock.loss(cls_score[:, :6], bbox_pred, **batch)
    assert losses['loss_cls_fine'].item() == pytest.approx(expected['loss_cls'].item())
    assert losses['loss_bbox'].item() == pytest.approx(expected['loss_bbox'].item())
    assert losses['acc_fine'].item() == expected['acc'].item()


@pytest.mark.parametrize('reg_weights', [(0, 1), (0.5, 1)])
def test_every_parameter_gets_a_gradient(garments, reg_weights):
    head = make_head(garments, reg_weights=reg_weights)
    total(losses_of(head, *make_batch(5))).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_three_levels_train(three_levels):
    head = make_head(
        three_levels,
        reg_weights=(0, 1, 1),
    )
    features, batch = make_batch(5)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    history = []
    for _ in range(30):
        losses = losses_of(head, features, batch)
        optimizer.zero_grad()
        total(losses).backward()
        optimizer.step()
        history.append(total(losses).item())
    assert {'loss_cls_level0', 'loss_cls_level1', 'loss_bbox_level1'} <= set(losses)
    assert history[-1] < 0.7 * history[0]
    for name, parameter in head.named_parameters():
        assert parameter.grad.any(), name


@pytest.mark.parametrize('decoded', [False, True])
@pytest.mark.parametrize('class_agnostic', [False, True])
def test_coarse_regression_equals_naive_loop(garments, class_agnostic, decoded):
    head = make_head(
        garments,
        reg_weights=(0.5, 2.0),
        coarse_width='groups',
        reg_class_agnostic=class_agnostic,
        reg_decoded_bbox=decoded,
    )
    features, batch = make_batch(5)
    cls_score, bbox_pred = head(features)
    losses = head.loss(cls_score, bbox_pred, **batch)

    fine_width = 4 if class_agnostic else 20
    expected = {'fine': 0.0, 'coarse': 0.0}
    for row, label in enumerate(batch['labels'].tolist()):
        if label == 5:
            continue
        for level, start, index in (
            ('fine', 0, label),
            ('coarse', fine_width, garments.group_index(0)[label]),
        ):
            start += 0 if class_agnostic else 4 * index
            deltas = bbox_pred[row : row + 1, start : start + 4]
            if decoded:
                deltas = head.bbox_coder.decode(batch['rois'][row : row + 1, 1:], deltas)
            for output, target in zip(
                deltas[0].tolist(), batch['bbox_targets'][row].tolist(), strict=True
            ):
                x = abs(output - target)
                expected[level] += 0.5 * x * x if x < 1 else x - 0.5  # smooth L1, beta 1
    assert losses['loss_bbox'].item() == pytest.approx(2.0 * expected['fine'] / 12, rel=1e-4)
    assert losses['loss_bbox_coarse'].item() == pytest.approx(
        0.5 * expected['coarse'] / 12, rel=1e-4
    )


def test_wogroup_is_wgroup_with_identity_grouping(garments):
    wogroup = make_head(garments, grouped=False)
    identity = make_head(garments.ungrouped())
    features, batch = make_batch(5)
    first, second = losses_of(wogroup, features, batch), losses_of(identity, features, batch)
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}


def test_coarse_weight_zero_leaves_the_coarse_branch_alone(garments):
    head = make_head(
        garments, loss_cls=dict(type='HierarchicalCrossEntropyLoss', level_weights=(0.0, 1.0))
    )
    total(losses_of(head, *make_batch(5))).backward()
    assert not head.branch_in.weight.grad[:16].any()
    assert head.branch_in.weight.grad[16:].any()


def test_permuting_classes_and_taxonomy_together_permutes_results_only(garments):
    order = [3, 0, 4, 2, 1]
    document = garments.to_dict()
    document['classes'] = [garments.classes[label] for label in order]
    permuted = Taxonomy.load(document)
    head, other = make_head(garments), make_head(permuted)
    state = copy.deepcopy(head.state_dict())
    groups = [garments.group_names(0).index(name) for name in permuted.group_names(0)]
    rows = torch.tensor([*order, 5])
    boxes = torch.cat([torch.arange(4) + 4 * label for label in order])
    coarse_rows = torch.tensor([*groups, 3, 4, 5])
    for name in ('weight', 'bias'):
        state[f'fc_cls.{name}'] = state[f'fc_cls.{name}'][rows]
        state[f'fc_reg.{name}'] = state[f'fc_reg.{name}'][boxes]
        state[f'coarse_fc_cls.0.{name}'] = state[f'coarse_fc_cls.0.{name}'][coarse_rows]
    other.load_state_dict(state)
    features, batch = make_batch(5)
    new_label = torch.tensor([*(order.index(label) for label in range(5)), 5])
    first = losses_of(head, features, batch)
    second = losses_of(other, features, {**batch, 'labels': new_label[batch['labels']]})
    for key in first:
        assert first[key].item() == pytest.approx(second[key].item(), rel=1e-5), key

    config = ConfigDict(score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20)
    meta = dict(img_shape=(100, 100))
    kept = [
        model._predict_by_feat_single(batch['rois'], *model(features), meta, False, config)
        for model in (head, other)
    ]
    assert torch.allclose(kept[0].scores, kept[1].scores, atol=1e-6)
    assert torch.equal(new_label[kept[0].labels], kept[1].labels)
    assert torch.allclose(kept[0].bboxes, kept[1].bboxes, atol=1e-4)


def test_save_load_predict_is_bit_equal(garments, tmp_path):
    head = make_head(garments, reg_weights=(0.5, 1))
    torch.save(head.state_dict(), tmp_path / 'head.pth')
    other = MultiGrainedBBoxHead(taxonomy=garments, reg_weights=(0.5, 1), **SMALL)
    other.load_state_dict(torch.load(tmp_path / 'head.pth', weights_only=True))
    features, batch = make_batch(5)
    config = ConfigDict(score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20)
    results = [
        model.predict_by_feat(
            (batch['rois'],),
            (model(features)[0],),
            (model(features)[1],),
            [dict(img_shape=(100, 100))],
            config,
        )[0]
        for model in (head, other)
    ]
    assert len(results[0]) > 0
    for key in ('scores', 'labels', 'bboxes'):
        assert torch.equal(results[0][key], results[1][key])


def test_detections_come_from_the_fine_branch(garments):
    head = make_head(garments, reg_weights=(0.5, 1))
    features, batch = make_batch(5)
    cls_score, bbox_pred = head(features)
    meta = dict(img_shape=(100, 100))
    # Without a test config the head returns raw scores and boxes, as test-time augmentation uses.
    raw = head._predict_by_feat_single(batch['rois'], cls_score, bbox_pred, meta)
    assert torch.equal(raw.scores, cls_score[:, :6].softmax(-1))
    assert raw.bboxes.shape == (12, 20)
    noisy = bbox_pred.clone()
    noisy[:, 20:] = 1e6
    again = head._predict_by_feat_single(batch['rois'], cls_score, noisy, meta)
    assert torch.equal(raw.bboxes, again.bboxes)


def test_no_rois_back_propagate_to_every_parameter(garments):
    head = make_head(garments, reg_weights=(1, 1))
    features, batch = make_batch(5, num=12)
    empty = {key: value[:0] for key, value in batch.items()}
    losses = losses_of(head, features[:0], empty)
    assert total(losses).item() == 0
    total(losses).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
    assert {'loss_cls_fine', 'loss_cls_coarse', 'loss_bbox', 'loss_bbox_coarse'} <= set(losses)


def test_all_background_back_propagates(garments):
    head = make_head(garments, reg_weights=(1, 1))
    features, batch = make_batch(5)
    batch['labels'][:] = 5
    batch['bbox_weights'] = torch.zeros(12, 4)
    total(losses_of(head, features, batch)).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_average_pooling_and_seesaw(garments):
    head = make_head(
        garments,
        with_avg_pool=True,
        loss_cls=dict(type='HierarchicalCrossEntropyLoss', fine_loss=dict(type='SeesawLoss')),
    )
    assert head.branch_in.in_features == 4
    features, batch = make_batch(5)
    cls_score, _ = head(features)
    assert cls_score.shape == (12, 7 + 6)
    total(losses_of(head, features, batch)).backward()


def test_autocast_matches_full_precision(garments):
    head = make_head(garments)
    features, batch = make_batch(5)
    exact = losses_of(head, features, batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        cls_score, bbox_pred = head(features)
        assert cls_score.dtype == torch.bfloat16
        rough = head.loss(cls_score, bbox_pred, **batch)
    for key in ('loss_cls_fine', 'loss_cls_coarse'):
        assert rough[key].dtype == torch.float32
        assert rough[key].item() == pytest.approx(exact[key].item(), rel=0.02)
    total(rough).backward()


def test_no_host_synchronisation_of_ours(garments, monkeypatch):
    """Forward and loss never read a tensor's value beyond what stock BBoxHead.loss does."""
    counts = {'item': 0, 'bool': 0}
    item, to_bool = torch.Tensor.item, torch.Tensor.__bool__

    def counting_item(self):
        counts['item'] += 1
        return item(self)

    def counting_bool(self):
        counts['bool'] += 1
        return to_bool(self)

    features, batch = make_batch(5)
    head = make_head(garments)
    stock = Shared2FCBBoxHead(num_classes=5, in_channels=4, roi_feat_size=3)
    seen = []
    for model in (stock, head):
        monkeypatch.setattr(torch.Tensor, 'item', counting_item)
        monkeypatch.setattr(torch.Tensor, '__bool__', counting_bool)
        counts.update(item=0, bool=0)
        losses_of(model, features, batch)
        seen.append(dict(counts))
        monkeypatch.undo()
    assert seen[1] == seen[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_cuda_follows_the_features_and_matches_the_cpu(garments):
    head = make_head(garments, reg_weights=(1, 1))
    expected = losses_of(head, *make_batch(5))
    head.cuda()
    losses = losses_of(head, *make_batch(5, device='cuda'))
    for key, value in losses.items():
        assert value.is_cuda
        assert value.item() == pytest.approx(expected[key].item(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize('num_rois', [0, 1, 3, 40])
def test_at_test_time_the_fine_branch_is_a_stock_head_bit_by_bit(num_rois, garments):
    """At a width like 33, some rows of a product over all branches are rounded differently."""
    size = dict(in_channels=128, roi_feat_size=7, fc_out_channels=33)
    torch.manual_seed(0)
    head = MODELS.build(
        dict(type='MultiGrainedBBoxHead', taxonomy=garments.to_dict(), reg_weights=(1, 1), **size)
    )
    stock = Shared2FCBBoxHead(num_classes=5, **size)
    with torch.no_grad():
        for mine, theirs in (
            (head.branch_in.weight[33:], stock.shared_fcs[0].weight),
            (head.branch_in.bias[33:], stock.shared_fcs[0].bias),
            (head.branch_fcs[1][0].weight, stock.shared_fcs[1].weight),
            (head.branch_fcs[1][0].bias, stock.shared_fcs[1].bias),
            (head.fc_cls.weight, stock.fc_cls.weight),
            (head.fc_reg.weight, stock.fc_reg.weight),
            (head.fc_cls.bias, stock.fc_cls.bias),
            (head.fc_reg.bias, stock.fc_reg.bias),
        ):
            theirs.copy_(torch.randn_like(mine) * 0.05)
            mine.copy_(theirs)
        features = torch.randn(num_rois, 128, 7, 7)
        together = head(features)
        scores, deltas = head.eval()(features)
        expected = stock(features)
    assert torch.equal(scores, expected[0]) and torch.equal(deltas, expected[1])
    torch.testing.assert_close(together[0][:, :6], scores, rtol=1e-5, atol=1e-5)
    assert together[0].shape[1] == 12
    probabilities = head.loss_cls.get_activation(scores)
    assert torch.equal(probabilities, scores.softmax(-1))


@pytest.mark.parametrize('reg_weights', [(0, 1), (1, 1)])
def test_validation_loss_is_that_of_the_fine_level(reg_weights, garments):
    head = make_head(garments, reg_weights=reg_weights)
    features, batch = make_batch(5)
    expected, found = losses_of(head, features, batch), losses_of(head.eval(), features, batch)
    assert {*found} == {'loss_cls_fine', 'acc_fine', 'loss_bbox'} < {*expected}
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key])
    empty = {key: value[:0] for key, value in batch.items()}
    assert total(losses_of(head, features[:0], empty)) == 0
