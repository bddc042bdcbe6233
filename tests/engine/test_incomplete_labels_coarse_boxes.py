"""Boxes without a class before training: who can learn or ignore them, and what the table says."""

from types import SimpleNamespace

import pytest
from mmdet.registry import MODELS, TASK_UTILS
from torch import nn

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.hooks.preflight_hook import check_boxes, check_heads
from mmdet_multigrain.engine.incomplete_labels import check_coarse_boxes, coarse_lines
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.controls import controls
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError

from ..models.dense_heads.made_node_heads import RTMDET, of_nodes

SIZE = dict(in_channels=2, roi_feat_size=1)


def model(bbox_head, rpn='MaxIoUAssigner', rcnn='MaxIoUAssigner', mask_head=None, **assigner):
    """A detector of which only heads and assigners matter."""

    def build(kind):
        assigner_ = dict(type=kind, pos_iou_thr=0.5, neg_iou_thr=0.5, **assigner)
        return TASK_UTILS.build(assigner_)

    detector = nn.Module()
    detector.rpn_head, detector.roi_head = nn.Module(), nn.Module()
    detector.rpn_head.loss_cls = nn.Identity()
    detector.rpn_head.assigner, detector.roi_head.bbox_assigner = build(rpn), [build(rcnn)]
    detector.roi_head.bbox_head = nn.ModuleList([MODELS.build({**bbox_head, **SIZE})])
    if mask_head is not None:
        detector.roi_head.mask_head = MODELS.build(mask_head)
    return detector


def data(taxonomy, coarse=(0, 0, 0), ignored=0, boxes=(1, 1, 1, 1, 1), name='train.json'):
    return SimpleNamespace(
        ann_file=name,
        metainfo=taxonomy_metainfo(taxonomy),
        box_counts=list(boxes),
        coarse_counts=list(coarse),
        num_ignored=ignored,
    )


GARMENTS = {  # as the fixture
    'groups': {'top': ['shirt', 'vest'], 'bottom': ['skirt', 'shorts']},
    'ungrouped': ['hat'],
    'classes': ['shirt', 'skirt', 'vest', 'hat', 'shorts'],
}
HEADS = {
    'wgroup': dict(type='MultiGrainedBBoxHead', taxonomy=GARMENTS),
    'wogroup': dict(type='MultiGrainedBBoxHead', taxonomy=GARMENTS, grouped=False),
    'merged': dict(type='MergedBBoxHead', taxonomy=GARMENTS),
    'stock': dict(type='Shared2FCBBoxHead', num_classes=13),
}
MASKS = dict(type='FCNMaskHead', num_convs=1, in_channels=2, conv_out_channels=2)


@pytest.mark.parametrize('name', HEADS)
def test_heads_that_cannot_learn_coarse_boxes_are_refused(name, garments):
    detector = model(HEADS[name])
    check_coarse_boxes(detector, data(garments))
    check_coarse_boxes(detector, SimpleNamespace(ann_file='stock.json', metainfo={}))
    both = SimpleNamespace(datasets=[data(garments), data(garments, (0, 7, 2), name='b.json')])
    if name.startswith('w'):
        return check_coarse_boxes(detector, both)
    message = r'^b.json: of 9 boxes .* the \w+BBoxHead of model.roi_head.bbox_head.0 cannot learn; '
    with pytest.raises(ConfigError, match=message + "take .*coarse='ignore', and type='IgnoreReg"):
        check_coarse_boxes(detector, both)


OTHERS = {  # the same classes, and labels, in groups of their own
    **GARMENTS,
    'groups': {'top': ['shirt', 'skirt'], 'bottom': ['vest', 'shorts']},
}


@pytest.mark.parametrize('name', ['wogroup', 'identity', 'one_group'])
def test_heads_with_other_groups_would_learn_coarse_boxes_as_others(name, garments):
    """Their groups need not be those of the data as long as all boxes have a class."""
    control = {'wogroup': OTHERS, **controls(garments)}[name]
    control = control if name == 'wogroup' else {**control.to_dict(), 'allow_one_group': True}
    head = dict(HEADS['wogroup' if name == 'wogroup' else 'wgroup'], taxonomy=control)
    detector = model(head)
    check_heads(detector, data(garments).metainfo, source='train.json')
    check_coarse_boxes(detector, data(garments))
    message = (
        'train.json: of 7 boxes only the superclass is known, but the groups of '
        'model.roi_head.bbox_head.0 are others; give both the same taxonomy, or set train_data'
    )
    with pytest.raises(ConfigError) as caught:
        check_coarse_boxes(detector, data(garments, (0, 7, 0)))
    assert str(caught.value).startswith(message) and '\n' not in str(caught.value)


def test_heads_of_one_stage_know_the_groups_of_their_taxonomy(garments):
    detector = nn.Module()
    detector.bbox_head = of_nodes(RTMDET, garments)
    check_coarse_boxes(detector, data(garments, (0, 7, 0)))
    detector.bbox_head = of_nodes(RTMDET, Taxonomy.load(OTHERS))
    with pytest.raises(ConfigError, match='the groups of model.bbox_head are others'):
        check_coarse_boxes(detector, data(garments, (0, 7, 0)))


def test_masks_for_each_class_are_refused(garments):
    coarse = data(garments, (1, 0, 0))
    with pytest.raises(ConfigError, match='the FCNMaskHead of model.roi_head.mask_head cannot'):
        check_coarse_boxes(model(HEADS['wgroup'], mask_head=dict(MASKS, num_classes=13)), coarse)
    agnostic = dict(MASKS, num_classes=13, class_agnostic=True)
    check_coarse_boxes(model(HEADS['wgroup'], mask_head=agnostic), coarse)


def test_ignored_boxes_need_an_assigner_that_knows_regions(garments):
    ignoring, ours = data(garments, ignored=3), 'IgnoreRegionAssigner'
    check_coarse_boxes(model(HEADS['stock'], ours, ours), ignoring)
    check_coarse_boxes(model(HEADS['stock']), data(garments))
    for rpn, rcnn, name in ((None, ours, 'rpn_head'), (ours, None, 'roi_head')):
        detector = model(HEADS['stock'], rpn or 'MaxIoUAssigner', rcnn or 'MaxIoUAssigner')
        with pytest.raises(ConfigError, match=f'^train.json: 3 boxes .* model.{name} makes them'):
            check_coarse_boxes(detector, ignoring)
    with pytest.raises(ConfigError, match='the IgnoreRegionAssigner of model.rpn_head makes'):
        check_coarse_boxes(model(HEADS['stock'], ours, ours, ignore_iof_thr=-1), ignoring)


def test_one_stage_detectors_cannot_ignore(garments):
    detector = nn.Module()
    detector.bbox_head = nn.Module()
    detector.bbox_head.assigner = TASK_UTILS.build(dict(type='NodeSoftLabelAssigner'))
    with pytest.raises(ConfigError, match='makes them background; take a two-stage detector$'):
        check_coarse_boxes(detector, data(garments, ignored=3))


def test_lines_below_the_class_table(garments):
    assert coarse_lines(data(garments)) == []
    assert coarse_lines(SimpleNamespace(ann_file='stock.json', metainfo={})) == []
    both = [data(garments, (8, 0, 4)), data(garments, (0, 2, 0), ignored=5, name='b.json')]
    assert coarse_lines(SimpleNamespace(datasets=both)) == [
        'train.json: boxes with a superclass only: top 8 (level 0), object 4 (any class)',
        'b.json: boxes with a superclass only: bottom 2 (level 0)',
        'b.json: 5 boxes without a class are ignored',
    ]


def test_a_class_that_is_also_a_group_is_named():
    fish = Taxonomy.load({'Fish': ['fish', 'cod', 'tuna'], 'gear': ['net', 'trap']})
    assert coarse_lines(data(fish, boxes=(35694, 1, 1, 1, 1))) == [
        "train.json: 'fish' is a class and the superclass of 'cod', 'tuna'; its 35694 boxes are the "
        'class, negatives of the others. If they may be any of these, leave the class out of the '
        'taxonomy'
    ]
    assert coarse_lines(data(fish, boxes=(0, 1, 1, 1, 1))) == []


def test_coarse_boxes_alone_can_be_trained_on(garments):
    nothing = (0,) * 5
    check_boxes(data(garments, (1, 0, 0), boxes=nothing), 'train on')
    with pytest.raises(AnnotationError, match='no box to train on'):
        check_boxes(data(garments, boxes=nothing), 'train on')
