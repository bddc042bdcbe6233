"""What a box head takes from another detector's, against values set by hand."""

from __future__ import annotations

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import MODELS
from torch import nn

import mmdet_multigrain.register  # noqa: F401
from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.checkpoint.box_heads import carry_box_heads
from mmdet_multigrain.engine.checkpoint.training_record import keep_record
from mmdet_multigrain.taxonomy import Taxonomy

OLD = Taxonomy('old', ('shirt', 'skirt', 'vest'))
NEW = Taxonomy(
    'new',
    ('hat', 'waistcoat', 'shirt'),
    [('head',), ('top',), ('top',)],
    aliases={'waistcoat': ['Vest']},
)
SMALL = dict(in_channels=1, roi_feat_size=2, fc_out_channels=3)
STOCK = dict(type='Shared2FCBBoxHead', **SMALL)
BASELINE = dict(type='ConvFCBBoxHead', num_shared_fcs=4, **SMALL)
OURS = dict(type='MultiGrainedBBoxHead', **SMALL)
MERGED = dict(type='MergedBBoxHead', **SMALL)
SEESAW = dict(type='SeesawLoss')
COCO = CocoDataset.METAINFO['classes']


class Detector(nn.Module):
    """A box head under the name that it has in a detector."""

    def __init__(self, head):
        super().__init__()
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = head
        self.rpn_head = nn.Linear(1, 1)


def build(config, taxonomy):
    """A detector whose tensors have the value -1 everywhere."""
    config = dict(config)
    if config['type'] in ('MultiGrainedBBoxHead', 'MergedBBoxHead'):
        config['taxonomy'] = taxonomy
    else:
        config['num_classes'] = taxonomy.num_classes
    loss = config.get('loss_cls', {})
    if loss.get('type') == 'SeesawLoss' and config['type'] != 'MultiGrainedBBoxHead':
        config['loss_cls'] = dict(loss, num_classes=taxonomy.num_classes)
    model = Detector(MODELS.build(config))
    for value in model.state_dict().values():
        value.fill_(-1)
    return model


def checkpoint_of(config, taxonomy=OLD, *, meta=None):
    """A checkpoint whose tensors count their rows from 1: [1, 1, ...], [2, 2, ...], ..."""
    model = build(config, taxonomy)
    state = model.state_dict()
    for value in state.values():
        rows = torch.arange(1.0, len(value) + 1)
        value.copy_(rows.view(-1, *[1] * (value.dim() - 1)).expand_as(value))
    if meta is None:
        meta = dict(dataset_meta=taxonomy_metainfo(taxonomy))
        checkpoint = dict(state_dict=state, meta=meta)
        keep_record(model, checkpoint)
        return checkpoint
    return dict(state_dict=state, meta=meta)


def carry(config, checkpoint, taxonomy=NEW, **options):
    """The head after loading, as {name: first column of the tensor}, and the lines of the log."""
    model = build(config, taxonomy)
    lines = carry_box_heads(model, checkpoint, taxonomy_metainfo(taxonomy), **options)
    model.load_state_dict(checkpoint['state_dict'], strict=False)
    prefix = 'roi_head.bbox_head.'
    head = {
        name.removeprefix(prefix): value.reshape(len(value), -1)[:, 0].tolist()
        for name, value in model.state_dict().items()
        if name.startswith(prefix)
    }
    return head, '\n'.join(lines)


def row(log, part):
    """What a line of the table says of a part."""
    line = next(line for line in log.splitlines() if line.startswith(f'{part} '))
    return line.removeprefix(part).strip()


def test_classes_of_a_stock_head():
    head, log = carry(STOCK, checkpoint_of(STOCK))
    # hat: new. waistcoat: the checkpoint's third class, by its alias. shirt: its first.
    assert head['fc_cls.weight'] == head['fc_cls.bias'] == [-1, 3, 1, 4]
    boxes = [-1] * 4 + [9, 10, 11, 12] + [1, 2, 3, 4]
    assert head['fc_reg.weight'] == head['fc_reg.bias'] == boxes
    assert head['shared_fcs.0.weight'] == head['shared_fcs.1.bias'] == [1, 2, 3]
    assert row(log, 'FC layers') == 'all'
    assert row(log, 'fc_cls') == '2 of 3 classes, background'
    assert row(log, 'fc_reg') == '2 of 3 classes'
    assert [line.split() for line in log.splitlines()[-3:]] == [
        ['0', 'hat', 'new'],
        ['1', 'waistcoat', '2', 'vest'],
        ['2', 'shirt', '0', 'shirt'],
    ]


def test_the_background_moves():
    more = Taxonomy('more', ('shirt', 'skirt', 'vest', 'hat', 'sock'))
    head, _ = carry(STOCK, checkpoint_of(STOCK), more)
    assert head['fc_cls.weight'] == [1, 2, 3, -1, -1, 4]


def test_one_regressor_for_all_classes():
    agnostic = dict(STOCK, reg_class_agnostic=True)
    head, log = carry(agnostic, checkpoint_of(agnostic))
    assert head['fc_reg.weight'] == [1, 2, 3, 4]
    assert row(log, 'fc_reg') == 'all (one for all classes)'
    for there, here in ((STOCK, agnostic), (agnostic, STOCK)):
        head, log = carry(here, checkpoint_of(there))
        assert set(head['fc_reg.weight']) == {-1}
        assert row(log, 'fc_reg').startswith('new (of (')


@pytest.mark.parametrize('kind', [OURS, dict(OURS, grouped=False), MERGED])
def test_regressors_of_groups_by_name(kind):
    config = dict(kind, reg_per='group')
    old = Taxonomy('old', ('shirt', 'skirt', 'vest', 'hat'), [('Top',), ('leg',), ('Top',), ()])
    head, log = carry(config, checkpoint_of(config, old))
    # head: new, as 'hat' is no name of it. top: the first group of the checkpoint.
    assert head['fc_reg.weight'] == head['fc_reg.bias'] == [-1] * 4 + [1, 2, 3, 4]
    assert row(log, 'fc_reg') == '1 of 2 groups'
    # Neither from regressors of classes nor to them.
    head, log = carry(config, checkpoint_of(kind, old))
    assert set(head['fc_reg.weight']) == {-1}
    assert row(log, 'fc_reg') == 'new (the checkpoint does not name the groups of its regressors)'
    head, log = carry(kind, checkpoint_of(config, old))
    assert set(head['fc_reg.weight']) == {-1}
    assert row(log, 'fc_reg') == 'new (of (12, 6))' if kind is MERGED else 'new (of (12, 3))'


def test_counts_of_seesaw():
    ours = dict(OURS, loss_cls=dict(type='HierarchicalCrossEntropyLoss', fine_loss=SEESAW))
    stock = dict(STOCK, loss_cls=SEESAW)
    for there, here, prefix in (
        (stock, stock, ''),
        (stock, ours, 'fine_loss.'),
        (ours, stock, ''),
        (ours, ours, 'fine_loss.'),
    ):
        old = OLD if there is stock else OLD.ungrouped()
        head, log = carry(here, checkpoint_of(there, old))
        assert head[f'loss_cls.{prefix}cum_samples'] == [-1, 3, 1, 4]
        # Two outputs behind the classes: object and background.
        assert head['fc_cls.weight'] == [-1, 3, 1, 4, 5]
        assert row(log, f'loss_cls.{prefix}cum_samples') == '2 of 3 classes, background'


def test_softmax_has_no_place_for_seesaws_background():
    head, log = carry(STOCK, checkpoint_of(dict(STOCK, loss_cls=SEESAW)))
    assert head['fc_cls.weight'] == [-1, 3, 1, -1]
    assert row(log, 'fc_cls') == '2 of 3 classes'


def test_stock_layers_are_the_fine_branch():
    head, log = carry(OURS, checkpoint_of(STOCK))
    assert head['branch_in.weight'] == head['branch_in.bias'] == [-1, -1, -1, 1, 2, 3]
    assert head['branch_fcs.1.0.weight'] == [1, 2, 3]
    assert head['fc_cls.weight'] == [-1, 3, 1, 4]
    assert set(head['coarse_fc_cls.0.weight']) == {-1}
    assert row(log, 'branch 0') == 'new (other layers)'
    assert row(log, 'branch 1') == 'all'
    assert row(log, 'coarse_fc_cls.0') == 'new (its branch is)'


def test_the_fine_branch_is_a_stock_head():
    head, _ = carry(STOCK, checkpoint_of(OURS, OLD.ungrouped()))
    assert head['shared_fcs.0.weight'] == [4, 5, 6]
    assert head['shared_fcs.1.weight'] == [1, 2, 3]
    assert head['fc_cls.weight'] == [-1, 3, 1, 4]


def test_merged_takes_the_fine_branch_and_no_predictor():
    head, log = carry(MERGED, checkpoint_of(STOCK))
    assert head['branch_in.weight'] == [-1, -1, -1, 1, 2, 3]
    assert set(head['fc_cls.weight']) == set(head['fc_reg.weight']) == {-1}
    assert row(log, 'fc_cls') == 'new (its branch is)'


def test_merged_from_merged():
    head, _ = carry(MERGED, checkpoint_of(MERGED, OLD.ungrouped()))
    assert head['branch_in.weight'] == [1, 2, 3, 4, 5, 6]
    assert head['fc_cls.weight'] == [-1, 3, 1, 4]
    # Its predictors have another input than those of a head with one supervision per branch.
    head, log = carry(OURS, checkpoint_of(MERGED, OLD.ungrouped()))
    assert head['branch_in.weight'] == [1, 2, 3, 4, 5, 6]
    assert set(head['fc_cls.weight']) == {-1}
    assert 'new (of (4, 6))' in log and 'new (of (12, 6))' in log


def test_other_layers_give_nothing():
    for there, here in ((STOCK, BASELINE), (BASELINE, STOCK), (BASELINE, OURS), (OURS, BASELINE)):
        old = OLD if there is not OURS else OLD.ungrouped()
        head, log = carry(here, checkpoint_of(there, old))
        assert {value for column in head.values() for value in column} == {-1}
        assert row(log, 'fc_cls') == 'new (its branch is)'
    wide = dict(OURS, fc_out_channels=5)
    head, _ = carry(wide, checkpoint_of(STOCK))
    assert {value for column in head.values() for value in column} == {-1}


def test_groups_by_name():
    # Without groups, each class is a group with its own name; the data may have some of these.
    groups = Taxonomy('new', ('hat', 'shirt', 'coat'), [('head',), ('Skirt',), ('shirt',)])
    for width in ('classes', 'groups'):
        ours = dict(OURS, coarse_width=width, reg_weights=(1, 1))
        head, log = carry(ours, checkpoint_of(ours, OLD.ungrouped()), groups)
        assert head['coarse_fc_cls.0.weight'] == [-1, 2, 1, 4]
        assert head['coarse_fc_reg.0.weight'] == [-1] * 4 + [5, 6, 7, 8] + [1, 2, 3, 4]
        assert head['branch_in.weight'] == [1, 2, 3, 4, 5, 6]
        assert row(log, 'coarse_fc_cls.0') == '2 of 3 groups, background'


def test_fewer_groups_than_outputs():
    ours = dict(OURS)
    head, log = carry(ours, checkpoint_of(ours, OLD.ungrouped()), NEW)
    # Groups head and top are not in the checkpoint, the third output is unused.
    assert head['coarse_fc_cls.0.weight'] == [-1, -1, -1, 4]
    assert row(log, 'coarse_fc_cls.0') == '0 of 2 groups, background'


def test_groups_that_the_head_was_trained_with():
    old = Taxonomy('new', NEW.classes, [('HEAD',), ('Top',), ('Top',)])
    head, _ = carry(OURS, checkpoint_of(OURS, old))
    # The groups are the same, so that the output behind them is, too.
    assert head['coarse_fc_cls.0.weight'] == [1, 2, 3, 4]
    more = Taxonomy('new', ('hat', 'shirt', 'sock'), [('head',), ('top',), ('foot',)])
    head, _ = carry(OURS, checkpoint_of(OURS, old), more)
    assert head['coarse_fc_cls.0.weight'] == [1, 2, -1, 4]
    # The data names groups, but this head learned classes on its coarse branch.
    head, _ = carry(OURS, checkpoint_of(dict(OURS, grouped=False), NEW))
    assert head['coarse_fc_cls.0.weight'] == [-1, -1, -1, 4]
    assert head['fc_cls.weight'] == [1, 2, 3, 4]


def test_a_head_that_does_not_tell_its_groups():
    meta = dict(dataset_meta=taxonomy_metainfo(NEW))
    head, log = carry(OURS, checkpoint_of(OURS, NEW, meta=meta))
    assert set(head['coarse_fc_cls.0.weight']) == {-1}
    assert head['fc_cls.weight'] == [1, 2, 3, 4]
    assert (
        row(log, 'coarse_fc_cls.0') == 'new (the checkpoint does not name the groups of its head)'
    )


@pytest.mark.parametrize(
    'meta',
    [{}, dict(CLASSES=COCO), dict(dataset_meta=dict(classes=COCO))],
    ids=['stripped', 'MMDetection 2', 'MMDetection 3'],
)
@pytest.mark.parametrize('config', [STOCK, BASELINE, OURS, dict(OURS, grouped=False), MERGED])
def test_stock_coco_weights_give_no_head(config, meta):
    """At 80 classes, too, where all predictors would fit by shape."""
    coco = Taxonomy('coco', COCO).ungrouped()
    for taxonomy in (NEW, coco):
        checkpoint = checkpoint_of(STOCK, coco, meta=meta)
        head, log = carry(config, checkpoint, taxonomy)
        assert {value for column in head.values() for value in column} == {-1}
        assert log == (
            'roi_head.bbox_head: not taken (COCO weights: not every variant could take them); '
            'load_box_head=True takes what fits'
        )
        assert 'rpn_head.weight' in checkpoint['state_dict']


@pytest.mark.parametrize('meta', [{}, dict(CLASSES=COCO)])
def test_stock_coco_head_if_asked_for(meta):
    bags = Taxonomy('bags', ('purse', 'handbag', 'Tie'), [('bag',), ('bag',), ()])
    coco = Taxonomy('coco', COCO)
    head, log = carry(OURS, checkpoint_of(STOCK, coco, meta=meta), bags, load_box_head=True)
    handbag, tie = COCO.index('handbag') + 1, COCO.index('tie') + 1
    assert head['fc_cls.weight'] == [-1, handbag, tie, 81]
    assert head['branch_fcs.1.0.weight'] == [1, 2, 3]
    assert f'{handbag - 1} handbag' in log


def test_no_head_if_asked_for():
    head, log = carry(STOCK, checkpoint_of(STOCK), load_box_head=False)
    assert {value for column in head.values() for value in column} == {-1}
    assert log == 'roi_head.bbox_head: not taken; load_box_head=True takes what fits'


def test_unknown_classes():
    head, log = carry(STOCK, checkpoint_of(STOCK, meta={}))
    assert head['shared_fcs.0.weight'] == [1, 2, 3]
    assert set(head['fc_cls.weight']) == set(head['fc_reg.weight']) == {-1}
    assert row(log, 'fc_cls') == 'new (the checkpoint does not name its classes)'


def test_classes_in_a_record_of_mmdetection_2():
    head, _ = carry(STOCK, checkpoint_of(STOCK, meta=dict(CLASSES=OLD.classes)))
    assert head['fc_cls.weight'] == [-1, 3, 1, 4]


def test_a_record_of_other_classes_than_the_head_has():
    meta = dict(dataset_meta=dict(classes=('shirt',)))
    head, log = carry(STOCK, checkpoint_of(STOCK, meta=meta))
    assert set(head['fc_cls.weight']) == set(head['fc_reg.weight']) == {-1}
    assert row(log, 'fc_cls') == 'new (of (4, 3))'


def test_names_of_a_wrapped_model():
    checkpoint = checkpoint_of(STOCK)
    checkpoint['state_dict'] = {
        f'module.{name}': value for name, value in checkpoint['state_dict'].items()
    }
    head, _ = carry(STOCK, checkpoint)
    assert head['fc_cls.weight'] == [-1, 3, 1, 4]


def test_no_box_head_in_the_checkpoint():
    checkpoint = dict(state_dict={'rpn_head.weight': torch.ones(1, 1)})
    head, log = carry(STOCK, checkpoint)
    assert {value for column in head.values() for value in column} == {-1}
    assert log == ''


class Cascade(nn.Module):
    """Three box heads, the second without a regressor for each class, and a mask head."""

    def __init__(self, num_classes):
        super().__init__()
        heads = [STOCK, dict(STOCK, reg_class_agnostic=True), STOCK]
        mask = dict(type='FCNMaskHead', num_convs=0, in_channels=1, conv_out_channels=1)
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = nn.ModuleList(
            MODELS.build(dict(head, num_classes=num_classes)) for head in heads
        )
        self.roi_head.mask_head = MODELS.build(dict(mask, num_classes=num_classes))


def test_every_head_of_a_cascade_and_its_masks():
    old, model = Cascade(3).state_dict(), Cascade(3)
    for name, value in old.items():
        rows = torch.arange(1.0, len(value) + 1)
        value.copy_(rows.view(-1, *[1] * (value.dim() - 1)).expand_as(value))
        model.state_dict()[name].fill_(-1)
    checkpoint = dict(state_dict=old, meta=dict(dataset_meta=dict(classes=OLD.classes)))
    log = '\n'.join(carry_box_heads(model, checkpoint, taxonomy_metainfo(NEW)))
    model.load_state_dict(checkpoint['state_dict'])
    for head in model.roi_head.bbox_head:
        assert head.fc_cls.bias.tolist() == [-1, 3, 1, 4]
    boxes = [head.fc_reg.bias.tolist() for head in model.roi_head.bbox_head]
    assert boxes[0] == boxes[2] == [-1] * 4 + [9, 10, 11, 12] + [1, 2, 3, 4]
    assert boxes[1] == [1, 2, 3, 4]
    assert model.roi_head.mask_head.conv_logits.bias.tolist() == [-1, 3, 1]
    assert all(f'roi_head.bbox_head.{number}, by the names' in log for number in range(3))
    assert 'mask_head.conv_logits, by the names of classes: 2 of 3 classes' in log
