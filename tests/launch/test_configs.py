"""Configs that load, or say in one line why not."""

import json
import os

import pytest
from mmengine.config import Config

from mmdet_multigrain import launch
from mmdet_multigrain.launch import configs as module
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError

HINT = 'MULTIGRAIN_TRACEBACK=1 shows where'


@pytest.fixture
def configs(repository):
    return repository / 'configs' / 'multigrain'


@pytest.fixture
def coco(tmp_path):
    """A folder with a space in its name and a COCO file of two groups."""
    folder = tmp_path / 'my data'
    folder.mkdir()
    for name in ('train.json', 'first.json'):
        (folder / name).write_text(
            json.dumps(
                {
                    'images': [],
                    'annotations': [],
                    'categories': [
                        {'id': 1, 'name': 'shirt', 'supercategory': 'top'},
                        {'id': 2, 'name': 'vest', 'supercategory': 'top'},
                        {'id': 3, 'name': 'skirt', 'supercategory': 'bottom'},
                    ],
                }
            )
        )
    return folder


def test_a_config_with_overrides(configs):
    cfg = launch.load_config(
        configs / 'wgroup_r101_fpn_df2.py', {'optim_wrapper.optimizer.lr': 0.25, 'work_dir': 'w'}
    )
    assert cfg.optim_wrapper.optimizer.lr == 0.25 and cfg.work_dir == 'w'
    assert cfg.model.roi_head.bbox_head.type == 'MultiGrainedBBoxHead'


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('wgroup_r101_fpn_df.py', "no such config; did you mean 'wgroup_r101_fpn_df2.py'"),
        ('zzz.py', 'no such config; check the path'),
        ('nowhere/a.py', 'no such config; check the path'),
        ('', 'this is a folder; name a config in it'),
    ],
)
def test_no_such_config(configs, path, message):
    with pytest.raises(ValueError) as caught:
        launch.load_config(configs / path)
    assert str(caught.value).startswith(f'{configs / path}: {message}')


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'model = dict(\n', "SyntaxError: '(' was never closed"),
        (b"_base_ = './nowhere.py'\n", 'FileNotFoundError: '),
        (b'a = b\n', "NameError: name 'b' is not defined"),
        (
            b"custom_imports = dict(imports=['no_such_module'], allow_failed_imports=False)\n",
            'ImportError: Failed to import no_such_module',
        ),
        (b'\xff\xfe', "UnicodeDecodeError: 'utf-8' codec"),
    ],
)
@pytest.mark.filterwarnings('ignore')
def test_config_that_cannot_be_loaded(tmp_path, content, reason):
    path = tmp_path / 'bad.py'
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        launch.load_config(path)
    message = launch.one_line(caught.value)
    assert message.startswith(f'{path}: not a config that can be loaded ({reason}')
    assert '\n' not in message and message.count(HINT) == 1


def test_other_type_of_file(tmp_path):
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(ValueError, match='notes.txt: not a Python file'):
        launch.load_config(tmp_path / 'notes.txt')


def test_custom_data_by_options(configs, coco):
    before = dict(os.environ)
    cfg = launch.load_config(
        configs / 'wgroup_r18_fpn_custom.py',
        {
            'data_root': coco,
            'train_ann': 'first.json',
            'images': 'pictures',
            'train_dataloader.batch_size': 2,
        },
    )
    assert dict(os.environ) == before
    assert Taxonomy.load(cfg.taxonomy).classes == ('shirt', 'vest', 'skirt')
    train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    assert (train.data_root, train.ann_file) == (f'{coco}/', 'first.json')
    assert (val.ann_file, val.data_prefix.img) == ('val.json', 'pictures')
    assert cfg.test_evaluator.train_ann_file == f'{coco}/first.json'
    assert cfg.train_dataloader.batch_size == 2


def test_custom_data_by_environment_and_option(configs, coco, monkeypatch, tmp_path):
    yaml = tmp_path / 'two.yaml'
    yaml.write_text('groups: {a: [shirt, skirt], b: [vest]}')
    monkeypatch.setenv('MULTIGRAIN_DATA', str(coco))
    monkeypatch.setenv('MULTIGRAIN_TAXONOMY', 'deepfashion2')
    cfg = launch.load_config(configs / 'baseline_r18_fpn_custom.py', {'taxonomy': str(yaml)})
    assert Taxonomy.load(cfg.taxonomy).group_names(0) == ('a', 'b')
    assert os.environ['MULTIGRAIN_TAXONOMY'] == 'deepfashion2'
    cfg = launch.load_config(configs / 'baseline_r18_fpn_custom.py')
    assert cfg.model.roi_head.bbox_head.num_classes == 13


def test_own_config_on_top_of_a_custom_one(configs, coco, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(f'_base_ = {str(configs / "wgroup_r18_fpn_custom.py")!r}\n')
    assert launch.load_config(path, {'data_root': str(coco)}).data_root == f'{coco}/'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'data_root': 'nowhere'},
            'nowhere/train.json: no such annotation file; data_root and train_ann (or MULTIG',
        ),
        ({'taxonomy': 'deepfasion2'}, "taxonomy 'deepfasion2' is neither built in"),
    ],
)
def test_custom_data_that_is_not_there(configs, options, message):
    with pytest.raises(TaxonomyError) as caught:
        launch.load_config(configs / 'wgroup_r18_fpn_custom.py', options)
    assert launch.one_line(caught.value).startswith(message)


def test_data_root_moves_all_paths(configs):
    cfg = launch.load_config(configs / 'wgroup_r101_fpn_df2.py', {'data_root': '/big/df2'})
    assert cfg.train_dataloader.dataset.data_root == '/big/df2/'
    assert cfg.test_dataloader.dataset.data_root == '/big/df2/'
    assert cfg.val_evaluator.ann_file == '/big/df2/annotations/validation.json'
    assert 'data/deepfashion2' not in cfg.dump()


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('optim_wraper.optimizer.lr', "has no 'optim_wraper'; did you mean 'optim_wrapper'?"),
        ('zzz', "has no 'zzz'; no part of a run reads it"),
        ('load_pipeline', "has no 'load_pipeline'; did you mean 't"),
        ('keep_size', "'keep_size' is a variable of"),
    ],
)
def test_overrides_that_nothing_reads(configs, option, message):
    with pytest.raises(ValueError) as caught:
        launch.load_config(configs / 'wgroup_r18_fpn_synthetic.py', {option: 1})
    assert str(caught.value).startswith(f'--cfg-options {option}: ')
    assert message in str(caught.value)


@pytest.mark.parametrize('suffix', ['.yaml', '.yml', '.json'])
def test_configs_are_python(tmp_path, suffix):
    marker = tmp_path / 'the code has run'
    path = tmp_path / f'config{suffix}'
    path.write_text(f'model: !!python/object/apply:os.mkdir [{marker}]\n')
    with pytest.raises(ValueError, match=f'^{path}: not a Python file'):
        launch.load_config(path)
    assert not marker.exists()


def test_work_dir():
    for given, in_config, expected in (
        ('a', 'b', 'a'),
        (None, 'b', 'b'),
        (None, None, 'work_dirs/wgroup'),
    ):
        cfg = Config({} if in_config is None else dict(work_dir=in_config))
        launch.set_work_dir(cfg, config_path='configs/x/wgroup.py', work_dir=given)
        assert cfg.work_dir == expected


def test_what_overrides_a_config(configs, monkeypatch):
    """Speed options, the launcher, and the record of a checkpoint, each where it is needed."""
    asked = []
    monkeypatch.setattr(module, '_checkpoint_meta', lambda path: asked.append(path) or {})
    path = configs / 'wgroup_r18_fpn_synthetic.py'
    cfg = launch.load_config(path, launcher='slurm', speed=['tf32'], checkpoint='a.pth')
    assert cfg.launcher == 'slurm' and asked == []  # its taxonomy is built in
    assert 'MatmulPrecisionHook' in [hook.type for hook in cfg.custom_hooks]
    assert launch.load_config(path).get('launcher') != 'slurm'


@pytest.mark.parametrize(('meta', 'found'), [({'meta': {'a': 1}}, {'a': 1}), ({'meta': None}, {})])
def test_the_record_of_a_checkpoint(monkeypatch, meta, found):
    name = 'mmdet_multigrain.engine.checkpoint.read.read_checkpoint'
    monkeypatch.setattr(name, lambda path: meta if path == 'a.pth' else None)
    assert module._checkpoint_meta('a.pth') == found


@pytest.mark.parametrize(
    ('options', 'lengths'),
    [({'epochs': 2}, (2, None)), ({'max_iters': 40}, (None, 40))],
)
def test_one_length_replaces_the_other(configs, tmp_path, monkeypatch, options, lengths):
    path = tmp_path / 'mine.py'
    base = str(configs / 'wgroup_r18_fpn_synthetic.py')
    path.write_text(f'_base_ = {base!r}\nepochs = 5\nmax_iters = None\n')
    seen = []

    def resolve(cfg, checkpoint_meta):
        seen.append((cfg.epochs, cfg.max_iters))
        raise KeyError('seen enough')

    monkeypatch.setattr('mmdet_multigrain.engine.runner.resolver.resolve', resolve)
    with pytest.raises(KeyError, match='seen enough'):
        launch.load_config(path, options)
    assert seen == [lengths]
