"""A detector with more classes: old rows to the bit, new rows by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

import mmdet_multigrain.register  # noqa: F401
from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.checkpoint.added_classes import in_old_order, with_classes
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.engine.checkpoint.surgery import add_classes, taxonomy_of
from mmdet_multigrain.engine.checkpoint.training_record import keep_record, record_of
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError

from .test_box_heads import Detector

SMALL = dict(in_channels=2, roi_feat_size=2, fc_out_channels=3)
STOCK = dict(type='Shared2FCBBoxHead', **SMALL)
OURS = dict(type='MultiGrainedBBoxHead', **SMALL)
MERGED = dict(type='MergedBBoxHead', **SMALL)
SEESAW = dict(type='SeesawLoss')
KINDS = {
    'stock': STOCK,
    'stock, agnostic': dict(STOCK, reg_class_agnostic=True),
    'stock, seesaw': dict(STOCK, loss_cls=SEESAW),
    'wgroup': OURS,
    'wgroup, narrow': dict(OURS, coarse_width='groups'),
    'wgroup, fusion': dict(OURS, fusion=dict(type='ConditionalFusion', gamma=1)),
    'wgroup, coarse boxes': dict(OURS, reg_weights='all'),
    'wgroup, seesaw': dict(OURS, loss_cls=dict(type='HierarchicalCrossEntropyLoss', fine_loss=SEESAW)),
    'wgroup, boxes of groups': dict(OURS, reg_per='group'),
    'wgroup, agnostic': dict(OURS, reg_per='agnostic', reg_weights='all'),
    'wogroup': dict(OURS, grouped=False),
    'wogroup, boxes of groups': dict(OURS, grouped=False, reg_per='group'),
    'merged': MERGED,
    'merged, boxes of groups': dict(MERGED, reg_per='group'),
}  # fmt: skip
HEAD = 'roi_head.bbox_head.'


def build(config, taxonomy, seed=0):
    config = copy.deepcopy(config)
    if config['type'] == 'Shared2FCBBoxHead':
        config['num_classes'] = taxonomy.num_classes
    else:
        config['taxonomy'] = taxonomy
    if config.get('loss_cls', {}).get('type') == 'SeesawLoss':
        config['loss_cls']['num_classes'] = taxonomy.num_classes
    if config.get('reg_weights') == 'all':
        config['reg_weights'] = (1,) * taxonomy.num_levels
    torch.manual_seed(seed)
    model = Detector(MODELS.build(config)).eval().requires_grad_(False)
    for value in model.state_dict().values():
        value.copy_(torch.randn_like(value))
    return model


def checkpoint_of(model, taxonomy):
    checkpoint = dict(
        state_dict=model.state_dict(),
        meta=dict(dataset_meta=taxonomy_metainfo(taxonomy), iter=7, exact_resume={}, cfg='x'),
        optimizer={},
        param_schedulers=[],
        message_hub={},
    )
    keep_record(model, checkpoint)
    return checkpoint


def probabilities(head, scores):
    """As a RoI head makes them for detections."""
    if head.custom_activation:
        return head.loss_cls.get_activation(scores)
    return scores.softmax(1)


@pytest.mark.parametrize('levels', [2, 3])
@pytest.mark.parametrize('kind', KINDS)
def test_the_old_classes_stay(kind, levels, garments, three_levels, tmp_path):
    """Loaded by MMEngine, which accepts neither a missing nor an unexpected tensor."""
    taxonomy = garments if levels == 2 else three_levels
    model = build(KINDS[kind], taxonomy)
    before = checkpoint_of(model, taxonomy)
    same, _ = add_classes(before, taxonomy, path='a.pth')
    assert same['state_dict'].keys() == before['state_dict'].keys()
    for name, value in before['state_dict'].items():
        assert same['state_dict'][name].numpy().tobytes() == value.numpy().tobytes(), name

    group = 'top' if levels == 2 else 'upper'
    # With fusion, scores follow the coarse branch, whose softmax a new group has a part in.
    alone = group if 'fusion' in kind else None
    grown = with_classes(taxonomy, {'kimono': group, 'sock': alone})
    after, _ = add_classes(before, grown, path='a.pth')
    assert not {'optimizer', 'param_schedulers', 'message_hub'} & after.keys()
    for part in ('weight', 'bias'):  # but the background's, which comes last
        rows = after['state_dict'][f'{HEAD}fc_cls.{part}']
        assert rows[:5].equal(before['state_dict'][f'{HEAD}fc_cls.{part}'][:5])
        assert rows[7:].equal(before['state_dict'][f'{HEAD}fc_cls.{part}'][5:])
    after['state_dict'][f'{HEAD}fc_cls.bias'][5:7] = -math.inf
    torch.save(after, tmp_path / 'b.pth')
    assert read_checkpoint(str(tmp_path / 'b.pth'))  # nothing but weights
    wide = build(KINDS[kind], grown, seed=1)
    load_checkpoint(wide, str(tmp_path / 'b.pth'), strict=True)
    assert record_of(wide) == after['meta']['trained_as']

    features = torch.randn(9, 2, 2, 2)
    heads = model.roi_head.bbox_head, wide.roi_head.bbox_head
    (scores, deltas), (wide_scores, wide_deltas) = (head(features) for head in heads)
    old, new = (probabilities(*pair) for pair in zip(heads, (scores, wide_scores), strict=True))
    assert new[:, 5:7].max() == 0
    assert torch.allclose(new[:, [0, 1, 2, 3, 4, 7]], old, rtol=0, atol=1e-6)
    assert torch.allclose(wide_deltas[:, : deltas.shape[1]], deltas, rtol=0, atol=1e-6)


def grow(added, checkpoint, taxonomy, **options):
    after, table = add_classes(checkpoint, with_classes(taxonomy, added), path='a.pth', **options)
    names = {name.removeprefix(HEAD): value for name, value in after['state_dict'].items()}
    return names, table, after


def test_rows_by_hand(garments):
    """Of shirt and vest for 'kimono'; of all for 'sock', a group of its own."""
    before = checkpoint_of(build(OURS, garments), garments)
    old = {name.removeprefix(HEAD): value for name, value in before['state_dict'].items()}
    new, table, after = grow({'kimono': 'top', 'sock': None}, before, garments)
    assert torch.allclose(new['fc_cls.weight'][5], old['fc_cls.weight'][[0, 2]].mean(0))
    assert torch.allclose(new['fc_cls.bias'][6], old['fc_cls.bias'][:5].mean())
    boxes = old['fc_reg.weight'].view(5, 4, 3)
    assert new['fc_reg.weight'][:20].equal(old['fc_reg.weight'])
    assert torch.allclose(new['fc_reg.weight'][20:24], boxes[[0, 2]].mean(0))
    # Outputs of the coarse branch: 3 groups, 2 of none, background; now 4, 3 of none.
    coarse, name = old['coarse_fc_cls.0.bias'], 'coarse_fc_cls.0.bias'
    expected = [*coarse[:3], coarse[:3].mean(), *coarse[3:5], -20, coarse[5]]
    assert new[name].tolist() == pytest.approx([float(value) for value in expected])
    assert not new['coarse_fc_cls.0.weight'][6].any()
    lines = [line.split() for line in table.splitlines()]
    assert ['5', 'kimono', 'top', '-', "'shirt',", "'vest'"] in lines
    assert [*[HEAD + name], '6', '2', "siblings'", 'mean,', '1', 'unused'] in lines
    assert after['meta']['dataset_meta']['classes'] == (*garments.classes, 'kimono', 'sock')
    assert after['meta']['added_classes'] == [
        {'classes': ['kimono', 'sock'], 'labels': [0, 1, 2, 3, 4], 'init': 'siblings'}
    ]
    assert after['meta']['iter'] == 7 and 'cfg' not in after['meta']
    twice, _, last = grow({'obi': 'bottom'}, after, taxonomy_of(after, ''))
    assert twice['fc_cls.weight'].shape[0] == 9
    assert [part['classes'] for part in last['meta']['added_classes']] == [
        ['kimono', 'sock'],
        ['obi'],
    ]


@pytest.mark.parametrize('boxes', [1, 3, 10, 400])
def test_biases_follow_the_boxes(garments, boxes):
    """Within the siblings' range; those of groups by the boxes of groups."""
    before = checkpoint_of(build(OURS, garments), garments)
    before['state_dict'][f'{HEAD}fc_cls.bias'][:5] = torch.tensor([1.0, 0, 2, 0, 0])
    before['state_dict'][f'{HEAD}coarse_fc_cls.0.bias'][:3] = torch.tensor([-4.0, 3, 9])
    counts = dict(enumerate([4, 5, 8, 2, 11])) | {5: boxes, 6: boxes}
    new, _, _ = grow({'kimono': 'top', 'sock': None}, before, garments, counts=counts)
    by_boxes = 1.5 + math.log(boxes / 6)
    assert float(new['fc_cls.bias'][5]) == pytest.approx(min(max(by_boxes, 1), 2))
    by_boxes = 8 / 3 + math.log(boxes / 10)  # tops 12, bottoms 16, hats 2
    assert float(new['coarse_fc_cls.0.bias'][3]) == pytest.approx(min(max(by_boxes, -4), 9))
    unknown, _, _ = grow({'kimono': 'top'}, before, garments, counts={5: boxes})
    assert float(unknown['fc_cls.bias'][5]) == 1.5


def test_imprinted_and_random_rows(garments):
    before = checkpoint_of(build(OURS, garments), garments)
    old = before['state_dict'][f'{HEAD}fc_cls.weight']
    features = {
        f'{HEAD}fc_cls': torch.tensor([[0.0, 3, 4], [9, 0, 0]]),
        f'{HEAD}coarse_fc_cls.0': torch.tensor([[1.0, 0, 0], [0, 2, 0]]),
    }
    added = {'kimono': 'top', 'sock': None}
    new, table, _ = grow(added, before, garments, init='imprint', features=features)
    norm = float(old[[0, 2]].norm(dim=1).mean())
    assert new['fc_cls.weight'][5].tolist() == pytest.approx([0, norm * 0.6, norm * 0.8])
    assert new['coarse_fc_cls.0.weight'][3, [0, 2]].tolist() == [0, 0]
    assert 'imprinted' in table
    first, second, other = (
        grow(added, before, garments, init='random', seed=seed)[0] for seed in (0, 0, 1)
    )
    assert first['fc_cls.weight'].equal(second['fc_cls.weight'])
    assert not first['fc_cls.weight'].equal(other['fc_cls.weight'])
    assert 0 < float(first['fc_cls.weight'][5:7].abs().max()) < 0.05
    assert 0 < float(first['fc_reg.weight'][20:].abs().max()) < 0.005


def test_a_new_group_and_regressors_of_groups(garments):
    config = dict(OURS, reg_per='group', coarse_width='groups')
    before = checkpoint_of(build(config, garments), garments)
    classes, paths = (*garments.classes, 'robe', 'kimono'), [*garments.paths, ('gown',), ('gown',)]
    grown = in_old_order(garments, Taxonomy('new', classes, paths))
    after, _ = add_classes(before, grown, path='a.pth')
    build(config, grown).load_state_dict(after['state_dict'])
    old, new = (part['state_dict'][f'{HEAD}fc_reg.bias'] for part in (before, after))
    assert len(old) == 12 and len(new) == 16 and new[:12].equal(old)
    assert torch.allclose(new[12:], old.view(3, 4).mean(0))


def test_the_moving_average_and_other_heads_grow(garments):
    model = build(STOCK, garments)
    model.roi_head.mask_head = nn.Module()
    model.roi_head.mask_head.conv_logits = nn.Conv2d(2, 5, 1)
    before = checkpoint_of(model, garments)
    before['ema_state_dict'] = {
        'steps': torch.tensor(3),
        **{f'module.{key}': value + 1 for key, value in before['state_dict'].items()},
    }
    new, table, after = grow({'kimono': 'top'}, before, garments)
    ema = after['ema_state_dict']
    assert ema['steps'] == 3 and 'module.' not in table
    assert torch.allclose(ema[f'module.{HEAD}fc_cls.weight'], new['fc_cls.weight'] + 1, atol=1e-6)
    masks = after['state_dict']['roi_head.mask_head.conv_logits.weight']
    assert torch.allclose(masks[5], masks[[0, 2]].mean(0))


def test_counts_of_norcal_grow(garments):
    model = Detector(MODELS.build(dict(OURS, taxonomy=garments, fusion=dict(type='NorCal'))))
    before = checkpoint_of(model, garments)
    name = f'{HEAD}loss_cls.fusion.class_counts'
    before['state_dict'][name] = torch.arange(1, 6)
    added = {'kimono': 'top', 'sock': None}
    for counts, new in (({5: 9}, [9, 0]), ({}, [0, 0])):
        _, _, after = grow(added, before, garments, counts=counts)
        assert after['state_dict'][name].tolist() == [1, 2, 3, 4, 5, *new]


def test_each_stage_of_a_cascade(garments):
    model = build(OURS, garments)
    stages = [build(OURS, garments, seed).roi_head.bbox_head for seed in (1, 2)]
    model.roi_head.bbox_head = nn.ModuleList(stages)
    _, _, after = grow({'kimono': 'top'}, checkpoint_of(model, garments), garments)
    grown = with_classes(garments, {'kimono': 'top'})
    stages = [build(OURS, grown).roi_head.bbox_head for _ in range(2)]
    model.roi_head.bbox_head = nn.ModuleList(stages)
    model.load_state_dict(after['state_dict'])
    assert record_of(model) == after['meta']['trained_as']


def test_stock_weights_without_a_taxonomy():
    classes = ('cat', 'dog')
    model = build(STOCK, Taxonomy('t', classes))
    before = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes)))
    new, _, after = grow({'fish': None}, before, taxonomy_of(before, 'a.pth'))
    assert new['fc_cls.weight'].shape[0] == 4
    assert {*after['meta']['dataset_meta']} == {'classes', 'palette'}
    assert after['meta']['dataset_meta']['classes'] == ('cat', 'dog', 'fish')
    before['meta'] = {}
    with pytest.raises(CheckpointError, match='a.pth: does not name its classes; take a'):
        taxonomy_of(before, 'a.pth')


def test_what_cannot_grow(garments):
    def refused(model, message, taxonomy=garments):
        before = checkpoint_of(model, taxonomy)
        if 'earlier version' in message:
            del before['meta']['trained_as']
        with pytest.raises(CheckpointError, match=message):
            grow({'kimono': None}, before, taxonomy)

    refused(nn.Linear(1, 1), 'a.pth: has no box head with fc_cls; take a two-stage')
    refused(build(OURS, garments), 'does not name the groups .* an earlier version')
    one = Taxonomy('one', ['a'])
    refused(build(STOCK, one), 'fc_reg is of its only class or of all', one)
    model = build(STOCK, garments)
    model.roi_head.point_head = nn.Linear(1, 1)
    refused(model, 'point_head.weight cannot grow')
