"""The key `test_level`: what it sets, in which configs."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdet_multigrain.engine.runner.resolver import resolve
from mmdet_multigrain.engine.runner.test_level import set_groups, set_level, set_lineages
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, TaxonomyError

TAXONOMY = {'groups': {'top': ['vest', 'sling'], 'bottom': ['shorts']}}


def resolved(repository, name, level, **more):
    cfg = Config.fromfile(repository / 'configs' / 'multigrain' / f'{name}.py')
    for key, value in more.items():
        cfg[key] = value
    cfg.test_level = level
    resolve(cfg, checkpoint_meta={})
    return cfg


def set_in(cfg):
    """What the level is in the model, and in both metrics."""
    rcnn = cfg.model.test_cfg.rcnn
    metrics = [cfg.val_evaluator, cfg.test_evaluator]
    assert metrics[0].get('level') == metrics[1].get('level')
    return rcnn.get('groups'), rcnn.get('group_score'), metrics[1].level, metrics[1].group_score


@pytest.mark.parametrize('name', ['wgroup', 'wogroup', 'merged'])
def test_our_heads_detect_groups(repository, name):
    cfg = resolved(repository, f'{name}_r18_fpn_custom', 'coarse', taxonomy=TAXONOMY)
    assert set_in(cfg) == ([0, 0, 1], 'sum', 'coarse', 'sum')
    cfg.test_level = 'object'
    resolve(cfg, checkpoint_meta={})
    assert set_in(cfg) == ([0, 0, 0], 'sum', 'object', 'sum')
    cfg.model.test_cfg.rcnn.group_score, cfg.test_level = 'max', 0
    resolve(cfg, checkpoint_meta={})
    assert set_in(cfg) == ([0, 0, 1], 'max', 0, 'max')


@pytest.mark.parametrize('name', ['nodes_rtmdet-tiny', 'nodes_dino_r50'])
def test_heads_with_outputs_for_groups_detect_these(repository, name):
    cfg = resolved(repository, f'{name}_custom', 'coarse', taxonomy=TAXONOMY)
    metric = cfg.test_evaluator
    assert cfg.model.test_cfg.groups == [0, 0, 1] and 'rcnn' not in cfg.model.test_cfg
    assert (metric.level, metric.group_score) == ('coarse', 'own')
    model = dict(bbox_head=dict(type='NodeDINOHead'))
    assert set_groups(dict(type='DetTTAModel', module=model), (0, 0)) == 'own'
    assert model['test_cfg'] == dict(groups=[0, 0])


def test_the_groups_are_those_to_evaluate_with(repository):
    other = {'groups': {'a': ['vest'], 'b': ['sling', 'shorts']}}
    cfg = resolved(
        repository, 'wgroup_r18_fpn_custom', 'coarse', taxonomy=TAXONOMY, eval_taxonomy=other
    )
    assert set_in(cfg)[0] == [0, 1, 1]


def test_stock_heads_go_on_with_classes(repository):
    for name in ('faster-rcnn', 'baseline'):
        cfg = resolved(repository, f'{name}_r18_fpn_custom', 'coarse', taxonomy=TAXONOMY)
        assert set_in(cfg) == (None, None, 'coarse', None)
    assert set_groups(dict(type='RetinaNet', test_cfg=dict(score_thr=0.1)), [0, 0]) is None


def test_data_sets_with_a_taxonomy_of_their_own(repository):
    cfg = resolved(repository, 'wgroup_r18_fpn_synthetic', 'coarse')
    assert set_in(cfg)[0] == list(Taxonomy.load('deepfashion2').group_index(0))


def test_heads_of_a_cascade_and_wrapped_models():
    ours, stock = dict(type='MergedBBoxHead'), dict(type='Shared2FCBBoxHead')

    def score(*heads, **more):
        rcnn = dict(score_thr=0.1)
        model = dict(roi_head=dict(bbox_head=list(heads), **more), test_cfg=dict(rcnn=rcnn))
        how = set_groups(dict(type='DetTTAModel', module=model), (0, 0))
        assert rcnn.get('groups') == (None if how is None else [0, 0])
        return how

    assert score(ours, ours) == 'sum' and score(ours, stock) is None
    mask = dict(type='FCNMaskHead', num_classes=2)
    with pytest.raises(ConfigError, match='a mask for each class'):
        score(ours, mask_head=mask)
    assert score(ours, mask_head=dict(mask, class_agnostic=True)) == 'sum'


def test_levels_that_cannot_be_tested(repository):
    with pytest.raises(TaxonomyError, match="level '7' is not in taxonomy"):
        resolved(repository, 'wgroup_r18_fpn_synthetic', '7')
    with pytest.raises(ConfigError, match='has no taxonomy; use SuperclassCocoDataset'):
        set_level({'model': {}}, 'coarse', iter([dict(type='CocoDataset')]))
    synthetic = dict(type='DeepFashion2Dataset')
    cfg = {'model': {}, 'test_evaluator': [dict(type='MultiGrainedCocoMetric')]}
    set_level(cfg, 'object', iter([synthetic]))
    assert cfg['test_evaluator'][0]['level'] == 'object'


@pytest.mark.parametrize('name', ['wgroup', 'faster-rcnn'])
def test_lineages_along_the_taxonomy_of_the_test_data(repository, name):
    other = {'groups': {'a': ['vest'], 'b': ['sling', 'shorts']}}
    path = repository / 'configs' / 'multigrain' / f'{name}_r18_fpn_custom.py'
    cfg = Config.fromfile(path)
    cfg.taxonomy, cfg.eval_taxonomy = TAXONOMY, other
    resolve(cfg, checkpoint_meta={})
    set_lineages(cfg, iter([cfg.test_dataloader.dataset]))
    roi_head = cfg.model.roi_head
    assert roi_head.type == 'LineageStandardRoIHead'
    assert Taxonomy.load(roi_head.taxonomy.to_dict()) == Taxonomy.load(other)
    resolve(cfg, checkpoint_meta={})  # as when the runner is built
    assert Taxonomy.load(cfg.model.roi_head.taxonomy.to_dict()) == Taxonomy.load(other)
    cfg.test_level = 'coarse'
    with pytest.raises(ConfigError, match=r'^lineages start from classes, .*; leave one out$'):
        set_lineages(cfg, iter([cfg.test_dataloader.dataset]))


def test_lineages_need_a_taxonomy():
    with pytest.raises(ConfigError, match='^lineages: the test data set has no taxonomy; use Sup'):
        set_lineages({'model': {}}, iter([{'type': 'CocoDataset'}]))
