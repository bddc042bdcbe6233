"""Box regressors of classes, of groups, or one for all: `reg_per` of both heads."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .made_heads import SMALL, losses_of, make_batch, total
from .test_multi_grained_in_roi_heads import one_image, roi_head_config

KINDS = [MultiGrainedBBoxHead, MergedBBoxHead]
CLASSES = ('shirt', 'skirt', 'vest', 'hat', 'shorts')
IDENTITY = Taxonomy('identity', CLASSES, [(f'{name} group',) for name in CLASSES])
ONE = Taxonomy.from_mapping({'everything': list(CLASSES)}, allow_one_group=True)
TEST = ConfigDict(score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=40)
META = dict(img_shape=(100, 100))
TOP, OBJECT = 6, 8  # labels of `garments`
UPPER, BODY = 7, 6  # of `three_levels`


def make(kind, taxonomy, **arguments):
    torch.manual_seed(0)
    head = kind(taxonomy=taxonomy, **{**SMALL, **arguments})
    head.init_weights()
    with torch.no_grad():
        head.fc_reg.weight.mul_(500)
        head.fc_reg.bias.normal_()
    return head


def everything_of(head):
    """Losses, gradients and detections."""
    features, batch = make_batch(5)
    losses = losses_of(head, features, batch)
    total(losses).backward()
    head.eval()
    with torch.no_grad():
        found = head._predict_by_feat_single(
            batch['rois'], *head(features), META, rcnn_test_cfg=TEST
        )
    gradients = {name: one.grad for name, one in head.named_parameters()}
    return {**losses, **gradients, 'boxes': found.bboxes, 'scores': found.scores}


def assert_same(first, second):
    first, second = everything_of(first), everything_of(second)
    assert first.keys() == second.keys() and len(first['boxes']) > 10
    assert first['loss_bbox'] > 0.1 and first['fc_reg.weight'].any()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    ('taxonomy', 'same'), [(IDENTITY, 'class'), (ONE, 'agnostic')], ids=['identity', 'one group']
)
def test_the_extremes_are_class_specific_and_agnostic_bit_by_bit(kind, taxonomy, same):
    head = make(kind, taxonomy, reg_per='group')
    assert_same(head, make(kind, taxonomy, reg_per=same))
    assert head.fc_reg.out_features == (20 if same == 'class' else 4)


@pytest.mark.parametrize('kind', KINDS)
def test_the_default_is_what_reg_class_agnostic_says(kind, garments):
    for arguments, same in (({}, 'class'), (dict(reg_class_agnostic=True), 'agnostic')):
        head, other = make(kind, garments, **arguments), make(kind, garments, reg_per=same)
        assert head.reg_per == same and head.reg_class_agnostic == (same == 'agnostic')
        assert_same(head, other)


@pytest.mark.parametrize('grouped', [True, False])
@pytest.mark.parametrize('kind', KINDS)
def test_a_class_has_the_deltas_of_its_group(kind, grouped, garments):
    head = make(kind, garments, grouped=grouped, reg_per='group')
    features, _ = make_batch(5)
    deltas = head(features)[1]
    first = head.branch_features(features)
    feature = torch.cat(first, 1) if kind is MergedBBoxHead else first[-1]
    groups = head.fc_reg(feature).view(12, 3, 4)  # top, bottom, hat
    assert torch.equal(deltas.view(12, 5, 4), groups[:, [0, 1, 0, 2, 1]])
    assert groups.std(1).min() > 0.01
    torch.testing.assert_close(head.eval()(features)[1], deltas)
    # The number of classes is that of the deltas, whatever the mode, and the config is not saved.
    assert 'reg_rows' not in head.state_dict()


def test_three_levels_have_regressors_of_the_level_above_the_classes(three_levels):
    head = make(MultiGrainedBBoxHead, three_levels, reg_per='group', reg_weights=(1, 1, 1))
    assert head.fc_reg.out_features == 4 * 3  # upper, lower, hat
    assert head.reg_rows.view(5, 4)[:, 0].tolist() == [0, 0, 4, 4, 8]
    assert [fc.out_features for fc in head.coarse_fc_reg.values()] == [20, 20]  # their own


@pytest.mark.parametrize('decoded', [False, True])
def test_regression_equals_a_naive_loop(garments, decoded):
    head = make(MultiGrainedBBoxHead, garments, reg_per='group', reg_decoded_bbox=decoded)
    features, batch = make_batch(5)
    batch['labels'][::4] = torch.tensor([TOP, OBJECT, TOP])
    batch['bbox_weights'] = torch.ones(12, 4)
    scores, deltas = head(features)
    head.loss(scores, deltas, **batch)['loss_bbox'].backward()
    found = head.fc_reg.bias.grad
    bias = head.fc_reg.bias.detach().clone().requires_grad_()
    groups = head.branch_features(features)[1].detach() @ head.fc_reg.weight.detach().T + bias
    expected = 0.0
    for row, label in enumerate(batch['labels'].tolist()):
        if label == 5:
            continue
        child = scores[row, :5].argmax().item() if label == OBJECT else {TOP: 0}.get(label, label)
        start = 4 * garments.group_index(0)[child]
        moved = groups[row : row + 1, start : start + 4]
        if decoded:
            moved = head.bbox_coder.decode(batch['rois'][row : row + 1, 1:], moved)
        difference = (moved[0] - batch['bbox_targets'][row]).abs()
        expected += torch.where(difference < 1, 0.5 * difference**2, difference - 0.5).sum() / 12
    expected.backward()
    torch.testing.assert_close(found, bias.grad)
    assert all(found.view(3, 4).any(1))


def test_coarse_labels_have_the_regressor_of_their_group(three_levels):
    """Whichever class is likeliest; coarser labels than the regressors take that class's group."""
    head = make(MultiGrainedBBoxHead, three_levels, reg_per='group')
    features, batch = make_batch(5)
    scores, deltas = head(features)

    def trained(label, likeliest):
        """The groups whose regressors learn from boxes with a label."""
        head.zero_grad()
        scores.detach()[:, :5] = torch.eye(5)[likeliest]
        labels = torch.full_like(batch['labels'], label)
        ones = dict(bbox_weights=torch.ones(12, 4), bbox_targets=torch.ones(12, 4))
        loss = head.loss(scores, deltas, **{**batch, **ones, 'labels': labels})['loss_bbox']
        loss.backward(retain_graph=True)
        assert head.fc_cls.weight.grad is None
        return head.fc_reg.weight.grad.view(3, -1).any(1).nonzero().flatten().tolist()

    assert [trained(UPPER, child) for child in (0, 1, 2, 4)] == [[0]] * 4
    assert [trained(BODY, child) for child in (0, 1, 3, 4)] == [[0], [0], [1], [0]]
    assert [trained(9, child) for child in (0, 3, 4)] == [[0], [1], [2]]  # some object


@pytest.mark.parametrize('labels', [[1, 4], [TOP, OBJECT]])
def test_cascades_refine_by_the_regressor_of_the_group(garments, labels):
    bbox_head = dict(
        type='MultiGrainedBBoxHead',
        taxonomy=garments.to_dict(),
        reg_per='group',
        reg_weights=(1, 1),
        **SMALL,
    )
    torch.manual_seed(0)
    roi_head = MODELS.build(roi_head_config('CascadeRoIHead', bbox_head))
    roi_head.init_weights()
    sample, proposals = one_image()
    sample.gt_instances.labels = torch.tensor(labels)
    features = (torch.randn(1, 4, 16, 16, requires_grad=True),)
    losses = roi_head.loss(features, [copy.deepcopy(proposals)], [sample])
    assert losses['s0.loss_bbox'] > 0 and losses['s1.loss_bbox'] > 0
    total(losses).backward()
    for name, parameter in roi_head.named_parameters():
        assert parameter.grad is not None, name
    with torch.no_grad():
        (result,) = roi_head.eval().predict(features, [proposals], [sample])
    assert len(result) > 0

    head = roi_head.bbox_head[0].train()
    features, batch = make_batch(5)
    scores, deltas = head(features)
    deltas = 2000 * deltas.detach()
    rows = batch['labels'] < 5

    def refine(labels):
        sampling = type('Sampled', (), {'pos_is_gt': torch.zeros(10, dtype=torch.uint8)})
        results = dict(rois=batch['rois'], cls_score=scores, bbox_pred=deltas)
        results = {key: value[rows] for key, value in results.items()}
        results['bbox_targets'] = (torch.full((10,), labels),)
        (boxes,) = head.refine_bboxes([sampling], results, [META])
        return boxes.bboxes

    assert torch.equal(refine(TOP), refine(0)) and torch.equal(refine(0), refine(2))
    assert not torch.equal(refine(TOP), refine(1))


@pytest.mark.parametrize('kind', KINDS)
def test_no_rois(kind, garments):
    head = make(kind, garments, reg_per='group')
    features, batch = make_batch(5)
    empty = {key: value[:0] for key, value in batch.items()}
    total(losses_of(head, features[:0], empty)).backward()
    assert all(one.grad is not None for one in head.parameters())
    assert head.eval()(features[:0])[1].shape == (0, 20)


def test_predictors_of_another_kind(garments):
    config = dict(type='NormedLinear')
    head = make(MultiGrainedBBoxHead, garments, reg_per='group', reg_predictor_cfg=config)
    features, _ = make_batch(5)
    torch.testing.assert_close(head(features)[1], head.eval()(features)[1])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(reg_per='superclass'), "reg_per='superclass': must be one of"),
        (
            dict(reg_per='group', reg_class_agnostic=True),
            "reg_per='group' contradicts reg_class_agnostic=True; leave reg_class_agnostic out",
        ),
        (dict(reg_per='class', reg_class_agnostic=True), 'contradicts'),
        (dict(reg_per='agnostic', reg_class_agnostic=False), 'contradicts'),
    ],
)
def test_what_contradicts_is_refused(kind, arguments, message, garments):
    with pytest.raises(ConfigError, match=message):
        make(kind, garments, **arguments)


@pytest.mark.parametrize('kind', KINDS)
def test_without_groups_there_is_no_regressor_of_a_group(kind):
    flat = Taxonomy('flat', CLASSES)
    with pytest.raises(ConfigError, match="reg_per='group': taxonomy 'flat' has no groups"):
        make(kind, flat, grouped=False, reg_per='group')
    agreeing = (dict(reg_class_agnostic=False, reg_per='class'), dict(reg_per='agnostic'))
    for arguments in agreeing:
        make(kind, flat, grouped=False, **arguments)


def test_stock_head_with_copied_rows_moves_boxes_the_same(garments):
    head = make(MultiGrainedBBoxHead, garments, reg_per='group').eval()
    stock = BBoxHead(num_classes=5, in_channels=16, roi_feat_size=1)
    with torch.no_grad():
        stock.fc_reg.weight.copy_(head.fc_reg.weight[head.reg_rows])
        stock.fc_reg.bias.copy_(head.fc_reg.bias[head.reg_rows])
    features = torch.randn(300, 4, 3, 3)
    assert torch.equal(head(features)[1], stock.fc_reg(head.fine_feature(features)))


@pytest.mark.parametrize('main_tree', ['kind', 'season'])
def test_of_several_trees_the_first_has_the_regressors(two_trees, three_levels, main_tree):
    """Whatever hedging and fusion follow: the weights stay the same."""
    taxonomy = two_trees.with_main_tree(main_tree)
    head = make(MultiGrainedBBoxHead, taxonomy, reg_per='group')
    expected = make(MultiGrainedBBoxHead, three_levels, reg_per='group')
    assert torch.equal(head.reg_rows, expected.reg_rows) and len(head.reg_rows) == 20
    assert head.training_facts()['reg_taxonomy'] == two_trees.tree('kind').to_dict()
