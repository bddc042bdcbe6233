"""Added classes that leave old detections as they are, against the detector without them."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import nn

import mmdet_multigrain.register  # noqa: F401
from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.checkpoint.added_classes import with_classes
from mmdet_multigrain.engine.checkpoint.surgery import add_classes
from mmdet_multigrain.engine.checkpoint.training_record import keep_record
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

SMALL = dict(in_channels=4, roi_feat_size=2, fc_out_channels=48)
KINDS = {
    'wgroup': dict(type='MultiGrainedBBoxHead'),
    'boxes of groups': dict(type='MultiGrainedBBoxHead', reg_per='group'),
    'one box': dict(type='MultiGrainedBBoxHead', reg_per='agnostic'),
    'wogroup': dict(type='MultiGrainedBBoxHead', grouped=False),
    'merged': dict(type='MergedBBoxHead'),
}
TEST = ConfigDict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.5), max_per_img=12)
IMAGE = dict(img_shape=(400, 400), scale_factor=(2.0, 2.0))
TAXONOMY = Taxonomy.load('deepfashion2')
GROWN = with_classes(TAXONOMY, {'kimono': 'one-piece dress', 'obi': None})


def pair(kind, **added):
    """A head without two classes, and one with them, in a detector each."""
    torch.manual_seed(0)
    before = nn.Sequential(MODELS.build({**KINDS[kind], **SMALL, 'taxonomy': TAXONOMY})).eval()
    for value in before.parameters():
        value.data.normal_(std=0.3)
    checkpoint = dict(
        state_dict=before.state_dict(), meta=dict(dataset_meta=taxonomy_metainfo(TAXONOMY))
    )
    keep_record(before, checkpoint)
    after, _ = add_classes(checkpoint, GROWN, path='a.pth')
    config = {**KINDS[kind], **SMALL, 'taxonomy': GROWN, 'added': dict(classes=2, **added)}
    wide = nn.Sequential(MODELS.build(config)).eval()
    wide.load_state_dict(after['state_dict'])
    return before[0].requires_grad_(False), wide[0].requires_grad_(False)


def rois(number=40):
    generator = torch.Generator().manual_seed(1)
    corner = 300 * torch.rand(number, 2, generator=generator)
    size = 20 + 60 * torch.rand(number, 2, generator=generator)
    boxes = torch.cat([torch.zeros(number, 1), corner, corner + size], dim=1)
    return boxes, torch.randn(number, 4, 2, 2, generator=generator)


def detect(head):
    boxes, features = rois()
    return head._predict_by_feat_single(boxes, *head(features), IMAGE, True, TEST)


@pytest.mark.parametrize('kind', KINDS)
def test_old_detections_are_equal_bit_by_bit(kind):
    before, after = pair(kind, tau=1.1, max_per_img=7)
    old, new = detect(before), detect(after)
    assert len(old) == 12 and len(new) == 19
    for key in ('bboxes', 'scores', 'labels'):
        assert new[key][:12].equal(old[key])
    assert set(new.labels[12:].tolist()) <= {13, 14}


def test_a_likely_class_takes_its_share_from_its_group_alone():
    before, after = pair('wgroup', tau=0.4)
    _, features = rois()
    after.fc_cls.bias[13] += 4
    old = before(features)[0].softmax(1)
    scores, news = after._divide(after(features)[0])
    taken = news[:, 0] >= 0.4
    assert 0 < taken.sum() < 40 and not (news[:, 1] >= 0.4).any()
    assert scores[~taken].equal(old[~taken])
    assert scores[taken][:, :9].equal(old[taken][:, :9])  # tops and bottoms
    dresses = [9, 10, 11, 12, 13]  # and background
    assert (scores[taken][:, dresses] < old[taken][:, dresses]).all()
    assert torch.allclose(scores[taken].sum(1) + news[taken, 0], torch.ones(int(taken.sum())))


def test_shares_by_hand():
    """Of two new classes in one group: 2 : 1 to 'as before', which is 1 + 1 + 2 of 8."""
    taxonomy = Taxonomy('t', ('a', 'b', 'c', 'd', 'e'), [('g',), ('g',), ('h',), ('g',), ('g',)])
    head = MODELS.build(
        dict(type='MergedBBoxHead', taxonomy=taxonomy, added=dict(classes=2, tau=0.2), **SMALL)
    )
    scores = torch.tensor([[1.0, 1, 4, 8, 4, 2]]).log()  # a, b, c; d, e; background
    old, new = head._divide(scores)
    assert new[0, :2].tolist() == pytest.approx([0.25, 0.125])
    assert old[0].tolist() == pytest.approx([0.125 / 4, 0.125 / 4, 0.5, 0.25 / 4])


@pytest.mark.parametrize(
    ('path', 'others'), [(('g', 'h'), [0]), (('g',), [0, 1]), ((), [])], ids=['h', 'g', 'none']
)
def test_the_finest_group_may_be_of_any_level(path, others):
    """Classes a (g, h) and b (g, i), c (j), d (new), background."""
    paths = [('g', 'h'), ('g', 'i'), ('j',), path]
    taxonomy = Taxonomy('t', ('a', 'b', 'c', 'd'), paths)
    head = MODELS.build(
        dict(type='MergedBBoxHead', taxonomy=taxonomy, added=dict(classes=1, tau=0), **SMALL)
    )
    scores = torch.ones(1, 5)
    old, _ = head._divide(scores)
    assert (old[0] < scores[0, 0] / 4).nonzero().flatten().tolist() == [*others, 3]


def test_training_and_groups_are_as_without():
    before, after = pair('wgroup')
    after.train()
    _, features = rois()
    assert after(features)[0].shape[1] == sum(after.loss_cls.level_channels)
    after.eval()
    boxes, features = rois()
    groups = TEST | dict(groups=[0] * 15)
    found = after._predict_by_feat_single(boxes, *after(features), IMAGE, True, ConfigDict(groups))
    assert set(found.labels.tolist()) == {0}
    empty = after(features[:0])
    assert not len(after._predict_by_feat_single(boxes[:0], *empty, IMAGE, True, TEST))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(added=dict(classes=13)), r"^added=\{'classes': 13\}: needs classes, the number"),
        (dict(added=dict(tau=0.5)), 'needs classes, the number of the last ones'),
        (dict(added=dict(classes=1, thr=0.5)), 'takes tau and max_per_img'),
        (
            dict(added=dict(classes=1), fusion=dict(type='ProductFusion', gamma=1)),
            'added needs the softmax of one CrossEntropyLoss; leave added out',
        ),
    ],
)
def test_what_it_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.build({**KINDS['wgroup'], **SMALL, 'taxonomy': TAXONOMY, **options})
