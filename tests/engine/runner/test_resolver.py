"""The resolver: what it fills in, from where, and what it leaves alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from mmdet.apis import init_detector
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from mmdet_multigrain.engine.runner.resolver import is_taxonomy_open, leaf_datasets, resolve
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, TaxonomyError

REPOSITORY = Path(__file__).resolve().parents[3]

CATEGORIES = [('shirt', 'top'), ('vest', 'top'), ('skirt', 'bottom')]
VARIABLES = ('DATA', 'TRAIN_ANN', 'VAL_ANN', 'TEST_ANN', 'IMAGES', 'VAL_IMAGES', 'TAXONOMY')


@pytest.fixture(autouse=True)
def no_variables(monkeypatch, tmp_path):
    """Nothing from outside: no variable, and no data/custom in the working folder."""
    for name in VARIABLES:
        monkeypatch.delenv(f'MULTIGRAIN_{name}', raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def configs(repository):
    return repository / 'configs' / 'multigrain'


def make_data(folder, *, categories=CATEGORIES, empty: int = 0):
    """Four photos with a box each, and some without."""
    (folder / 'photos').mkdir(parents=True)
    numbers = range(1, 5 + empty)
    for number in numbers:
        Image.new('RGB', (60, 40)).save(folder / 'photos' / f'{number}.jpg')
    box = dict(category_id=1, bbox=[1, 1, 30, 30], area=900, iscrowd=0)
    content = dict(
        images=[dict(id=n, file_name=f'{n}.jpg', width=60, height=40) for n in numbers],
        annotations=[dict(box, id=n, image_id=n) for n in range(1, 5)],
        categories=[
            dict(id=number, name=name, supercategory=group)
            for number, (name, group) in enumerate(categories, start=1)
        ],
    )
    for name in ('train.json', 'val.json'):
        (folder / name).write_text(json.dumps(content))
    return folder


def paths(cfg: Config) -> list[str]:
    """All paths of data in a config: data sets, then evaluators."""
    found = []
    for split in ('train', 'val', 'test'):
        for part in leaf_datasets(cfg[f'{split}_dataloader'].dataset):
            found += [part.data_root + part.ann_file, part.data_root + part.data_prefix.img]
    for split in ('val', 'test'):
        found += [cfg[f'{split}_evaluator'].ann_file, cfg[f'{split}_evaluator'].train_ann_file]
    return found


def expected_paths(
    root, *, val='val.json', test='val.json', images='photos/', val_images='photos/'
):
    root = f'{root}/'
    return [
        root + 'train.json', root + images, root + val, root + val_images, root + test,
        root + val_images, root + val, root + 'train.json', root + test, root + 'train.json',
    ]  # fmt: skip


@pytest.mark.parametrize('name', ['wgroup_r18_fpn_custom', 'baseline_r18_fpn_custom'])
@pytest.mark.parametrize(
    'folder', ['plain', 'with blank', "it's", 'a"quote', 'back\\slash', 'a,(b']
)
def test_any_path_works(configs, tmp_path, monkeypatch, name, folder):
    data = make_data(tmp_path / folder)
    monkeypatch.setenv('MULTIGRAIN_DATA', str(data))
    cfg = load_config(configs / f'{name}.py')
    assert paths(cfg) == expected_paths(data)
    monkeypatch.delenv('MULTIGRAIN_DATA')
    assert paths(load_config(configs / f'{name}.py', {'data_root': str(data)})) == paths(cfg)
    cfg.dump(tmp_path / 'dumped.py')
    assert paths(load_config(tmp_path / 'dumped.py')) == paths(cfg)
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 4


def test_options_before_config_before_environment_before_default(configs, tmp_path, monkeypatch):
    for name in ('default', 'variable', 'child', 'option'):
        make_data(tmp_path / name)
    make_data(tmp_path / 'data' / 'custom')
    base = configs / 'wgroup_r18_fpn_custom.py'
    child = tmp_path / 'child.py'
    child.write_text(f'_base_ = {str(base)!r}\ndata_root = {str(tmp_path / "child")!r}\n')
    assert load_config(base).data_root == 'data/custom/'
    monkeypatch.setenv('MULTIGRAIN_DATA', '')
    assert load_config(base).data_root == 'data/custom/'
    monkeypatch.setenv('MULTIGRAIN_DATA', str(tmp_path / 'variable'))
    assert load_config(base).data_root == f'{tmp_path}/variable/'
    cfg = load_config(child)
    assert paths(cfg) == expected_paths(tmp_path / 'child')
    assert load_config(child, {'data_root': tmp_path / 'option'}).data_root == f'{tmp_path}/option/'


def test_test_data_is_validation_data_unless_said(configs, tmp_path, monkeypatch):
    data = make_data(tmp_path / 'data' / 'custom')
    monkeypatch.setenv('MULTIGRAIN_VAL_IMAGES', 'others')
    cfg = load_config(configs / 'wgroup_r18_fpn_custom.py', {'test_ann': 'test.json'})
    expected = expected_paths(data, test='test.json', val_images='others')
    assert [f'{tmp_path}/{path}' for path in paths(cfg)] == expected
    cfg.dump(tmp_path / 'dumped.py')
    cfg = load_config(tmp_path / 'dumped.py', {'val_ann': 'v.json'})
    assert (cfg.val_ann, cfg.test_ann) == ('v.json', 'test.json')
    load_config(configs / 'wgroup_r18_fpn_custom.py').dump(tmp_path / 'dumped.py')
    cfg = load_config(tmp_path / 'dumped.py', {'val_ann': 'v.json'})
    assert cfg.test_evaluator.ann_file == 'data/custom/v.json'


@pytest.mark.parametrize('name', ['wgroup_rfs_r101_fpn_df2', 'wgroup_r18_fpn_synthetic'])
def test_a_dumped_config_moves(configs, tmp_path, name):
    load_config(configs / f'{name}.py', speed=['fast-loading']).dump(tmp_path / 'dumped.py')
    cfg = load_config(tmp_path / 'dumped.py', {'data_root': '/big/df2'})
    moved = load_config(configs / f'{name}.py', {'data_root': '/big/df2'}, speed=['fast-loading'])
    assert cfg.to_dict() == moved.to_dict()
    assert len(paths(cfg)) == 10 and all(path.startswith('/big/df2/') for path in paths(cfg))


@pytest.mark.parametrize('name', ['wgroup_r18_fpn_custom', 'baseline_r50_fpn_custom'])
def test_resolving_twice_changes_nothing(configs, tmp_path, name):
    make_data(tmp_path / 'data' / 'custom', empty=1)
    cfg = Config.fromfile(configs / f'{name}.py')
    cfg.merge_from_dict(dict(speed=['tf32', 'fast-loading']))
    resolve(cfg)
    assert cfg.custom_hooks[-1].type == 'MatmulPrecisionHook'
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'FastLoading'
    once = copy.deepcopy(cfg.to_dict())
    resolve(cfg)
    assert cfg.to_dict() == once
    cfg.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py')
    resolve(again)
    assert again.to_dict() == once


def test_another_taxonomy_reaches_heads_and_data(configs, tmp_path):
    make_data(tmp_path / 'data' / 'custom')
    for name in ('wgroup', 'baseline'):
        load_config(configs / f'{name}_r18_fpn_custom.py').dump(tmp_path / 'dumped.py')
        cfg = load_config(tmp_path / 'dumped.py', {'taxonomy': 'deepfashion2'})
        expected = Taxonomy.load('deepfashion2').to_dict()
        assert cfg.train_dataloader.dataset.taxonomy == cfg.test_dataloader.dataset.taxonomy
        assert cfg.test_dataloader.dataset.taxonomy == cfg.taxonomy == expected
        head = cfg.model.roi_head.bbox_head
        assert head.taxonomy == expected if name == 'wgroup' else head.num_classes == 13


def test_another_taxonomy_to_evaluate_with(configs, tmp_path):
    make_data(tmp_path / 'data' / 'custom')
    cfg = load_config(
        configs / 'wgroup_r18_fpn_custom.py',
        {'taxonomy': 'deepfashion2', 'eval_taxonomy': 'openimages_v4_clothing'},
    )
    ours, other = (Taxonomy.load(name).to_dict() for name in (cfg.taxonomy, cfg.eval_taxonomy))
    assert cfg.train_dataloader.dataset.taxonomy == ours
    assert cfg.model.roi_head.bbox_head.taxonomy == ours
    assert cfg.val_dataloader.dataset.taxonomy == other != ours
    assert cfg.test_dataloader.dataset.taxonomy == other
    again = copy.deepcopy(cfg)
    resolve(again)
    assert again.to_dict() == cfg.to_dict()


def test_where_the_taxonomy_comes_from(configs, tmp_path, monkeypatch):
    def classes(meta=None, **entries):
        cfg = Config.fromfile(configs / 'wgroup_r18_fpn_custom.py')
        cfg.merge_from_dict(entries)
        resolve(cfg, checkpoint_meta=meta)
        assert not is_taxonomy_open(cfg)
        return len(cfg.model.roi_head.bbox_head.taxonomy.classes)

    make_data(tmp_path / 'data' / 'custom')
    meta = dict(dataset_meta=dict(taxonomy={'groups': {'a': ['x', 'y'], 'b': ['z', 'w']}}))
    assert classes() == 3
    monkeypatch.setenv('MULTIGRAIN_TAXONOMY', 'deepfashion2')
    assert classes() == classes({}) == 13
    assert classes(meta) == 4
    assert classes(dict(dataset_meta=dict(classes=['x', 'y']))) == 2
    assert classes(meta, taxonomy='openimages_v4_clothing') == 40


def test_explicit_values_stay(configs):
    head = {'model.roi_head.bbox_head.taxonomy': 'openimages_v4_clothing'}
    entries = {
        'train_dataloader.dataset.ann_file': 'own.json',
        'val_evaluator.ann_file': '/own/val.json',
        'train_dataloader.dataset.filter_cfg.filter_empty_gt': False,
        'train_dataloader.dataset.pipeline': [dict(type='LoadImageFromFile')],
    }
    cfg = load_config(configs / 'wgroup_r18_fpn_synthetic.py', {**head, **entries})
    assert cfg.model.roi_head.bbox_head.taxonomy == 'openimages_v4_clothing'
    train = cfg.train_dataloader.dataset
    assert (train.ann_file, cfg.val_evaluator.ann_file) == ('own.json', '/own/val.json')
    assert train.filter_cfg.filter_empty_gt is False and len(train.pipeline) == 1


def test_heads_within_wrappers_and_lists(configs):
    cfg = Config.fromfile(configs / 'wgroup_r18_fpn_synthetic.py')
    head, stock = cfg.model.roi_head.bbox_head, dict(type='Shared2FCBBoxHead', num_classes=None)
    cfg.model.roi_head.bbox_head = [head, stock]
    cfg.model = dict(type='DetTTAModel', module=cfg.model)
    resolve(cfg)
    ours, other = cfg.model.module.roi_head.bbox_head
    assert ours.taxonomy == Taxonomy.load('deepfashion2').to_dict()
    assert other.num_classes == 13 and 'taxonomy' not in other


def test_a_foreign_config_stays_as_it_is():
    dataset = dict(type='CocoDataset', data_root='data/coco/', ann_file='a.json')
    cfg = Config(
        dict(
            data_root='data/coco/',
            model=dict(type='FasterRCNN', bbox_head=dict(num_classes=80)),
            train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dataset)),
            val_evaluator=dict(type='CocoMetric', ann_file='data/coco/a.json'),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1),
            param_scheduler=[dict(type='LinearLR', by_epoch=False, begin=0, end=500)],
        )
    )
    before = copy.deepcopy(cfg.to_dict())
    resolve(cfg)
    cfg.pop('resolved', None)
    assert cfg.to_dict() == before


def test_a_key_on_its_own_is_followed_when_it_changes():
    loop = dict(type='IterBasedTrainLoop', max_iters=None, val_interval=0.5)
    cfg = Config(dict(max_iters=100, model=dict(), train_cfg=loop))
    for length in (100, 40):
        cfg.max_iters = length
        resolve(cfg)
        assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (length, length // 2)
    dataset = dict(type='CocoDataset', filter_cfg=dict(filter_empty_gt=None))
    cfg = Config(dict(model=dict(), train_dataloader=dict(dataset=dataset)))
    for empty_photos in ('keep', 'drop'):
        cfg.empty_photos = empty_photos
        resolve(cfg)
        drops = cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt
        assert drops is (empty_photos == 'drop')


@pytest.mark.parametrize(('empty_photos', 'images'), [('keep', 6), ('drop', 4)])
def test_photos_without_objects(configs, tmp_path, empty_photos, images):
    make_data(tmp_path / 'data' / 'custom', empty=2)
    options = {'empty_photos': empty_photos, 'epochs': 8}
    cfg = load_config(configs / 'wgroup_r18_fpn_custom.py', options)
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == images
    assert cfg.max_iters == images
    cfg = load_config(configs / 'wgroup_r18_fpn_custom.py')
    assert cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt is False
    with pytest.raises(ConfigError, match="empty_photos is 'kep', not 'keep' or 'drop'"):
        load_config(configs / 'wgroup_r18_fpn_custom.py', {'empty_photos': 'kep'})


@pytest.mark.parametrize('key', ['data_root', 'val_ann', 'images', 'empty_photos'])
def test_a_key_that_reaches_nothing_is_refused(tmp_path, key):
    path = tmp_path / 'foreign.py'
    path.write_text("model = dict(type='FasterRCNN')\ntrain_dataloader = dict(dataset=dict())\n")
    with pytest.raises(ConfigError, match=f'--cfg-options {key}: no entry of .*foreign.py takes'):
        load_config(path, {key: 'keep'})


def is_covered_by_a_faster_one(path):
    return 'r18' not in path.stem and 'wgroup_r101' not in path.stem


SOURCES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.long] * is_covered_by_a_faster_one(path))
    for path in sorted((REPOSITORY / 'configs' / 'multigrain').glob('*.py'))
]


@pytest.mark.parametrize('path', SOURCES)
def test_source_configs_raise_when_built_and_resolved_ones_are_right(path, tmp_path):
    """Through MMDetection's own function, which does not know the resolver."""
    make_data(tmp_path / 'data' / 'custom')
    is_stock_head = path.stem.startswith(('baseline', 'wide', 'faster-rcnn', 'rtmdet', 'dino'))
    message = 'NoneType' if is_stock_head else 'has no taxonomy; resolve the config'
    with pytest.raises(TypeError if is_stock_head else ConfigError, match=message):
        init_detector(str(path), device='cpu')
    small = {'model.backbone.depth': 18, 'model.neck.in_channels': [64, 128, 256, 512]}
    is_resnet = 'fpn' in path.stem and 'lite0' not in path.stem
    load_config(path, small if is_resnet else {}).dump(tmp_path / 'dumped.py')
    model = init_detector(str(tmp_path / 'dumped.py'), device='cpu')
    classes = 3 if 'custom' in path.stem else 40 if 'oiv4c' in path.stem else 13
    assert getattr(model, 'roi_head', model).bbox_head.num_classes == classes


def test_repeated_images_of_several_files(configs, tmp_path):
    data_root = str(make_data(tmp_path / 'data'))
    cfg = Config.fromfile(configs / 'wgroup_r18_fpn_custom.py')
    part, repeat = cfg.train_dataloader.dataset, dict(type='ClassBalancedDataset', oversample_thr=1)
    cfg.merge_from_dict(dict(data_root=data_root))
    of_each = copy.deepcopy(cfg)
    of_each.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[dict(repeat, dataset=part)] * 2
    )
    resolve(of_each)
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert len(DATASETS.build(of_each.train_dataloader.dataset)) == 8
    cfg.train_dataloader.dataset = dict(
        repeat, dataset=dict(type='ConcatDataset', datasets=[part, part])
    )
    with pytest.raises(ConfigError, match=r'cannot ask a ConcatDataset .* around each of its data'):
        resolve(cfg)


def test_the_main_tree(configs, tmp_path, monkeypatch):
    """The key `main_tree` changes the taxonomy of data sets and heads, again and back."""
    make_data(tmp_path / 'data' / 'custom')
    trees = dict(kind=dict(top=['shirt', 'vest']), season=dict(summer=['shirt', 'skirt']))
    taxonomy = Taxonomy.from_mapping({'trees': trees, 'ungrouped': ['skirt'], 'name': 'mine'})
    (tmp_path / 'mine.yaml').write_text(taxonomy.to_yaml())
    config, options = configs / 'wgroup_r18_fpn_custom.py', {'taxonomy': 'mine.yaml'}

    def found(cfg):
        head, data = cfg.model.roi_head.bbox_head, cfg.test_dataloader.dataset
        loaded = [Taxonomy.load(part.taxonomy.to_dict()) for part in (head, data)]
        assert loaded[0] == loaded[1]
        return loaded[0]

    assert found(load_config(config, options)) == taxonomy
    cfg = load_config(config, {**options, 'main_tree': 'Season'})
    season = taxonomy.with_main_tree('season')
    assert found(cfg) == season and found(cfg).group_index(0) == taxonomy.group_index(0)
    cfg.dump(tmp_path / 'dumped.py')
    assert found(load_config(tmp_path / 'dumped.py')) == season
    assert found(load_config(tmp_path / 'dumped.py', {'main_tree': 'kind'})) == taxonomy
    meta = dict(dataset_meta=dict(taxonomy=taxonomy.to_dict(), classes=taxonomy.classes))
    cfg = Config.fromfile(config)
    cfg.main_tree = 'season'
    resolve(cfg, checkpoint_meta=meta)
    assert found(cfg) == season
    with pytest.raises(
        TaxonomyError, match="^main_tree is 'x', but the trees are 'kind', 'season'"
    ):
        load_config(config, {**options, 'main_tree': 'x'})
    with pytest.raises(TaxonomyError, match="^main_tree is 'kind', but there is one tree"):
        load_config(config, {'main_tree': 'kind'})
    with pytest.raises(ConfigError, match="^main_tree='kind': the config has no key taxonomy"):
        resolve(Config(dict(main_tree='kind', model=dict(type='FasterRCNN'))))
