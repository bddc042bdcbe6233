"""Files that annotate only some classes, before training: who can learn them, and what is said."""

from types import SimpleNamespace

import pytest
from mmdet.datasets import MultiImageMixDataset
from mmdet.registry import MODELS, TRANSFORMS
from torch import nn

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.incomplete_labels import check_unannotated, unannotated_lines
from mmdet_multigrain.utils.errors import ConfigError

SIZE = dict(in_channels=2, roi_feat_size=1)
HEADS = {
    'wgroup': dict(type='MultiGrainedBBoxHead', taxonomy='deepfashion2'),
    'wogroup': dict(type='MultiGrainedBBoxHead', taxonomy='deepfashion2', grouped=False),
    'merged': dict(type='MergedBBoxHead', taxonomy='deepfashion2'),
}
SEESAW = dict(type='SeesawLoss', num_classes=13)
REFUSED = {
    'Shared2FCBBoxHead of model.roi_head.bbox_head.0 with CrossEntropyLoss': dict(
        type='Shared2FCBBoxHead', num_classes=13
    ),
    'MultiGrainedBBoxHead of model.roi_head.bbox_head.0 with SeesawLoss': dict(
        HEADS['wgroup'], loss_cls=dict(type='HierarchicalCrossEntropyLoss', fine_loss=SEESAW)
    ),
    'MergedBBoxHead of model.roi_head.bbox_head.0 with SeesawLoss': dict(
        HEADS['merged'], loss_cls=SEESAW
    ),
}


def model(bbox_head, roi_head=True, rpn_head=0.5):
    """A detector of which only the heads matter."""
    detector = nn.Module()
    detector.rpn_head, detector.roi_head = nn.Module(), nn.Module()
    detector.rpn_head.unannotated_thr = rpn_head
    detector.rpn_head.loss_cls = nn.Identity()
    detector.roi_head.hands_over_unannotated = roi_head
    detector.roi_head.bbox_head = nn.ModuleList([MODELS.build({**bbox_head, **SIZE})])
    return detector


class Data(SimpleNamespace):
    """What is read of a data set of ten images."""

    def __len__(self):
        return 10


def data(taxonomy, counts=None, name='train.json', tells=False, transforms=()):
    return Data(
        ann_file=name,
        metainfo=taxonomy_metainfo(taxonomy),
        annotated_counts=counts,
        tells_annotated=tells,
        pipeline=SimpleNamespace(transforms=list(transforms)),
    )


PARTLY = [10, 10, 9, 0, 10]


@pytest.mark.parametrize('name', HEADS)
def test_heads_that_leave_classes_out(name, garments):
    check_unannotated(model(HEADS[name]), data(garments, PARTLY))


@pytest.mark.parametrize('message', REFUSED)
def test_heads_that_cannot_are_refused(message, garments):
    for fine in (data(garments), data(garments, [10] * 5), SimpleNamespace(metainfo={})):
        check_unannotated(model(REFUSED[message]), fine)
    both = SimpleNamespace(datasets=[data(garments), data(garments, PARTLY, 'b.json')])
    match = f'^b.json: annotates only some classes, but the {message} cannot leave .*; take Mul'
    with pytest.raises(ConfigError, match=match):
        check_unannotated(model(REFUSED[message]), both)


def test_stock_roi_heads_rpn_and_single_stage_are_refused(garments):
    part = data(garments, PARTLY)
    with pytest.raises(ConfigError, match='of model.roi_head makes .*; take FederatedStandardRoIH'):
        check_unannotated(model(HEADS['wgroup'], roi_head=False), part)
    with pytest.raises(
        ConfigError, match="of model.rpn_head; set .*Head', unannotated_thr=0.5 in it"
    ):
        check_unannotated(model(HEADS['wgroup'], rpn_head=None), part)
    with pytest.raises(ConfigError, match='the Linear learns the others as background; take a two'):
        check_unannotated(nn.Linear(1, 1), part)
    without_rpn = model(HEADS['wgroup'])
    del without_rpn.rpn_head
    check_unannotated(without_rpn, part)


def test_mixing_is_refused(garments):
    detector, part = model(HEADS['wgroup']), data(garments, PARTLY)
    flip = dict(type='RandomFlip', prob=0.5)
    mixed = MultiImageMixDataset.__new__(MultiImageMixDataset)
    mixed.dataset = part
    repeated = SimpleNamespace(datasets=[SimpleNamespace(dataset=mixed)])
    with pytest.raises(ConfigError, match='^train.json: .* but MultiImageMixDataset mixes its im'):
        check_unannotated(detector, repeated)
    cached = dict(type='CachedMixUp', img_scale=(8, 8))
    for transform in (cached, dict(type='FastLoading', transforms=[flip, cached])):
        part = data(garments, PARTLY, transforms=[TRANSFORMS.build(transform)])
        with pytest.raises(ConfigError, match='but CachedMixUp mixes its images with others, of'):
            check_unannotated(detector, part)
    check_unannotated(detector, data(garments, PARTLY, transforms=[TRANSFORMS.build(flip)]))


def test_lines_below_the_class_table(garments):
    assert unannotated_lines(data(garments)) == []
    assert unannotated_lines(data(garments, [10] * 5, tells=True)) == []
    assert unannotated_lines(SimpleNamespace(metainfo={})) == []
    parts = [data(garments, PARTLY), data(garments, [0, 10, 10, 0, 10], 'b.json')]
    lines = [
        "train.json: does not annotate 1 of 5 classes: 'hat'",
        "train.json: annotates only on some images 1 of 5 classes: 'vest'",
        "b.json: does not annotate 2 of 5 classes: 'shirt', 'hat'",
        "No image annotates 1 classes, so that no background is learned for them: 'hat'",
    ]
    assert unannotated_lines(SimpleNamespace(datasets=parts)) == lines
    # A file that annotates all classes has the others covered.
    parts.append(data(garments, name='c.json'))
    assert unannotated_lines(SimpleNamespace(datasets=parts)) == lines[:3]
    (line,) = unannotated_lines(data(garments, tells=True))
    assert line.startswith('train.json: its images tell which classes they annotate, but it is ')
