"""Every config loads, builds its model, and differs from its neighbors only where it should."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData

from mmdet_multigrain.engine.checkpoint.frozen import frozen_at_random
from mmdet_multigrain.launch import load_config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'multigrain'
VARIANTS = ('baseline', 'wide', 'wogroup', 'merged', 'wgroup')
FAMILIES = (
    'r101_fpn_df2',
    'r101_fpn_oiv4c',
    'r18_fpn_synthetic',
    'r18_fpn_custom',
    'lite0_fpn_custom',
    'r50_fpn_custom',
)
STOCK = 'faster-rcnn'
ONE_STAGE = ('rtmdet-tiny', 'dino_r50')  # each stock, and with nodes
COMPOSED = ('wgroup_seesaw_r101_fpn_df2', 'wgroup_rfs_r101_fpn_df2')
LONG_TAIL = ('lite0_fpn_custom', 'r50_fpn_custom')


@pytest.mark.filterwarnings('ignore::RuntimeWarning')  # it is imported already
@pytest.mark.parametrize('name', ['__main__', 'mmdet_multigrain.configs'])
def test_the_folder_is_printed_when_the_module_is_run(name, capsys):
    runpy.run_module('mmdet_multigrain.configs', run_name=name)
    assert capsys.readouterr().out == (f'{CONFIGS.parent}\n' if name == '__main__' else '')


@pytest.fixture
def custom_data(tmp_path, monkeypatch):
    """A user's own training file: seven classes, two superclasses, one class alone."""
    groups = {'top': ['shirt', 'vest', 'coat'], 'bottom': ['skirt', 'shorts', 'jeans']}
    names = [(name, group) for group, members in groups.items() for name in members]
    names.append(('hat', ''))
    categories = [
        dict(id=number, name=name, supercategory=group)
        for number, (name, group) in enumerate(names, start=1)
    ]
    document = dict(images=[], annotations=[], categories=categories)
    (tmp_path / 'train.json').write_text(json.dumps(document))
    monkeypatch.setenv('MULTIGRAIN_DATA', str(tmp_path))
    for name in ('TRAIN_ANN', 'VAL_ANN', 'TEST_ANN', 'IMAGES', 'VAL_IMAGES', 'TAXONOMY'):
        monkeypatch.delenv(f'MULTIGRAIN_{name}', raising=False)
    return tmp_path


def load(name: str) -> Config:
    return load_config(CONFIGS / f'{name}.py')


def num_parameters(cfg: Config) -> int:
    return sum(parameter.numel() for parameter in MODELS.build(cfg.model).parameters())


def flatten(value, prefix=''):
    """A config as {dotted key: leaf value}."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {prefix: value}
    flat = {}
    for key, item in items:
        flat.update(flatten(item, f'{prefix}.{key}' if prefix else str(key)))
    return flat


def differing_keys(left: Config, right: Config) -> set[str]:
    left, right = flatten(left.to_dict()), flatten(right.to_dict())
    return {key for key in left.keys() | right.keys() if left.get(key) != right.get(key)}


def test_the_list_of_configs_is_complete():
    expected = {f'{variant}_{family}' for variant in (*VARIANTS, STOCK) for family in FAMILIES}
    one_stage = {f'{kind}{name}_custom' for name in ONE_STAGE for kind in ('', 'nodes_')}
    recipes = {f'wgroup_longtail_{family}' for family in LONG_TAIL}
    found = {path.stem for path in CONFIGS.glob('*.py')}
    assert found == {*expected, *COMPOSED, *recipes, *one_stage}


def three_level_data(custom_data):
    """The user's own file with groups of groups."""
    document = json.loads((custom_data / 'train.json').read_text())
    for name, parent in (('top', 'body'), ('bottom', 'body'), ('cap', 'head')):
        number = len(document['categories']) + 1
        document['categories'].append(dict(id=number, name=name, supercategory=parent))
    (custom_data / 'train.json').write_text(json.dumps(document))


@pytest.mark.parametrize('family', ['r18_fpn_custom', 'lite0_fpn_custom', 'r50_fpn_custom'])
def test_custom_variants_build_with_three_levels(family, custom_data):
    three_level_data(custom_data)
    for variant in (*VARIANTS, STOCK):
        cfg = load(f'{variant}_{family}')
        head = MODELS.build(cfg.model).roi_head.bbox_head
        assert head.num_classes == 8, variant
        if variant in ('wgroup', 'wogroup', 'merged'):
            assert head.branch_depths == (1, 2, 3)
        if variant in ('wgroup', 'wogroup'):
            assert head.reg_weights == (0, 0, 1) and head.loss_cls.level_weights == (1, 1, 1)


@pytest.mark.parametrize('name', ONE_STAGE)
def test_nodes_differ_from_stock_in_their_classes_only(name, custom_data):
    """MMDetection's own models, with an output for each group of several classes."""
    stock, nodes = load(f'{name}_custom'), load(f'nodes_{name}_custom')
    keys = differing_keys(stock, nodes)
    kinds = {key for key in keys if not key.startswith('model.bbox_head.taxonomy.')}
    matching = 'model.train_cfg.assigner.type' if name == 'rtmdet-tiny' else 'model.type'
    assert kinds == {'model.bbox_head.type', 'model.bbox_head.num_classes', matching}
    heads = [MODELS.build(cfg.model).bbox_head for cfg in (stock, nodes)]
    assert [head.cls_out_channels for head in heads] == [7, 9]
    assert heads[0].num_classes == heads[1].num_classes == 7
    assert 'init_cfg' not in nodes.model.backbone and nodes.load_from.startswith('https://')


@pytest.mark.parametrize('group', ['', None, 'own', 'OWN', 'everything'])
@pytest.mark.parametrize('variant', [*VARIANTS, STOCK])
def test_without_groups_all_but_wgroup_build(variant, group, custom_data):
    """No supercategory, the class's own name, in another case, or one for all classes."""
    document = json.loads((custom_data / 'train.json').read_text())
    for category in document['categories']:
        own = {'own': category['name'], 'OWN': category['name'].upper()}
        category['supercategory'] = own.get(group, group)
    (custom_data / 'train.json').write_text(json.dumps(document))
    name = f'{variant}_r18_fpn_custom'
    if variant == 'wgroup':
        said = "taxonomy 'train.json' has no groups .* train wogroup .* supercategory .* YAML"
        with pytest.raises(ValueError, match=said):
            load(name)
    else:
        assert MODELS.build(load(name).model).roi_head.bbox_head.num_classes == 7


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*.py')), ids=lambda path: path.stem)
def test_leaf_files_are_short(path):
    code = [line for line in path.read_text().splitlines() if line.strip()[:1] not in ('', '#')]
    assert len(code) <= 15


@pytest.mark.parametrize(
    ('family', 'low', 'high'),
    [('r101_fpn_df2', 72e6, 75e6), ('r101_fpn_oiv4c', 72e6, 75e6), ('r18_fpn_synthetic', 1, 1e9)],
)
def test_the_variants_are_of_one_size(family, low, high):
    counts = [num_parameters(load(f'{variant}_{family}')) for variant in VARIANTS]
    assert low <= min(counts) and max(counts) <= high
    assert max(counts) <= 1.015 * min(counts)


@pytest.mark.parametrize('family', ['r18_fpn_custom', 'lite0_fpn_custom', 'r50_fpn_custom'])
def test_custom_variants_build_from_the_users_file(family, custom_data):
    counts = []
    for variant in VARIANTS:
        cfg = load(f'{variant}_{family}')
        assert len(cfg.taxonomy.classes) == 7
        assert cfg.train_dataloader.dataset.ann_file == 'train.json'
        assert cfg.train_dataloader.dataset.data_root == f'{custom_data}/'
        counts.append(num_parameters(cfg))
    assert max(counts) <= 1.015 * min(counts)


@pytest.mark.parametrize('classes', [7, 80])
@pytest.mark.parametrize('family', ['r18_fpn_custom', 'lite0_fpn_custom', 'r50_fpn_custom'])
def test_the_wide_head_is_as_large_for_few_and_many_classes(family, classes, custom_data):
    document = json.loads((custom_data / 'train.json').read_text())
    document['categories'] += [
        dict(id=number, name=f'class {number}', supercategory='')
        for number in range(8, classes + 1)
    ]
    (custom_data / 'train.json').write_text(json.dumps(document))
    wide, wgroup = (num_parameters(load(f'{variant}_{family}')) for variant in ('wide', 'wgroup'))
    assert wide == pytest.approx(wgroup, rel=0.01)


def test_the_wide_head_has_stocks_layers():
    cfg, stock = load('wide_r101_fpn_df2'), load('faster-rcnn_r101_fpn_df2')
    assert differing_keys(cfg, stock) == {'model.roi_head.bbox_head.fc_out_channels'}
    assert num_parameters(cfg) == pytest.approx(73.29e6, abs=1e4)


def test_stock_reference_has_60_million_parameters():
    # 60.40 M: mmdet's Faster R-CNN R101-FPN with 13 classes.
    assert num_parameters(load('faster-rcnn_r101_fpn_df2')) == pytest.approx(60.40e6, abs=1e4)
    assert num_parameters(load('wgroup_r101_fpn_df2')) == pytest.approx(73.26e6, abs=1e4)


@pytest.mark.parametrize('family', FAMILIES)
def test_variants_differ_in_their_box_head_only(family, custom_data):
    reference = load(f'wgroup_{family}')
    for variant in (*VARIANTS, STOCK):
        keys = differing_keys(reference, load(f'{variant}_{family}'))
        assert all(key.startswith('model.roi_head.bbox_head.') for key in keys), keys
    keys = differing_keys(reference, load(f'wogroup_{family}'))
    assert keys == {'model.roi_head.bbox_head.grouped'}


@pytest.mark.parametrize('family', LONG_TAIL)
def test_the_recipe_is_wgroup_with_repeated_images_and_corrected_scores(family, custom_data):
    cfg = load(f'wgroup_longtail_{family}')
    keys = differing_keys(load(f'wgroup_{family}'), cfg)
    parts = 'train_dataloader.dataset.', 'model.roi_head.bbox_head.fusion', 'model.test_cfg.rcnn.'
    assert all(key.startswith(parts) for key in keys), keys
    dataset = cfg.train_dataloader.dataset
    assert dataset.type == 'ClassBalancedDataset' and dataset.oversample_thr == 0.1
    assert dataset.dataset.ann_file == 'train.json'
    fusion = MODELS.build(cfg.model).roi_head.bbox_head.loss_cls.fusion
    assert fusion.within_groups and (fusion.gamma, fusion.fusion.gammas) == (0.4, [0.25])
    assert (cfg.model.test_cfg.rcnn.score_thr, cfg.model.test_cfg.rcnn.max_per_img) == (0.001, 300)


@pytest.mark.parametrize('variant', VARIANTS)
def test_data_sets_differ_in_data_and_taxonomy_only(variant):
    keys = differing_keys(load(f'{variant}_r101_fpn_df2'), load(f'{variant}_r101_fpn_oiv4c'))
    allowed = ('data_root', 'images', 'val_images', 'taxonomy.', 'eval_taxonomy.', 'resolved.')
    head = 'model.roi_head.bbox_head.'
    names = ('type', 'data_root', 'data_prefix.img', 'ann_file', 'train_ann_file')
    assert all(
        key.startswith((*allowed, head + 'taxonomy.', head + 'num_classes'))
        or '.dataset.taxonomy.' in key
        or (('dataloader' in key or 'evaluator' in key) and key.endswith(names))
        for key in keys
    ), keys


def test_the_papers_settings():
    cfg = load('wgroup_r101_fpn_df2')
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.005, momentum=0.9, weight_decay=0.0001
    )
    assert cfg.train_cfg.max_iters == 200000
    assert cfg.param_scheduler[1].milestones == [150000, 175000]
    assert cfg.auto_scale_lr.base_batch_size == 24
    assert cfg.model.train_cfg.rpn.assigner.pos_iou_thr == 0.5
    head = cfg.model.roi_head.bbox_head
    assert head.coarse_width == 'classes'
    built = MODELS.build(cfg.model).roi_head.bbox_head
    assert built.branch_depths == (1, 2) and built.reg_weights == (0, 1)
    assert built.loss_cls.level_weights == (1, 1)
    assert head.loss_bbox == dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0)
    anchors = cfg.model.rpn_head.anchor_generator
    assert [8 * stride for stride in anchors.strides] == [32, 64, 128, 256, 512]
    assert len(anchors.ratios) == 3


@pytest.mark.parametrize('family', ['r18_fpn_synthetic', 'r18_fpn_custom', 'lite0_fpn_custom'])
def test_small_presets_give_each_box_an_anchor(family, custom_data):
    """At min_pos_iou=0 a box that no anchor touches would get all anchors with IoU 0."""
    cfg = load(f'wgroup_{family}')
    assert cfg.model.rpn_head.anchor_generator.scales == [4]
    anchors = InstanceData(
        priors=torch.tensor([[0.0, 0, 16, 16], [8, 8, 24, 24], [64, 64, 80, 80]])
    )
    ignored = InstanceData(bboxes=torch.tensor([[60.0, 60, 90, 90]]))
    cases = {
        'small': ([66.0, 66, 68, 68], None, 1),
        'touched by none': ([200.0, 200, 210, 210], None, 0),
        'touched in the ignored region only': ([66.0, 66, 68, 68], ignored, 0),
    }
    for options in (dict(), dict(min_pos_iou=0)):
        settings = {**cfg.model.train_cfg.rpn.assigner, 'ignore_iof_thr': 0.5, **options}
        assigner = TASK_UTILS.build(settings)
        for name, (box, ignore, wanted) in cases.items():
            boxes = InstanceData(bboxes=torch.tensor([box]), labels=torch.tensor([0]))
            found = int((assigner.assign(anchors, boxes, ignore).gt_inds > 0).sum())
            trap = options and wanted == 0
            assert found == ((3 - (ignore is not None)) if trap else wanted), (name, options)


def test_the_pretrained_preset_decays_neither_norm_nor_bias(custom_data):
    cfg = load('wgroup_lite0_fpn_custom')
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    decayed = {id(p) for group in groups if group['weight_decay'] for p in group['params']}
    assert {group['lr'] for group in groups} == {3e-4}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert (id(parameter) in decayed) == (parameter.dim() > 1), name


def test_the_pretrained_preset_feeds_the_backbone_what_it_knows(custom_data):
    cfg = load('wgroup_lite0_fpn_custom')
    assert cfg.model.data_preprocessor.mean == [127] * 3
    assert cfg.model.data_preprocessor.std == [128] * 3
    assert cfg.model.data_preprocessor.bgr_to_rgb
    assert cfg.model.backbone.init_cfg.type == 'PackagedEfficientNetLite0'
    for pipeline in (cfg.train_pipeline, cfg.train_dataloader.dataset.pipeline):
        assert pipeline[2].type == 'RandomCropResize' and pipeline[2].ratio_range == (0.6, 1.0)
        assert pipeline[2].scale == cfg.test_pipeline[1].scale
        assert pipeline[3].type == 'PhotoMetricDistortion'
        assert pipeline[4] == dict(type='RandomFlip', prob=0.5)


def test_iterations_everywhere(custom_data):
    """An iteration-based run needs by_epoch=False in loop, hooks and every scheduler."""
    for path in CONFIGS.glob('*.py'):
        cfg = load(path.stem)
        assert cfg.default_hooks.checkpoint.by_epoch is False
        assert cfg.default_hooks.logger.log_metric_by_epoch is False
        assert cfg.log_processor.by_epoch is False
        assert all(scheduler.by_epoch is False for scheduler in cfg.param_scheduler)


def test_every_config_resumes_exactly(custom_data):
    for path in CONFIGS.glob('*.py'):
        cfg = load(path.stem)
        assert cfg.train_cfg.type == 'ExactIterBasedTrainLoop'
        assert cfg.train_dataloader.sampler == dict(type='ExactInfiniteSampler')
        assert cfg.train_dataloader.batch_sampler == dict(type='ExactAspectRatioBatchSampler')
        assert cfg.default_hooks.iteration_seed == dict(type='IterationSeedHook')
        assert cfg.default_hooks.exact_resume.type == 'ExactResumeHook'


def test_custom_paths_come_from_environment_or_options(custom_data, monkeypatch):
    document = json.loads((custom_data / 'train.json').read_text())
    document['categories'] = document['categories'][:4]
    (custom_data / 'other.json').write_text(json.dumps(document))
    monkeypatch.setenv('MULTIGRAIN_TRAIN_ANN', 'other.json')
    monkeypatch.setenv('MULTIGRAIN_IMAGES', 'pictures/')
    cfg = load('wgroup_r18_fpn_custom')
    assert len(cfg.taxonomy.classes) == 4
    assert cfg.val_dataloader.dataset.data_prefix.img == 'pictures/'
    assert cfg.val_evaluator.train_ann_file == f'{custom_data}/other.json'

    (custom_data / 'two.yaml').write_text('groups:\n  a: [x, y]\n  b: [z]\n')
    cfg = load_config(
        CONFIGS / 'wgroup_r18_fpn_custom.py',
        dict(taxonomy=str(custom_data / 'two.yaml'), val_ann='v.json'),
    )
    assert len(cfg.taxonomy.classes) == 3
    assert cfg.test_evaluator.ann_file == f'{custom_data}/v.json'
    assert cfg.model.roi_head.bbox_head.taxonomy['groups'] == {'a': ['x', 'y'], 'b': ['z']}


def test_written_config_is_complete_without_the_taxonomys_file(custom_data, tmp_path):
    cfg = load('wgroup_r18_fpn_custom')
    cfg.dump(tmp_path / 'dumped.py')
    (custom_data / 'train.json').unlink()
    again = load_config(tmp_path / 'dumped.py')
    assert num_parameters(again) == num_parameters(cfg)


def test_missing_data_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv('MULTIGRAIN_DATA', str(tmp_path / 'nowhere'))
    with pytest.raises(ValueError, match='nowhere/train.json'):
        load('wgroup_r18_fpn_custom')


@pytest.mark.parametrize(
    ('family', 'needs_load_from'),
    [('r50_fpn_custom', True), ('lite0_fpn_custom', False), ('r18_fpn_custom', False)],
)
def test_which_presets_need_a_checkpoint(family, needs_load_from, custom_data):
    """A frozen backbone must not stay random: others have weights in a package, or train it all."""
    cfg = load(f'wgroup_{family}')
    assert (cfg.get('load_from') is not None) == needs_load_from
    assert bool(frozen_at_random(MODELS.build(cfg.model), ())) == needs_load_from
    if needs_load_from:  # what the docs name for a start from random values
        cfg.model.backbone.update(frozen_stages=-1, norm_eval=False)
        assert frozen_at_random(MODELS.build(cfg.model), ()) == []
