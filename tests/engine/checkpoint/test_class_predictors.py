"""What mask heads and single-stage heads take from another detector's, against values set by hand."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

import mmdet_multigrain.register  # noqa: F401
from mmdet_multigrain.engine.checkpoint.class_predictors import carry_predictors
from mmdet_multigrain.taxonomy import Taxonomy

from ...models.dense_heads.made_node_heads import RTMDET, of_nodes

OLD = ('shirt', 'skirt', 'vest')
NEW = Taxonomy('new', ('hat', 'waistcoat', 'shirt'), aliases={'waistcoat': ['Vest']})
MORE = Taxonomy('more', ('hat', 'waistcoat', 'shirt', 'sock'), aliases={'waistcoat': ['Vest']})
MASK = dict(type='FCNMaskHead', num_convs=1, in_channels=1, conv_out_channels=2)
HTC = dict(type='HTCMaskHead', num_convs=1, in_channels=1, conv_out_channels=2)
COARSE = dict(
    type='CoarseMaskHead',
    num_fcs=1,
    in_channels=1,
    conv_out_channels=1,
    fc_out_channels=2,
    roi_feat_size=4,
)
POINT = dict(type='MaskPointHead', num_fcs=1, in_channels=1, fc_channels=2)
MASK_IOU = dict(
    type='MaskIoUHead', num_convs=0, num_fcs=1, roi_feat_size=2, in_channels=1, fc_out_channels=2
)
CONTEXT = dict(type='GlobalContextHead', num_convs=1, in_channels=1, conv_out_channels=2)
STUFF = dict(
    type='FusedSemanticHead',
    num_ins=1,
    fusion_level=0,
    num_convs=1,
    in_channels=1,
    conv_out_channels=2,
)
FCOS = dict(type='FCOSHead', in_channels=1, feat_channels=32, stacked_convs=1)
RETINA = dict(type='RetinaHead', in_channels=1, feat_channels=1, stacked_convs=1)
SSD = dict(
    type='SSDHead',
    in_channels=(1,),
    anchor_generator=dict(
        type='SSDAnchorGenerator',
        scale_major=False,
        input_size=300,
        basesize_ratio_range=(0.15, 0.9),
        strides=[8],
        ratios=[[2]],
    ),
)
YOLO = dict(
    type='YOLOV3Head',
    in_channels=(1,),
    out_channels=(2,),
    anchor_generator=dict(type='YOLOAnchorGenerator', base_sizes=[[(2, 2)]], strides=[8]),
    featmap_strides=[8],
)
YOLOF = dict(
    type='YOLOFHead',
    in_channels=1,
    feat_channels=32,
    num_cls_convs=1,
    num_reg_convs=1,
    anchor_generator=dict(type='AnchorGenerator', ratios=[1.0], scales=[1, 2], strides=[32]),
)
SABL = dict(type='SABLRetinaHead', in_channels=1, feat_channels=1, stacked_convs=1)
CENTERNET = dict(type='CenterNetHead', in_channels=1, feat_channels=2)
CORNERNET = dict(type='CornerHead', in_channels=1, num_feat_levels=1)
AUTOASSIGN = dict(type='AutoAssignHead', in_channels=1, feat_channels=32, stacked_convs=1)


class Detector(nn.Module):
    """A head under a name that it has in a detector, and an RPN."""

    def __init__(self, config, name, num_classes):
        super().__init__()
        rpn = dict(type='RPNHead', in_channels=1, feat_channels=1)
        self.rpn_head = MODELS.build(rpn)
        self.roi_head = nn.Module()
        owner = self.roi_head if name.startswith('roi_head.') else self
        setattr(owner, name.rpartition('.')[2], MODELS.build(dict(config, num_classes=num_classes)))


def build(config, name, num_classes, *, counting=False):
    """A detector whose tensors are -1 everywhere, or count their rows from 1."""
    model = Detector(config, name, num_classes)
    for value in model.state_dict().values():
        if value.dim() and counting:
            rows = torch.arange(1, len(value) + 1).to(value)
            value.copy_(rows.view(-1, *[1] * (value.dim() - 1)).expand_as(value))
        else:
            value.fill_(-1)
    return model


def carry(config, *, name='roi_head.mask_head', classes=OLD, taxonomy=NEW, prefix=''):
    """{tensor: first column} of the head after loading, and the log; names as in the head."""
    model = build(config, name, taxonomy.num_classes)
    old = build(config, name, len(classes or OLD), counting=True)
    state = {f'{prefix}{key}': value for key, value in old.state_dict().items()}
    own = model.state_dict()
    lines = carry_predictors(model, dict(state_dict=state), classes, taxonomy)
    fitting = {
        key: value
        for key, value in ((key.removeprefix('module.'), value) for key, value in state.items())
        if own[key].shape == value.shape
    }
    model.load_state_dict(fitting, strict=False)
    anchors = model.rpn_head.rpn_cls.bias.tolist()
    assert anchors == list(range(1, len(anchors) + 1))
    head = model.get_submodule(name)
    columns = {
        key: value.reshape(len(value), -1)[:, 0].tolist()
        for key, value in head.state_dict().items()
        if value.dim()
    }
    return columns, lines


@pytest.mark.parametrize(
    ('config', 'layer'),
    [
        (MASK, 'conv_logits'),
        (HTC, 'conv_logits'),
        (MASK_IOU, 'fc_mask_iou'),
        (CONTEXT, 'fc'),
    ],
    ids=lambda value: value if isinstance(value, str) else value['type'],
)
def test_rows_of_classes_with_the_same_name(config, layer):
    head, lines = carry(config)
    # hat: new. waistcoat: the checkpoint's third class, by its alias. shirt: its first.
    assert head[f'{layer}.weight'] == head[f'{layer}.bias'] == [-1, 3, 1]
    assert lines == [f'roi_head.mask_head.{layer}, by the names of classes: 2 of 3 classes']
    head, _ = carry(config, prefix='module.')
    assert head[f'{layer}.bias'] == [-1, 3, 1]
    head, lines = carry(config, taxonomy=MORE)
    assert head[f'{layer}.weight'] == head[f'{layer}.bias'] == [-1, 3, 1, -1]


def test_single_stage_heads():
    head, _ = carry(FCOS, name='bbox_head')
    assert head['conv_cls.weight'] == head['conv_cls.bias'] == [-1, 3, 1]
    assert head['conv_reg.bias'] == [1, 2, 3, 4]
    assert head['cls_convs.0.gn.bias'] == list(range(1, 33))
    head, lines = carry(RETINA, name='bbox_head')  # nine anchors of each place
    assert set(head['retina_cls.bias']) == {-1} and len(head['retina_cls.bias']) == 27
    assert head['retina_reg.bias'] == list(range(1, 37))
    assert lines == ['bbox_head.retina_cls, by the names of classes: new (of (27, 1, 3, 3))']


def test_all_of_the_same_classes():
    same = Taxonomy('same', OLD)
    for config, layer in ((RETINA, 'retina_cls'), (COARSE, 'fc_logits'), (POINT, 'fc_logits')):
        options = dict(name='bbox_head') if config is RETINA else {}
        head, lines = carry(config, taxonomy=same, **options)
        assert head[f'{layer}.bias'] == list(range(1, len(head[f'{layer}.bias']) + 1))
        assert lines[0].endswith(': all, classes are the same')
        swapped = Taxonomy('swapped', ('skirt', 'shirt', 'vest'))
        head, _ = carry(config, taxonomy=swapped, **options)
        assert set(head[f'{layer}.bias']) == {-1}


@pytest.mark.parametrize(
    ('config', 'layer', 'below'),
    [
        (SSD, 'cls_convs.0.0', 'reg_convs.0.0'),
        (YOLO, 'convs_pred.0', 'convs_bridge.0.conv'),
        (YOLOF, 'cls_score', 'cls_subnet.0.conv'),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_predictors_of_several_anchors(config, layer, below):
    # As many classes as before: shapes alone would hand shirt's rows to hat.
    head, lines = carry(config, name='bbox_head')
    assert set(head[f'{layer}.weight']) == set(head[f'{layer}.bias']) == {-1}
    assert head[f'{below}.weight'] == list(range(1, len(head[f'{below}.weight']) + 1))
    assert [line.partition(',')[0] for line in lines] == [f'bbox_head.{layer}']
    head, _ = carry(config, name='bbox_head', taxonomy=Taxonomy('same', OLD))
    assert head[f'{layer}.bias'] == list(range(1, len(head[f'{layer}.bias']) + 1))


@pytest.mark.parametrize(
    ('config', 'rows', 'others'),
    [
        (CENTERNET, ['heatmap_head.2.weight', 'heatmap_head.2.bias'], 'heatmap_head.0'),
        (CORNERNET, ['tl_heat.0.1.conv.weight', 'br_heat.0.1.conv.bias'], 'tl_heat.0.0.conv'),
        (AUTOASSIGN, ['center_prior.mean', 'center_prior.sigma', 'conv_cls.weight'], 'cls_convs'),
        (SABL, ['retina_cls.weight', 'retina_cls.bias'], 'retina_bbox_cls'),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_rows_of_heat_maps_and_priors(config, rows, others):
    head, _ = carry(config, name='bbox_head')
    assert [head[name] for name in rows] == [[-1, 3, 1]] * len(rows)
    assert all(column[0] == 1 for name, column in head.items() if name.startswith(others))


def test_a_point_head_reads_a_mask_of_each_class():
    head, lines = carry(POINT)
    assert {value for column in head.values() for value in column} == {-1}
    assert 'roi_head.mask_head.fcs.0.conv, by the names of classes: new (of (2, 4, 1))' in lines


def test_layers_below_are_taken():
    head, _ = carry(MASK)
    assert head['convs.0.conv.weight'] == [1, 2] and head['upsample.bias'] == [1, 2]


def test_classes_of_stuff_and_class_agnostic_heads_are_taken():
    head, lines = carry(dict(MASK, class_agnostic=True))
    assert head['conv_logits.weight'] == [1] and lines == []
    model = build(STUFF, 'roi_head.semantic_head', 3)
    state = build(STUFF, 'roi_head.semantic_head', 3, counting=True).state_dict()
    assert carry_predictors(model, state, OLD, NEW) == []
    assert state['roi_head.semantic_head.conv_logits.bias'].tolist() == [1, 2, 3]


def test_a_number_of_classes_of_the_whole_detector_makes_no_predictor():
    """Only modules within it are heads."""
    model, old = (build(MASK, 'roi_head.mask_head', 3) for _ in range(2))
    for detector in (model, old):
        detector.num_classes = 3
        detector.cls = nn.Linear(1, 3)
    state = {name: value for name, value in old.state_dict().items() if name.startswith('cls.')}
    assert len(state) == 2
    assert carry_predictors(model, dict(state_dict=dict(state)), OLD, NEW) == []


def test_an_rpn_is_not_a_predictor_of_the_only_class():
    """It has one class, too: that something is there. Its tensors are taken as they are."""
    head, lines = carry(MASK, classes=('coat',), taxonomy=Taxonomy('one', ('hat',)))
    assert head['conv_logits.bias'] == [-1]
    assert lines == ['roi_head.mask_head.conv_logits, by the names of classes: 0 of 1 classes']


def test_unknown_classes():
    head, lines = carry(MASK, classes=None)
    assert set(head['conv_logits.weight']) == set(head['conv_logits.bias']) == {-1}
    assert lines == [
        'roi_head.mask_head.conv_logits, by the names of classes: new (the checkpoint does not '
        'name its classes)'
    ]


GROUPS = dict(name='old', groups={'top': ['shirt', 'vest'], 'low': ['skirt', 'shorts']})
REGROUPED = dict(name='new', groups={'low': ['shorts', 'hat'], 'all': ['vest', 'sock', 'coat']})


def nodes(taxonomy, *, counting=False):
    """RTMDet with outputs for groups, or stock without a taxonomy."""
    model = nn.Module()
    if taxonomy is None:
        model.bbox_head = MODELS.build({**RTMDET, 'num_classes': 2})
    else:
        model.bbox_head = of_nodes(RTMDET, Taxonomy.load(taxonomy))
    for layer in model.bbox_head.rtm_cls:
        layer.bias.data = torch.arange(1.0, 1 + len(layer.bias)) if counting else layer.bias * 0
    return model


@pytest.mark.parametrize(
    ('old', 'new', 'rows', 'told'),
    [
        # shirt, vest, skirt, shorts | top, low
        (GROUPS, GROUPS, [1, 2, 3, 4, 5, 6], 'all, classes are the same'),
        # shorts, hat, vest, sock, coat | low, all
        (GROUPS, REGROUPED, [4, 0, 2, 0, 0, 6, 0], '2 of 5 classes, 1 of 2 groups'),
        (None, REGROUPED, [0, 0, 2, 0, 0, 0, 0], '1 of 5 classes, 0 of 2 groups'),
        (GROUPS, None, [1, 2], '2 of 2 classes'),
    ],
)
def test_outputs_for_groups_go_by_the_names_of_groups(old, new, rows, told):
    taxonomies = {} if old is None else {'bbox_head': Taxonomy.load(old)}
    classes = ('shirt', 'vest') if old is None else taxonomies['bbox_head'].classes
    wanted = Taxonomy('stock', ('shirt', 'vest')) if new is None else Taxonomy.load(new)
    state, model = nodes(old, counting=True).state_dict(), nodes(new)
    lines = carry_predictors(model, dict(state_dict=state), classes, wanted, taxonomies)
    assert lines == [
        f'bbox_head.rtm_cls.{number}, by the names of classes: {told}' for number in range(2)
    ]
    assert state['bbox_head.rtm_cls.1.bias'].tolist() == rows


def test_groups_of_other_classes_with_as_many_outputs():
    """The same classes in other groups: only outputs of the same name are taken."""
    other = dict(name='other', groups={'top': ['shirt', 'skirt'], 'feet': ['vest', 'shorts']})
    other['classes'] = ['shirt', 'vest', 'skirt', 'shorts']
    old, new = Taxonomy.load(GROUPS), Taxonomy.load(other)
    state = nodes(GROUPS, counting=True).state_dict()
    carry_predictors(nodes(other), dict(state_dict=state), old.classes, new, {'bbox_head': old})
    assert state['bbox_head.rtm_cls.0.bias'].tolist() == [1, 2, 3, 4, 5, 0]
