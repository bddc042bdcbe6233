"""What messages advise exists and has the effect that they promise.

`EFFECTS` names, for each config key, option and command in a message, the test that follows the
advice. A message with other advice fails here until it has such a test.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.optim import build_optim_wrapper
from torch.optim import SGD

from mmdet_multigrain.datasets.samplers import ExactAspectRatioBatchSampler, ExactInfiniteSampler
from mmdet_multigrain.engine.checkpoint.frozen import frozen_at_random
from mmdet_multigrain.engine.hooks.checkpoint_report_hook import _check_frozen
from mmdet_multigrain.engine.hooks.preflight_hook import check_heads
from mmdet_multigrain.engine.runner import resolver
from mmdet_multigrain.engine.runner.positions import between_steps
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.launch.options import _OPTIONAL_KEYS, check_options
from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.models.backbones import efficientnet_lite
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
HERE = 'tests/test_advice.py'
HOOKS, TOOLS = 'tests/engine/hooks', 'tests/tools'
# Advice, without its value: the file whose tests follow it, and a word of theirs.
EFFECTS = {
    # Keys of a config.
    'allow_random_frozen': (f'{HOOKS}/test_checkpoint_report_start.py', 'allow_random_frozen=True'),
    'allow_unmatched_checkpoint': (
        f'{HOOKS}/test_checkpoint_report_start.py',
        'allow_unmatched_checkpoint=True',
    ),
    'default_hooks.checkpoint.interval': (HERE, 'test_checkpoints_between_steps'),
    'default_hooks.checkpoint.save_best': (f'{HOOKS}/test_safe_checkpoint_best.py', 'tiny.METRIC'),
    'default_hooks.ema.type': ('tests/test_compositions.py', "'default_hooks.ema.type': 'EMAHook'"),
    'default_hooks.exact_resume.X': (
        f'{HOOKS}/test_exact_resume_hook.py',
        'allow_length_change=Tr',
    ),
    'default_hooks.logger.interval': (f'{TOOLS}/test_compare_losses.py', 'iterations in common'),
    'epochs': (HERE, 'test_one_length'),
    'find_unused_parameters': (
        f'{HOOKS}/test_added_classes_hook.py',
        'find_unused_parameters=True',
    ),
    'grouped': ('tests/cases/test_03.py', 'wogroup'),
    'launcher': ('tests/engine/runner/test_runner.py', "('cpu', 'pytorch', [dict"),
    'load_box_head': ('tests/engine/checkpoint/test_box_heads.py', 'load_box_head=True'),
    'load_from': (f'{HOOKS}/test_checkpoint_report_start.py', 'build(load_from=trained)'),
    'main_tree': ('tests/engine/runner/test_resolver.py', 'test_the_main_tree'),
    'max_iters': ('tests/launch/test_options.py', 'test_a_length_moves_the_schedule'),
    'model.backbone.X': (HERE, 'test_a_backbone_from_random_values'),
    'model.backbone.frozen_stages': (HERE, 'test_a_backbone_from_random_values'),
    'model.backbone.init_cfg': (HERE, 'test_a_backbone_from_random_values'),
    'model.backbone.norm_eval': (HERE, 'test_a_backbone_from_random_values'),
    'model.train_cfg.rcnn.assigner': ('tests/test_docs_blocks.py', "'IgnoreRegionAssigner', 0.5"),
    'model.train_cfg.rpn.assigner': ('tests/test_docs_blocks.py', "'IgnoreRegionAssigner', 0.5"),
    'num_classes': (HERE, 'test_a_number_of_classes'),
    'optim_wrapper.optimizer.lr': (HERE, 'test_a_lower_learning_rate'),
    'taxonomy': (HERE, 'test_a_file_for_the_taxonomy'),
    'test_evaluator.format_only': (
        'tests/evaluation/metrics/test_metric_options.py',
        'format_only=True',
    ),
    'train_cfg.max_iters': ('tests/launch/test_options.py', "'train_cfg.max_iters': 20"),
    'train_dataloader.dataset.annotated': (
        'tests/datasets/test_unannotated.py',
        "annotated='per_image'",
    ),
    'train_dataloader.dataset.ann_file': ('tests/engine/runner/test_resolver.py', 'ann_file'),
    'train_dataloader.dataset.coarse': ('tests/test_docs_blocks.py', "coarse == 'ignore'"),
    'train_dataloader.sampler.type': (HERE, 'test_a_sampler_for_batches'),
    'batch_sampler.type': ('tests/datasets/test_seeded_dataset.py', 'ExactAspectRatioBatchSampler'),
    'filter_cfg.min_size': ('tests/coco/test_columns.py', 'min_size'),
    'MULTIGRAIN_DATA': ('tests/launch/test_configs.py', "setenv('MULTIGRAIN_DATA'"),
    'MULTIGRAIN_TRAIN_ANN': ('tests/test_configs.py', "setenv('MULTIGRAIN_TRAIN_ANN'"),
    'MULTIGRAIN_VAL_IMAGES': ('tests/engine/runner/test_resolver.py', 'MULTIGRAIN_VAL_IMAGES'),
    # Options.
    '--ann-file': (f'{TOOLS}/test_report.py', "'--ann-file'"),
    '--blur-faces': (f'{TOOLS}/test_browse.py', "'--blur-faces'"),
    '--coarse': (f'{TOOLS}/test_check_dataset.py', 'test_the_way_of_boxes_with_a_superclass'),
    '--from': (f'{TOOLS}/test_check_dataset.py', 'test_the_way_of_boxes_with_a_superclass'),
    '--also': (f'{TOOLS}/test_check_dataset.py', 'test_more_training_files'),
    '--config': (f'{TOOLS}/test_suggested_groups.py', "config = '--config'"),
    '--evaluated-on': (f'{TOOLS}/test_suggested_groups.py', "'--evaluated-on', files"),
    '--groups': (f'{TOOLS}/test_suggested_groups.py', "'--groups', 3, '--out'"),
    '--cfg-options': ('tests/launch/test_options.py', 'check_options'),
    '--fix': (f'{TOOLS}/test_check_dataset.py', "'--fix'"),
    '--force': (f'{TOOLS}/test_make_taxonomy.py', "'--force').status == 0"),
    '--lineages': (f'{TOOLS}/test_test.py', 'test_lineages_change_nothing_else'),
    '--group-of': ('tests/converters/test_openimages.py', "group_of='drop'"),
    '--group-by': (f'{TOOLS}/test_split_dataset.py', "'--group-by', 'folder'"),
    '--hedge': (f'{TOOLS}/test_browse.py', "'--hedge', '0.5')"),
    '--hierarchy': ('tests/converters/test_openimages_selection.py', 'hierarchy'),
    '--image-labels': (f'{TOOLS}/test_openimages_v4.py', "'--image-labels'"),
    '--image-sizes': (f'{TOOLS}/test_openimages_v4.py', "'--image-sizes'"),
    '--images': ('tests/cases/test_04_05_13.py', "'--images'"),
    '--judge': (f'{TOOLS}/test_suggested_groups.py', "'--judge',"),
    '--level': (f'{TOOLS}/test_test.py', "'--level', 'coarse'"),
    '--max-dets': (f'{TOOLS}/test_test.py', "'--max-dets'"),
    '--node': (f'{TOOLS}/test_openimages_v4.py', "'--node'"),
    '--out-checkpoint': (f'{TOOLS}/test_sweep_scores.py', "'--out-checkpoint'"),
    '--overwrite': ('tests/converters/test_synthetic_deepfashion2.py', 'overwrite=True) == 5'),
    '--paper': (f'{TOOLS}/test_report.py', "report('--paper', dataset"),
    '--resume': (f'{TOOLS}/test_train.py', "'--resume'"),
    '--score-thr': (f'{TOOLS}/test_browse.py', "'--score-thr', thr).status == 0"),
    '--speed': (f'{TOOLS}/test_train_speed.py', 'amp-bf16'),
    '--split': (f'{TOOLS}/test_openimages_v4.py', "'--split', 'validation'"),
    '--taxonomy': (
        f'{TOOLS}/test_check_dataset.py',
        "'--taxonomy', tmp_path / 'mine.yaml')[0] == 0",
    ),
    '--to': (f'{TOOLS}/test_export.py', "'--to', 'onnx'"),
    '--train-ann-file': ('tests/report/runs/test_load.py', 'not used, as each result holds'),
    '--trust-checkpoint': (f'{TOOLS}/test_trust.py', "'--trust-checkpoint'"),
    '--until': (f'{TOOLS}/test_compare_losses.py', "'--until', 2).err == ''"),
}
SECTIONS = (
    'model|(?:train|val|test)_(?:dataloader|evaluator|cfg|pipeline)|batch_sampler|filter_cfg|env_cfg|'
    '(?:default|custom)_hooks|optim_wrapper|param_scheduler|visualizer|log_processor'
)
ADVICE = re.compile(
    rf'(?<![\w./-])--[a-z][a-z-]+|\b(?:{SECTIONS})(?:\.[a-zX_]+)+|\bMULTIGRAIN_[A-Z_]+'
    r'|(?<!\w\()(?<![\w.])[a-z_]+(?==[A-Z\'X-])'
)
# Not advice, but arguments of the class that the message names, or options of pip.
ECHOES = {
    'branch_fcs', 'coarse_labels', 'coarse_width', 'device', 'dtype', 'frozen_stages',
    'level_weights', 'max_dets', 'model.roi_head.bbox_head', 'norm_eval', 'out_indices',
    'reg_weights', 'type', 'use_sigmoid', 'with_avg_pool', 'default_hooks.exact_resume',
    '--force-reinstall', '--no-deps', '--strict',
}  # fmt: skip


def messages(tree: ast.Module) -> Iterator[str]:
    """Texts of several words, apart from docstrings and help; what is put into them is an X."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for value in node.values for part in ast.walk(value)}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.keyword) and node.arg == 'help':
            skipped |= {id(part) for part in ast.walk(node.value)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else 'X' for part in node.values)
            yield ''.join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ' ' in node.value:
            yield node.value


def fix(text: str) -> str:
    """The part of a message that advises: from the first semicolon, bracket or alternative on."""
    return ' '.join(re.split(r'; |\(|, or ', text, maxsplit=1)[1:])


@cache
def texts() -> list[tuple[str, Path]]:
    """All messages, and the files that give them."""
    return [
        (text, path)
        for folder in ('mmdet_multigrain', 'tools')
        for path in sorted(ROOT.glob(f'{folder}/**/*.py'))
        for text in messages(ast.parse(path.read_text('utf-8')))
    ]


@cache
def advice() -> dict[str, str]:
    """The keys and options that they advise."""
    found = {}
    for text, path in texts():
        # What checks find and how to fix it are separate texts.
        advised = text if path.parent.name == 'checks' else fix(text)
        found |= dict.fromkeys(ADVICE.findall(advised), path.name)
    return {key: name for key, name in found.items() if key not in ECHOES}


@cache
def config() -> Config:
    return Config.fromfile(ROOT / 'configs' / 'multigrain' / 'wgroup_r101_fpn_df2.py')


def test_every_advice_has_a_test_of_its_effect():
    assert len(advice()) > 30
    assert {key: path for key, path in advice().items() if key not in EFFECTS} == {}


@pytest.mark.parametrize('key', EFFECTS)
def test_the_tests_are_there(key):
    path, word = EFFECTS[key]
    assert word in (ROOT / path).read_text('utf-8')


@pytest.mark.parametrize('key', sorted(key for key in advice() if key.startswith('--')))
def test_advised_options_exist(key):
    tools = '\n'.join(path.read_text('utf-8') for path in ROOT.glob('tools/**/*.py'))
    shared = (ROOT / 'mmdet_multigrain/launch').glob('*.py')
    known = tools + '\n'.join(path.read_text('utf-8') for path in shared)
    assert re.search(rf"(add_argument|add)\(\s*'{key}'", known)


@pytest.mark.parametrize('key', sorted(key for key in advice() if key[0].islower()))
def test_advised_keys_are_read(key):
    """By one of our configs: in full, or below the data or the model that a message is about."""
    key = key.replace('.X', '.allow_data_change' if 'exact_resume' in key else '.init_cfg')
    if key in {*resolver.KEYS, *_OPTIONAL_KEYS, 'launcher', 'load_from'}:
        return
    place = {
        'batch_sampler': 'train_dataloader.',
        'filter_cfg': 'train_dataloader.dataset.',
        'grouped': 'model.roi_head.bbox_head.',
        'num_classes': 'model.roi_head.bbox_head.',
        'test_cfg': 'model.',
    }.get(key.partition('.')[0], '')
    value = {f'{place}{key}': 'ExactInfiniteSampler'}
    check_options(config(), value, path=ROOT, keys=resolver.KEYS, sources=resolver.TABLE)


def test_advised_files_exist():
    named = re.compile(r'(?:tools|requirements|docs)/[\w/]+\.\w+')
    files = {name for text, _ in texts() for name in named.findall(text)}
    assert {'tools/test.py', 'tools/check_dataset.py', 'requirements/export.txt'} <= files
    assert [name for name in files if not (ROOT / name).is_file()] == []


# The effects that no other test shows.


def keys_in(message: str) -> dict[str, object]:
    """The keys with values that a message names, as --cfg-options would take them."""
    values = {'None': None, 'False': False, 'True': True, '-1': -1}
    return {
        key: values[value] for key, value in re.findall(r'([\w.]+)=(None|False|True|-1)', message)
    }


@pytest.mark.parametrize('name', ['wgroup_lite0_fpn_custom', 'wgroup_r101_fpn_df2'])
def test_a_backbone_from_random_values(name, monkeypatch):
    path = ROOT / 'configs' / 'multigrain' / f'{name}.py'
    if 'lite0' in name:
        monkeypatch.setattr(efficientnet_lite, 'find_spec', lambda name: None)
        with pytest.raises(ConfigError, match='or start from random values with') as caught:
            efficientnet_lite._packaged_file()
    else:
        backbone = MODELS.build({**config().model.backbone, 'depth': 18})
        with pytest.raises(ConfigError, match='frozen stages of the backbone stay') as caught:
            _check_frozen(detector(backbone), frozenset(), load_from=None)
    taxonomy = {'taxonomy': 'deepfashion2'}
    advised = keys_in(str(caught.value))
    advised.pop('load_from', None), advised.pop('allow_random_frozen', None)
    assert advised.keys() >= {'model.backbone.frozen_stages', 'model.backbone.norm_eval'}
    cfg = load_config(path, {**taxonomy, **advised, 'max_iters': 9})
    backbone = {**cfg.model.backbone, **({} if 'lite0' in name else {'depth': 18})}
    assert frozen_at_random(detector(MODELS.build(backbone)), ()) == []


def detector(backbone: torch.nn.Module) -> torch.nn.Module:
    return torch.nn.ModuleDict({'backbone': backbone})


def test_a_package_of_weights_is_the_one_that_is_required():
    required = (ROOT / 'requirements' / 'lite0.txt').read_text('utf-8')
    assert efficientnet_lite.WEIGHTS in required


def test_a_number_of_classes(garments):
    stock = dict(type='Shared2FCBBoxHead', in_channels=1, roi_feat_size=1, fc_out_channels=2)
    classes = dict(classes=garments.classes)

    def model(head):
        return SimpleNamespace(named_modules=lambda: [('roi_head.bbox_head', head)])

    with pytest.raises(ConfigError, match=r'give both the same taxonomy \(or num_classes=5\)'):
        check_heads(model(MODELS.build({**stock, 'num_classes': 4})), classes, source='a.json')
    check_heads(model(MODELS.build({**stock, 'num_classes': 5})), classes, source='a.json')
    # A head with a taxonomy takes the number from there.
    grained = {key: value for key, value in stock.items() if key != 'type'}
    with pytest.raises(ConfigError, match='num_classes=5: .* leave num_classes out'):
        MultiGrainedBBoxHead(taxonomy='deepfashion2', num_classes=5, **grained)
    other = MultiGrainedBBoxHead(taxonomy='deepfashion2', **grained)
    with pytest.raises(ConfigError, match='5; give both the same taxonomy$'):
        check_heads(model(other), classes, source='a.json')
    check_heads(model(MultiGrainedBBoxHead(taxonomy=garments, **grained)), classes, source='a.json')


def test_a_lower_learning_rate():
    """A new run from a checkpoint has its own; a resumed one takes that of the checkpoint."""
    path = ROOT / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'
    spoiled = SGD([parameter := torch.nn.Parameter(torch.zeros(1))], lr=9.0)
    cfg = load_config(path, {'load_from': 'a.pth', 'optim_wrapper.optimizer.lr': 1e-6})
    model = torch.nn.Module()
    model.register_parameter('weight', parameter)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    assert wrapper.get_lr()['lr'] == [1e-6] and cfg.load_from == 'a.pth'
    wrapper.load_state_dict(dict(spoiled.state_dict(), state={}))
    assert wrapper.get_lr()['lr'] == [9.0]


def test_a_file_for_the_taxonomy(tmp_path):
    with pytest.raises(ConfigError, match="^taxonomy='auto' needs train_ann"):
        resolver.resolve(Config(dict(taxonomy='auto')))
    groups = {'shirt': 'top', 'vest': 'top', 'skirt': 'bottom'}
    categories = [
        {'id': number, 'name': name, 'supercategory': group}
        for number, (name, group) in enumerate(groups.items(), 1)
    ]
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(dict(images=[], annotations=[], categories=categories)))
    cfg = Config(dict(taxonomy='auto', train_ann=str(path)))
    resolver.resolve(cfg)
    assert Taxonomy.load(cfg.taxonomy.to_dict()).group_names(0) == ('top', 'bottom')


def test_a_sampler_for_batches():
    data = range(8)
    with pytest.raises(ConfigError, match='not on a DefaultSampler; set train_dataloader.sampler'):
        ExactAspectRatioBatchSampler(DefaultSampler(data), 2)
    ExactAspectRatioBatchSampler(ExactInfiniteSampler(data), 2)


@pytest.mark.parametrize('other', [dict(epochs=None), dict(max_iters=None)])
def test_one_length(other):
    both = dict(epochs=6, max_iters=5)
    with pytest.raises(ConfigError, match='set one of them and the other to None$'):
        resolver.resolve(Config(both))
    resolver.resolve(Config(both | other))


@pytest.mark.parametrize(('interval', 'between'), [(3, True), (4, False), (8, False)])
def test_checkpoints_between_steps(interval, between):
    runner = SimpleNamespace(optim_wrapper=SimpleNamespace(_accumulative_counts=4), max_iters=1000)
    assert between_steps(runner, interval) is between
