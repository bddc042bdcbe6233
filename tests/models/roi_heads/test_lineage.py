"""Lineages of detections: stock detections stay, probabilities come from the RoI of each box."""

from __future__ import annotations

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from mmdet_multigrain.models.roi_heads.lineage import add_lineage, lineages
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from ..bbox_heads.made_heads import SMALL
from ..bbox_heads.test_multi_grained_in_roi_heads import one_image, roi_head_config

HEADS = {
    'stock': dict(type='Shared2FCBBoxHead', num_classes=5),
    'agnostic': dict(type='Shared2FCBBoxHead', num_classes=5, reg_class_agnostic=True),
    'wgroup': dict(type='MultiGrainedBBoxHead'),
    'fused': dict(type='MultiGrainedBBoxHead', fusion=dict(type='ConditionalFusion', gamma=1.0)),
    'wogroup': dict(type='MultiGrainedBBoxHead', grouped=False),
    'merged': dict(type='MergedBBoxHead'),
}
KINDS = ['StandardRoIHead', 'CascadeRoIHead']


def config_of(kind, name, taxonomy):
    head = {**SMALL, **HEADS[name]}
    if head['type'] != 'Shared2FCBBoxHead':
        head['taxonomy'] = taxonomy.to_dict()
    return roi_head_config(kind, head)


def detect(config, *, num=2, score_thr=0.01, cfg=None):
    """Detections of `num` images by a head with wide random weights."""
    torch.manual_seed(0)
    roi_head = MODELS.build(config).eval()
    torch.manual_seed(1)
    for parameter in roi_head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    features = (torch.randn(num, 4, 16, 16),)
    samples, proposals = zip(*(one_image(False) for _ in range(num)), strict=True)
    metas = [
        {**sample.metainfo, 'scale_factor': (0.5, 0.8), 'img_shape': (64, 64)} for sample in samples
    ]
    cfg = cfg or ConfigDict(
        score_thr=score_thr, nms=dict(type='nms', iou_threshold=0.5), max_per_img=30
    )
    with torch.no_grad():
        found = roi_head.predict_bbox(features, metas, [*proposals], cfg, rescale=True)
        raw = roi_head.predict_bbox(features, metas, [*proposals], None, rescale=True)
    return found, raw


def with_lineage(config, taxonomy):
    model = dict(type='FasterRCNN', roi_head=config)
    add_lineage(model, taxonomy)
    return config


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('kind', KINDS)
def test_detections_are_stock_and_lineages_those_of_their_rois(kind, name, garments):
    stock, raw = detect(config_of(kind, name, garments))
    found, _ = detect(with_lineage(config_of(kind, name, garments), garments))
    assert sum(map(len, stock)) > 10
    for theirs, ours, every in zip(stock, found, raw, strict=True):
        for key in ('bboxes', 'scores', 'labels'):
            assert torch.equal(ours[key], theirs[key])
        assert ours.rois.dtype == torch.int64 and ours.lineage.dtype == torch.float32
        for score, label, box, roi, nodes in zip(
            ours.scores, ours.labels, ours.bboxes, ours.rois, ours.lineage, strict=True
        ):
            own = every.scores[roi]
            assert own[label] == score
            boxes = every.bboxes[roi].view(-1, 4)
            assert torch.equal(boxes[label if len(boxes) > 1 else 0], box)
            group = [g == garments.group_index(0)[label] for g in garments.group_index(0)]
            of_class = own[label] / own[:-1].sum()
            of_group = own[:-1][torch.tensor(group)].sum() / own[:-1].sum()
            torch.testing.assert_close(nodes, torch.stack([of_class, of_group]))


def test_without_detections_the_fields_are_there(garments):
    config = with_lineage(config_of('StandardRoIHead', 'wgroup', garments), garments)
    for image in detect(config, score_thr=1.0)[0]:
        assert image.lineage.shape == (0, 2) and image.rois.shape == image.labels.shape == (0,)
        assert image.bboxes.shape == (0, 4)


def test_three_levels_by_hand():
    taxonomy = Taxonomy(
        'pets', ['cod', 'tuna', 'cat', 'hat'], paths=[['animal', 'fish']] * 2 + [['animal'], []]
    )
    scores = torch.tensor([[0.1, 0.2, 0.1, 0.1]]).repeat(4, 1)
    expected = [[0.2, 0.6, 0.8], [0.4, 0.6, 0.8], [0.2, 0.2, 0.8], [0.2, 0.2, 0.2]]
    torch.testing.assert_close(lineages(scores, torch.arange(4), taxonomy), torch.tensor(expected))


def test_rounding_never_lets_a_group_fall_below_its_class_nor_above_1(garments):
    torch.manual_seed(0)
    scores = torch.rand(20_000, 5) ** 8
    scores[::2] *= torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    nodes = lineages(scores, torch.arange(20_000) % 5, garments)
    assert (nodes.diff(dim=1) >= 0).all() and nodes.max() == 1 and nodes.isfinite().all()
    assert lineages(torch.zeros(1, 5), torch.tensor([2]), garments).tolist() == [[0.0, 0.0]]


def test_federated_heads_too_and_twice_is_once(garments):
    config = roi_head_config('FederatedStandardRoIHead', {**SMALL, **HEADS['stock']})
    once = dict(with_lineage(config, garments))
    assert once['type'] == 'LineageStandardRoIHead'
    assert with_lineage(config, garments) == once


def test_refusals(garments):
    with pytest.raises(ConfigError, match='RetinaNet has no RoI head'):
        add_lineage(dict(type='RetinaNet'), garments)
    with pytest.raises(ConfigError, match='of type GridRoIHead cannot tell'):
        add_lineage(dict(type='GridRCNN', roi_head=dict(type='GridRoIHead')), garments)
    six = Taxonomy('six', list('abcdef'))
    with pytest.raises(ConfigError, match='has 6 classes, the box head 5'):
        MODELS.build(with_lineage(config_of('StandardRoIHead', 'stock', garments), six))
    with pytest.raises(ConfigError, match='has 6 classes, the box head 5'):
        MODELS.build(with_lineage(config_of('CascadeRoIHead', 'stock', garments), six))
    apart = config_of('StandardRoIHead', 'wgroup', garments)
    apart['bbox_head']['added'] = dict(classes=1)
    with pytest.raises(ConfigError, match='^lineages start from one softmax .* leave added of the'):
        MODELS.build(with_lineage(apart, garments))
    grouped = ConfigDict(groups=[0, 0, 1, 1, 1], score_thr=0.0, nms=None, max_per_img=5)
    config = with_lineage(config_of('StandardRoIHead', 'wgroup', garments), garments)
    with pytest.raises(ConfigError, match='without a level'):
        detect(config, cfg=grouped)


@pytest.mark.parametrize('tree', ['kind', 'season'])
def test_of_several_trees_the_main_one_counts(two_trees, tree):
    taxonomy = two_trees.with_main_tree(tree)
    config = with_lineage(config_of('StandardRoIHead', 'wgroup', taxonomy), taxonomy)
    (found, *_), (raw, *_) = detect(config)
    expected = lineages(raw.scores[found.rois, :-1], found.labels, two_trees.tree(tree))
    assert len(found) and torch.equal(found.lineage, expected)
    assert found.lineage.size(1) == {'kind': 3, 'season': 2}[tree]
    given = {**config, 'taxonomy': taxonomy.to_dict()}
    assert torch.equal(detect(given)[0][0].lineage, expected)
