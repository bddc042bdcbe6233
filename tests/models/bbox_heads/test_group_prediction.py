"""Groups instead of classes: what becomes of scores and boxes before suppression."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import ConfigDict

from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead
from mmdet_multigrain.models.bbox_heads.group_prediction import merge_classes
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .made_heads import SMALL

TAXONOMY = Taxonomy.load({'groups': {'footwear': ['boot', 'sandal']}, 'ungrouped': ['hat']})
GROUPS = (0, 0, 1)
TEST = dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=9)


def cfg(**more):
    return ConfigDict({**TEST, **more})


def boxes_of(*lefts):
    """(1, K, 4): one box of 10 px for each class."""
    return torch.tensor([[[left, 0, left + 10, 10] for left in lefts]], dtype=torch.float32)


def test_the_sum_has_the_mean_box_and_the_maximum_the_box_of_its_class():
    scores = torch.tensor([[0.3, 0.1, 0.4, 0.2]])
    boxes, summed = merge_classes(boxes_of(0, 8, 50), scores, GROUPS, 'sum')
    torch.testing.assert_close(summed, torch.tensor([[0.4, 0.4, 0.2]]))
    torch.testing.assert_close(boxes[0, :, 0], torch.tensor([2.0, 50.0]))
    boxes, highest = merge_classes(boxes_of(0, 8, 50), scores, GROUPS, 'max')
    torch.testing.assert_close(highest, torch.tensor([[0.3, 0.4, 0.2]]))
    torch.testing.assert_close(boxes[0, :, 0], torch.tensor([0.0, 50.0]))
    shared = torch.zeros(1, 1, 4)
    assert merge_classes(shared, scores, GROUPS)[0] is shared  # one box for all classes
    full = torch.tensor([[0.7, 0.30001, 0.0, 0.0]])
    assert merge_classes(shared, full, GROUPS)[1].max() == 1


def heads():
    for grouped in (True, False):
        yield MultiGrainedBBoxHead(taxonomy=TAXONOMY, grouped=grouped, **SMALL)
    yield MultiGrainedBBoxHead(taxonomy=TAXONOMY, reg_class_agnostic=True, **SMALL)
    yield MultiGrainedBBoxHead(taxonomy=TAXONOMY, reg_weights=(0.5, 1), **SMALL)
    yield MergedBBoxHead(taxonomy=TAXONOMY, **SMALL)


def predictions(head, test_cfg, num=40, **kwargs):
    """Detections of RoIs with scores and deltas of any size."""
    torch.manual_seed(1)
    head.eval()
    corners = torch.rand(num, 2) * 60
    rois = torch.cat([torch.zeros(num, 1), corners, corners + 5 + 30 * torch.rand(num, 2)], 1)
    with torch.no_grad():
        scores, deltas = head(torch.randn(num, 4, 3, 3))
        scores, deltas = 3 * torch.randn_like(scores), torch.randn_like(deltas)
    meta = dict(img_shape=(80, 80), scale_factor=(0.5, 0.5))
    (found,) = head.predict_by_feat(
        (rois,), (scores,), (deltas,), [meta], rcnn_test_cfg=test_cfg, **kwargs
    )
    return found


@pytest.mark.parametrize('head', [*heads()], ids=lambda head: type(head).__name__)
@pytest.mark.parametrize('how', ['sum', 'max'])
def test_each_class_a_group_is_plain_prediction(head, how):
    for rescale in (False, True):
        plain = predictions(head, cfg(), rescale=rescale)
        own = predictions(head, cfg(groups=[0, 1, 2], group_score=how), rescale=rescale)
        for name in ('bboxes', 'scores', 'labels'):
            assert torch.equal(plain[name], own[name]), name
        assert len(own)


def test_two_children_on_one_object_are_one_answer():
    head = MultiGrainedBBoxHead(taxonomy=TAXONOMY, **SMALL).eval()
    roi = torch.tensor([[0.0, 10, 10, 40, 40]])
    scores = torch.tensor([[0.45, 0.35, 0.1, 0.1]]).log()
    (found,) = head.predict_by_feat(
        (roi,), (scores,), (torch.zeros(1, 12),), [dict(img_shape=(80, 80))],
        rcnn_test_cfg=cfg(groups=GROUPS),
    )  # fmt: skip
    assert found.labels.tolist() == [0, 1]
    torch.testing.assert_close(found.scores, torch.tensor([0.8, 0.1]))
    torch.testing.assert_close(found.bboxes, roi[:, 1:].expand(2, 4))


def test_any_grouping_and_no_rois():
    for head in heads():
        found = predictions(head, cfg(groups=(0, 0, 0), max_per_img=3))
        assert 0 < len(found) <= 3 and not found.labels.any()
        assert len(predictions(head, cfg(groups=(0, 0, 0)), num=0)) == 0


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (dict(groups=[0, 1]), 'groups has 2 entries, the head 3 classes'),
        (dict(groups=GROUPS, group_score='mean'), "group_score='mean': must be one of"),
    ],
)
def test_groups_that_cannot_be_used(more, message):
    with pytest.raises(ConfigError, match=message):
        predictions(next(heads()), cfg(**more))
