"""Every code block of README and docs is run by a test, or says why not.

Commands are expanded by bash and parsed by their tools; training and the like is not started. Blocks
of Python that need a trained detector run in tests/tools, which get them by `doc_blocks.block`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import torch
import yaml
from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS, TASK_UTILS, VISBACKENDS
from mmengine.config import Config

from mmdet_multigrain.configs import config_folder
from mmdet_multigrain.engine.incomplete_labels import check_unannotated
from mmdet_multigrain.engine.runner import resolver
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.launch.options import check_options
from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .doc_blocks import PAGES, ROOT, Block, block, blocks, commands

LANGUAGES = {'bash', 'diff', 'python', 'text', 'yaml'}
# Programs of others, whose options are theirs.
FOREIGN = set('. coco git label-studio-converter pip pre-commit python3.10 sed tensorboard'.split())
READ = dict(keys=resolver.KEYS, sources=resolver.TABLE)
WRITTEN = ('out', 'work_dir', 'show_dir', 'fix', 'json')  # options that name what is written


def name(block: Block) -> str:
    return block.place


@pytest.mark.parametrize('block', blocks(), ids=name)
def test_a_block_has_a_language(block):
    assert block.language in LANGUAGES
    starts = re.compile(r'^(\$ )?(python|bash|pip|export|import|from \w+ import)\b', re.MULTILINE)
    assert block.language != 'text' or not starts.search(block.text)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_code_is_fenced(page):
    """Code that is only indented would escape these tests."""
    text = re.sub(r'^( *)```.*?^\1```$', '', page.read_text('utf-8'), flags=re.M | re.S)
    assert re.findall(r'\n\n {4,}\S.*', text) == []


def test_blocks_of_python_are_run():
    """By exactly one call of `block`, here or in another test."""
    calls = [
        found
        for path in ROOT.glob('tests/**/*.py')
        for found in re.findall(r"block\('([\w/.]+)', '([^']+)'\)", path.read_text('utf-8'))
    ]
    for one in blocks('python'):
        page = str(one.page.relative_to(ROOT))
        runs = [word for place, word in calls if place == page and word in one.text]
        assert len(runs) == 1 or one.reason, one.place


# Commands.


class Parsed(BaseException):
    """Ends a tool when its arguments are parsed."""


def parsed(script: str, arguments: list[str], *, module: bool = False) -> argparse.Namespace:
    """The arguments of a tool, as its own parser reads them."""

    def stopping(parse):
        def stop(parser, args=None, namespace=None):
            raise Parsed(parse(parser, args, namespace))

        return stop

    names = ('parse_args', 'parse_intermixed_args')
    stops = {name: stopping(getattr(argparse.ArgumentParser, name)) for name in names}
    with (
        mock.patch.object(sys, 'argv', [script, *arguments]),
        mock.patch.multiple(argparse.ArgumentParser, **stops),
        pytest.raises(Parsed) as caught,
    ):
        if module:
            runpy.run_module(script, run_name='__main__', alter_sys=False)
        else:
            runpy.run_path(str(ROOT / script), run_name='__main__')
    return caught.value.args[0]


def arguments_of(words: list[str]) -> argparse.Namespace | None:
    """Check a command; its arguments if it is one of our tools."""
    program, *rest = words
    if program in FOREIGN:
        for option, value in zip(rest, rest[1:], strict=False):
            assert option not in ('-r', '--requirement') or (ROOT / value).is_file(), value
        return None
    script, *rest = rest
    if program == 'bash':
        assert (ROOT / script).is_file(), script
        if 'dist_' in script:  # CONFIG [CKPT] GPUS and the options of the tool
            number = 2 if 'test' in script else 1
            assert rest[number].isdecimal() or rest[number] == 'GPUS'
            tool = f'tools/{"test" if "test" in script else "train"}.py'
            return parsed(tool, rest[:number] + rest[number + 1 :])
        text = (ROOT / script).read_text('utf-8')
        options = [word for word in rest if word.startswith('--')]
        assert [option for option in options if option not in text] == []
        return None
    assert program == 'python', words
    if script != '-m':
        return parsed(script, rest)
    module, *rest = rest
    if module == 'pytest':
        known = (ROOT / 'setup.cfg').read_text('utf-8')
        assert all((ROOT / word).exists() or word == '-m' or f'{word}:' in known for word in rest)
        return None
    return parsed(module, rest, module=True)


@cache
def config(path: str) -> Config:
    return Config.fromfile(ROOT / path)


@pytest.mark.parametrize('block', blocks('bash'), ids=name)
def test_commands_are_understood(block, tmp_path, capsys):
    if block.reason:
        return
    for words in commands(block.text, tmp_path / 'record'):
        try:
            found = arguments_of(words)
        except SystemExit:
            pytest.fail(f'{" ".join(words)}: {capsys.readouterr().err}')
        options = getattr(found, 'cfg_options', None)
        for path in [getattr(found, 'config', None), *getattr(found, 'configs', [])]:
            if options and path and (ROOT / path).is_file():
                check_options(config(path), options, path=ROOT, **READ)
        for key in WRITTEN:
            out = getattr(found, key, None)
            if isinstance(out, str | Path) and not Path(out).is_absolute():  # not a default
                check_ignored(Path(out))


def check_ignored(out: Path) -> None:
    """What the docs tell users to write does not get into a commit; a taxonomy may."""
    if out.suffix == '.yaml':
        return
    done = subprocess.run(['git', '-C', ROOT, 'check-ignore', '-q', f'{out}/x'], check=False)
    if done.returncode == 128:
        pytest.skip('not a git checkout')
    assert done.returncode == 0, out


@pytest.mark.parametrize(
    ('script', 'words'),
    [
        ('for a in 1 2; do python x.py "$a b" c{d,e}; done', [['python', 'x.py', f'{n} b', 'cd', 'ce']
         for n in (1, 2)]),
        ('. .venv/bin/activate\nA=3 bash y.sh  # no', [['.', '.venv/bin/activate'], ['bash', 'y.sh']]),
        ('export X=1', []),
    ],
)  # fmt: skip
def test_what_bash_would_call(script, words, tmp_path):
    assert commands(script, tmp_path / 'record') == words


@pytest.mark.parametrize(
    'words',
    [
        'python tools/train.py CONFIG --sed 0',
        'python tools/nothing.py',
        'python -m benchmarks.speed.detectors CONFIG --wat training',
        'python -m pytest -m longer',
        'bash tools/setup.sh --development',
        'bash tools/dist_train.sh CONFIG --seed 0',
        'pip install -r requirements/nothing.txt',
        'pyton tools/train.py CONFIG',
    ],
)
def test_wrong_commands_are_found(words, capsys):
    with pytest.raises((SystemExit, AssertionError, FileNotFoundError)):
        arguments_of(words.split())


# Keys of a config in the text.

SECTIONS = 'model|train_dataloader|test_evaluator|default_hooks|(?:train|test)_pipeline|train_cfg'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_named_keys_are_read(page):
    """By the R101 preset, or by a small one."""
    named = re.findall(rf'`((?:{SECTIONS})(?:\.\w+)+)', page.read_text('utf-8'))
    for key in set(named) - {'train_dataloader.dataset.on_bad_image'}:
        for path in ('wgroup_r101_fpn_df2', 'wgroup_lite0_fpn_custom'):
            try:
                cfg = config(f'configs/multigrain/{path}.py')
                check_options(cfg, {key: 'x'}, path=ROOT, **READ)
                break
            except ValueError as error:
                problem = error
        else:
            raise problem


# Data and Python.


@pytest.mark.parametrize('block', blocks('yaml'), ids=name)
def test_taxonomies_load(block):
    taxonomy = Taxonomy.load(yaml.safe_load(block.text))
    assert taxonomy.num_classes > 4 and taxonomy.num_levels > 1


def test_the_difference_to_a_stock_config(tmp_path):
    """README's first block makes `wgroup` of the stock config."""
    (diff,) = blocks('diff')
    presets = config_folder() / 'multigrain'
    text = ''.join(f'{line[1:]}\n' for line in diff.text.splitlines() if line[0] in ' +')
    path = tmp_path / 'mine.py'
    path.write_text(text.replace("'./", f"'{presets}/"))
    expected = Config.fromfile(presets / 'wgroup_r18_fpn_custom.py')
    width = expected.model.roi_head.bbox_head.pop('coarse_width')
    assert inspect.signature(MultiGrainedBBoxHead).parameters['coarse_width'].default == width
    assert Config.fromfile(path).model == expected.model


def test_taxonomy_in_python():
    for statement in ast.parse(text := block('docs/taxonomy.md', 'Taxonomy.load')).body:
        code = ast.get_source_segment(text, statement)
        if not isinstance(statement, ast.Expr):
            exec(code)
            continue
        said = text.splitlines()[statement.end_lineno - 1].partition('  # ')[2]
        value = repr(eval(code))
        assert value == said or ('...' in said and value.startswith(said.partition(', ...')[0]))


@pytest.fixture
def my_data(tmp_path):
    """Two photos of 64 x 48 px with a box of each of three classes."""
    import cv2
    import numpy as np

    folder = tmp_path / 'my_data'
    (folder / 'photos').mkdir(parents=True)
    groups = {'shirt': 'top', 'vest': 'top', 'skirt': 'bottom'}
    coco = {
        'images': [
            {'id': number, 'file_name': f'{number}.jpg', 'width': 64, 'height': 48}
            for number in (1, 2)
        ],
        'annotations': [
            {'id': number, 'image_id': 1 + number % 2, 'category_id': number, 'bbox': [5, 5, 30, 30],
             'area': 900, 'iscrowd': 0} for number in (1, 2, 3)
        ],
        'categories': [
            {'id': number, 'name': name, 'supercategory': group}
            for number, (name, group) in enumerate(groups.items(), 1)
        ],
    }  # fmt: skip
    for split in ('train', 'val'):
        (folder / f'{split}.json').write_text(json.dumps(coco))
    for image in coco['images']:
        cv2.imwrite(str(folder / 'photos' / image['file_name']), np.zeros((48, 64, 3), np.uint8))
    return folder


def written(folder: Path, text: str) -> Path:
    """A config as the docs show it, in the user's folder."""
    path = folder / 'mine.py'
    path.write_text(text.replace('CONFIGS', str(config_folder())))
    return path


def test_inheriting_from_a_preset(my_data, monkeypatch):
    monkeypatch.chdir(my_data.parent)
    path = written(my_data.parent, block('README.md', 'CONFIGS/multigrain'))
    cfg = load_config(path)
    assert cfg.model.roi_head.bbox_head.taxonomy.groups.keys() == {'top', 'bottom'}
    assert cfg.train_dataloader.dataset.data_root == 'my_data/'
    assert cfg.max_iters == 24 * 2 // 8  # its epochs of two photos


def test_changing_a_config_of_mmdetection(my_data, monkeypatch):
    """The loss of one batch, and a result, with a smaller backbone and smaller photos."""
    monkeypatch.chdir(my_data.parent)
    path = written(my_data.parent, block('README.md', 'mmdet::faster_rcnn'))
    small = {
        'model.backbone.depth': 18,
        'model.neck.in_channels': [64, 128, 256, 512],
        'model.roi_head.bbox_head.fc_out_channels': 8,
        'train_dataloader.dataset.pipeline.2.scale': (64, 64),
    }
    cfg = load_config(path, small)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    sample = DATASETS.build(cfg.train_dataloader.dataset)[0]
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    assert {'loss_cls_fine', 'loss_cls_coarse', 'loss_bbox'} <= losses.keys()
    head = model.roi_head.bbox_head
    assert head.taxonomy.group_names(0) == ('top', 'bottom') and head.num_classes == 3
    assert cfg.runner_type == 'MultigrainRunner'
    assert (
        METRICS.build(cfg.test_evaluator) and len(DATASETS.build(cfg.val_dataloader.dataset)) == 2
    )


def test_ignore_regions_in_a_config(my_data, monkeypatch):
    monkeypatch.chdir(my_data.parent)
    base = f'_base_ = {str(config_folder() / "multigrain" / "baseline_r18_fpn_custom.py")!r}\n'
    path = written(my_data.parent, base + block('docs/labels.md', 'IgnoreRegionAssigner'))
    cfg = load_config(path, {'data_root': 'my_data'})
    assert DATASETS.build(cfg.train_dataloader.dataset).coarse == 'ignore'
    for stage in (cfg.model.train_cfg.rpn, cfg.model.train_cfg.rcnn):
        assigner = TASK_UTILS.build(stage.assigner)
        assert (type(assigner).__name__, assigner.ignore_iof_thr) == ('IgnoreRegionAssigner', 0.5)


def test_files_that_annotate_only_some_classes(my_data, monkeypatch):
    monkeypatch.chdir(my_data.parent)
    base = f'_base_ = {str(config_folder() / "multigrain" / "wgroup_r18_fpn_custom.py")!r}\n'
    path = written(my_data.parent, base + block('docs/labels.md', 'ConcatDataset'))
    (my_data.parent / 'garments.yaml').write_text('top: [shirt, vest]\nbottom: [skirt, trousers]\n')
    content = json.loads((my_data / 'train.json').read_text())
    for name, group in (('tops', 'top'), ('bottoms', 'bottom')):
        part = dict(content)
        part['categories'] = [c for c in content['categories'] if c['supercategory'] == group]
        if group == 'bottom':
            part['categories'] += [{'id': 4, 'name': 'trousers'}]
        ids = [category['id'] for category in part['categories']]
        part['annotations'] = [a for a in content['annotations'] if a['category_id'] in ids]
        (my_data / f'{name}.json').write_text(json.dumps(part))
    cfg = load_config(path, {'data_root': 'my_data'})
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    left_out = [sample['data_samples'].metainfo['unannotated'] for sample in dataset]
    assert left_out == [(2, 3)] * 2 + [(0, 1)] * 2
    check_unannotated(MODELS.build(cfg.model), dataset)
    stock = MODELS.build(
        {**cfg.model, 'roi_head': {**cfg.model.roi_head, 'type': 'StandardRoIHead'}}
    )
    with pytest.raises(
        ConfigError, match='^my_data/tops.json: .* the StandardRoIHead of model.roi_head'
    ):
        check_unannotated(stock, dataset)


def test_other_places_for_the_log(tmp_path):
    cfg = Config.fromfile(written(tmp_path, block('docs/training.md', 'TensorboardVisBackend')))
    kinds = [backend['type'] for backend in cfg.visualizer.vis_backends]
    assert kinds == ['LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']
    for number, backend in enumerate(cfg.visualizer.vis_backends):
        assert VISBACKENDS.get(backend['type']) is not None
        for key in backend.keys() - {'type'}:
            option = {f'visualizer.vis_backends.{number}.{key}': 'x'}
            cfg.visualizer.vis_backends[number].pop(key)
            check_options(cfg, option, path=ROOT, **READ)


def test_training_an_added_class(my_data, monkeypatch):
    monkeypatch.chdir(my_data.parent)
    path = written(my_data.parent, block('docs/adding_classes.md', 'AddedClassesHook'))
    (my_data.parent / 'B.yaml').write_text('top: [shirt, vest]\nbottom: [skirt, kimono]\n')
    content = json.loads((my_data / 'train.json').read_text())
    content['categories'] = [{'id': 3, 'name': 'kimono'}]
    content['annotations'] = [a for a in content['annotations'] if a['category_id'] == 3]
    (my_data / 'kimonos.json').write_text(json.dumps(content))
    cfg = load_config(path, {'data_root': 'my_data'})
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset[0]['data_samples'].metainfo['unannotated'] == (0, 1, 2)
    check_unannotated(MODELS.build(cfg.model), dataset)
    assert METRICS.build(cfg.val_evaluator).allow_missing
    assert HOOKS.build(cfg.default_hooks.added_classes).freeze == 'all_but_new'
    assert cfg.load_from == 'B.pth' and 'exact_resume' in cfg.default_hooks


def test_added_classes_apart_in_a_config(tmp_path):
    base = f'_base_ = {str(config_folder() / "multigrain" / "wgroup_r18_fpn_synthetic.py")!r}\n'
    path = written(tmp_path, base + block('docs/adding_classes.md', 'added=dict'))
    head = MODELS.build(load_config(path).model.roi_head.bbox_head)
    assert head.added == dict(classes=1, tau=0.5, max_per_img=100)
