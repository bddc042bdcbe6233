"""Every composition of detector, loss and order trains; and what they make of a config."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import mmdet
import pytest
from mmdet.models.losses import CrossEntropyLoss, SeesawLoss
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset
from mmengine.hooks import EMAHook
from torch import nn

from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.converters.synthetic_deepfashion2 import SyntheticSpec, generate
from mmdet_multigrain.datasets.samplers import ExactClassAwareSampler
from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.engine.hooks.channels_last_hook import check_operators
from mmdet_multigrain.engine.runner.compositions import COMPOSITIONS
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.utils.errors import ConfigError

from .compositions import PARTS, PRESETS, write_config
from .doc_blocks import block
from .tools.conftest import plain_configs  # noqa: F401 (a fixture)

DETECTORS = 'plain', 'cascade', 'mask'
LOSSES = 'CE', 'seesaw'
ORDERS = 'uniform', 'repeat', 'class_aware'
STOCK = Path(mmdet.__file__).parent / '.mim' / 'configs'
NEUTRAL = {'plain', 'CE', 'uniform'}  # what a preset is without a composition
ALL = [*itertools.product(DETECTORS, LOSSES, ORDERS)]
# The smallest detector that has all parts, on photos of 64 x 80 px.
TINY = """
_base_ = {base!r}
data_root = {data!r}
train_cfg = dict(max_iters=1, val_interval=1)
model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=50, max_per_img=20), rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(nms_pre=20, max_per_img=5), rcnn=dict(score_thr=0.001, max_per_img=5)),
)
# Serializing collects garbage, a fifth of the time of such a run.
data = dict(serialize_data=False)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(interval=9, save_best=None, save_last=False))
"""


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """A config of the tiny `wgroup`, with the masks of four drawn photos."""
    folder = tmp_path_factory.mktemp('tiny')
    generate(
        folder / 'data', SyntheticSpec(num_train=4, num_val=1, width=64, height=80), progress=False
    )
    for split in ('train', 'validation'):
        convert(folder / 'data', split, with_segmentation=True, progress=False)
    base = str(PRESETS / 'wgroup_r18_fpn_synthetic.py')
    path = folder / 'tiny.py'
    path.write_text(TINY.format(base=base, data=str(folder / 'data')))
    return path


def trained(path, tmp_path, names, **options):
    """The runner of one iteration with a validation, its config of three lines, its log."""
    text = write_config(tmp_path / 'composed.py', path, *names)
    assert len(text.splitlines()) <= 3
    cfg = load_config(tmp_path / 'composed.py', options)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.experiment_name = '-'.join((tmp_path.name, *names))
    runner = MultigrainRunner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.parametrize(('detector', 'loss', 'order'), ALL)
def test_all_compositions_train(tiny, tmp_path, plain_configs, detector, loss, order):  # noqa: F811
    runner = trained(tiny, tmp_path, [n for n in (detector, loss, order) if n not in NEUTRAL])
    losses = {
        key.removeprefix('train/'): value.current()
        for key, value in runner.message_hub.log_scalars.items()
        if key.startswith('train/') and 'loss' in key
    }
    assert all(map(math.isfinite, losses.values()))
    stages = ['s0.', 's1.', 's2.'] if detector == 'cascade' else ['']
    assert {f'{stage}loss_cls_{level}' for stage in stages for level in ('fine', 'coarse')} <= {
        *losses
    }
    assert ('loss_mask' in losses) == (detector == 'mask')
    head = runner.model.roi_head.bbox_head
    heads = [*head] if isinstance(head, nn.ModuleList) else [head]
    assert len(heads) == len(stages)
    for one in heads:
        assert isinstance(one, MultiGrainedBBoxHead)
        fine = one.loss_cls.fine_loss
        assert type(fine) is (SeesawLoss if loss == 'seesaw' else CrossEntropyLoss)
        assert loss == 'CE' or fine.cum_samples.sum() > 0
    loader = runner.train_dataloader
    assert isinstance(loader.dataset.dataset, ClassBalancedDataset) == (order == 'repeat')
    sampler = loader.batch_sampler.sampler
    assert isinstance(sampler, ExactClassAwareSampler) == (order == 'class_aware')
    values = runner.message_hub.runtime_info.keys() | runner.message_hub.log_scalars.keys()
    assert any('segm_mAP' in key for key in values) == (detector == 'mask')


def test_a_moving_average_from_the_command_line(tiny, tmp_path, plain_configs):  # noqa: F811
    """`custom_hooks` is a list, which options cannot extend; all hooks of the config stay."""
    options = {'default_hooks.ema.type': 'EMAHook', 'default_hooks.ema.momentum': 0.5}
    with pytest.raises(ConfigError, match=r'a list with .*; set default_hooks\.ema\.type=EMAHook'):
        load_config(tiny, {'custom_hooks.4.type': 'EMAHook'})
    # The first iteration gives the average its first values.
    two = {'train_cfg.max_iters': 2, 'default_hooks.checkpoint.interval': 2}
    runner = trained(tiny, tmp_path, ['seesaw'], **options, **two)
    assert [type(hook) for hook in runner.hooks].count(EMAHook) == 1
    kinds = {type(hook).__name__ for hook in runner.hooks}
    assert {'PreflightHook', 'FiniteLossHook', 'ExactResumeHook', 'IterationSeedHook'} <= kinds
    saved = read_checkpoint(str(tmp_path / 'work' / 'iter_2.pth'))
    name = 'roi_head.bbox_head.fc_cls.weight'
    average, last = saved['state_dict'][name], saved['ema_state_dict'][f'module.{name}']
    assert not average.equal(last)
    assert last.equal(runner.model.state_dict()[name])
    # Tests load the average.
    loaded = load_config(tmp_path / 'composed.py', options)
    loaded.update(load_from=str(tmp_path / 'work' / 'iter_2.pth'), work_dir=str(tmp_path / 'test'))
    loaded.experiment_name = f'{tmp_path.name}-test'
    tester = MultigrainRunner.from_cfg(loaded)
    tester.call_hook('before_run')
    tester.load_or_resume()
    assert tester.model.state_dict()[name].equal(average)


def test_what_a_cascade_is_made_of(tiny, tmp_path):
    """MMDetection's own config, but for the type of heads and the sizes of the preset."""
    write_config(tmp_path / 'composed.py', tiny, 'cascade')
    plain, cfg = load_config(tiny).model, load_config(tmp_path / 'composed.py').model
    stock = Config.fromfile(STOCK / 'cascade_rcnn' / 'cascade-rcnn_r50_fpn_1x_coco.py').model
    assert (cfg.type, cfg.roi_head.type) == (stock.type, stock.roi_head.type)
    assert cfg.roi_head.stage_loss_weights == stock.roi_head.stage_loss_weights
    for ours, theirs in zip(cfg.roi_head.bbox_head, stock.roi_head.bbox_head, strict=True):
        assert ours.bbox_coder == theirs.bbox_coder and ours.reg_class_agnostic
        assert ours.taxonomy == plain.roi_head.bbox_head.taxonomy
        assert (ours.fc_out_channels, ours.loss_bbox) == (16, theirs.loss_bbox)
    for ours, theirs in zip(cfg.train_cfg.rcnn, stock.train_cfg.rcnn, strict=True):
        assert ours.assigner == theirs.assigner
        assert ours.sampler == plain.train_cfg.rcnn.sampler


def test_what_masks_are_made_of(tiny, tmp_path):
    write_config(tmp_path / 'composed.py', tiny, 'mask')
    cfg = load_config(tmp_path / 'composed.py', speed=['amp-bf16', 'channels-last'])
    stock = Config.fromfile(STOCK / 'mask_rcnn' / 'mask-rcnn_r50_fpn_1x_coco.py').model
    model = cfg.model
    assert model.type == stock.type and model.data_preprocessor.pad_mask
    sizes = dict(in_channels=16, conv_out_channels=16, num_classes=13)
    assert model.roi_head.mask_head == {**stock.roi_head.mask_head, **sizes}
    boxes, masks = model.roi_head.bbox_roi_extractor, model.roi_head.mask_roi_extractor
    assert masks == {**boxes, 'roi_layer': {**boxes.roi_layer, 'output_size': 14}}
    assert masks.type == 'PlainRoIExtractor'  # also without these options, which need it
    assert model.train_cfg.rcnn.mask_size == stock.train_cfg.rcnn.mask_size
    assert model.test_cfg.rcnn.mask_thr_binary == stock.test_cfg.rcnn.mask_thr_binary
    loads = [step for step in cfg.train_dataloader.dataset.pipeline if 'with_mask' in step]
    assert [step.type for step in loads] == ['LoadAnnotations']
    check_operators(MODELS.build(model))


def test_masks_in_a_cascade(tiny, tmp_path):
    write_config(tmp_path / 'composed.py', tiny, 'cascade', 'mask')
    cfg = load_config(tmp_path / 'composed.py').model
    assert (cfg.type, cfg.roi_head.type) == ('CascadeRCNN', 'CascadeRoIHead')
    assert [stage.mask_size for stage in cfg.train_cfg.rcnn] == [28] * 3
    assert len(MODELS.build(cfg).roi_head.mask_head) == 3


@pytest.mark.parametrize('variant', ['faster-rcnn', 'baseline', 'wogroup', 'merged'])
def test_other_heads_take_a_cascade_and_masks(tmp_path, variant):
    base = PRESETS / f'{variant}_r18_fpn_synthetic.py'
    write_config(tmp_path / 'composed.py', base, 'cascade', 'mask', 'repeat', 'class_aware')
    roi_head = MODELS.build(load_config(tmp_path / 'composed.py').model).roi_head
    own = MODELS.build(load_config(base).model.roi_head.bbox_head)
    assert [type(head) for head in roi_head.bbox_head] == [type(own)] * 3
    assert {head.num_classes for head in (*roi_head.bbox_head, *roi_head.mask_head)} == {13}


def test_a_composition_is_changed_below_its_key_or_where_it_ends_up(tiny, tmp_path):
    text = write_config(tmp_path / 'composed.py', tiny, 'repeat', 'cascade')
    own = 'repeat = dict(train_dataloader=dict(dataset=dict(oversample_thr=0.7)))'
    head = 'model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=24)))'
    (tmp_path / 'composed.py').write_text(f'{text}{own}\n{head}\n')
    cfg = load_config(tmp_path / 'composed.py')
    assert cfg.train_dataloader.dataset.oversample_thr == 0.7
    assert [stage.fc_out_channels for stage in cfg.model.roi_head.bbox_head] == [24] * 3
    options = {
        'train_dataloader.dataset.oversample_thr': 0.3,
        'model.roi_head.bbox_head.1.fc_out_channels': 8,
    }
    cfg = load_config(tmp_path / 'composed.py', options)
    assert cfg.train_dataloader.dataset.oversample_thr == 0.3
    assert [stage.fc_out_channels for stage in cfg.model.roi_head.bbox_head] == [24, 8, 24]


def test_the_written_config_is_complete(tiny, tmp_path):
    write_config(tmp_path / 'composed.py', tiny, 'mask', 'cascade', 'seesaw', 'class_aware')
    cfg = load_config(tmp_path / 'composed.py')
    cfg.dump(tmp_path / 'dumped.py')
    assert not {*COMPOSITIONS} & {*cfg}
    assert load_config(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    ('name', 'base', 'reason'),
    [
        (
            'seesaw',
            'faster-rcnn_r18_fpn_synthetic.py',
            'model.roi_head.bbox_head.loss_cls has no HierarchicalCrossEntropyLoss to change '
            '(found: CrossEntropyLoss); leave seesaw out',
        ),
        (
            'seesaw',
            'merged_r18_fpn_synthetic.py',
            'model.roi_head.bbox_head.loss_cls has no HierarchicalCrossEntropyLoss to change '
            '(found: CrossEntropyLoss); leave seesaw out',
        ),
    ],
)
def test_what_has_no_part_for_a_composition_is_refused(tmp_path, name, base, reason):
    write_config(tmp_path / 'composed.py', PRESETS / base, name)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / 'composed.py')
    assert str(caught.value) == f'{name}: {reason}'


def test_every_file_of_a_composition_sets_its_own_key():
    for path in PARTS.glob('*.py'):
        assert [*Config.fromfile(path)] == [path.stem]
    assert {path.stem for path in PARTS.glob('*.py')} == {*COMPOSITIONS}


def test_the_config_of_the_docs(tiny, tmp_path):
    text = block('docs/compositions.md', 'class_aware.py')
    assert text.count('/compositions/') == 3
    path = tmp_path / 'mine.py'
    path.write_text(text.replace('CONFIGS', str(PRESETS.parent)))
    cfg = load_config(path, {'taxonomy': 'deepfashion2', 'max_iters': 9})
    assert cfg.data_root == 'my_data/' and cfg.model.type == 'CascadeRCNN'
    for head in cfg.model.roi_head.bbox_head:
        assert head.loss_cls.fine_loss == dict(type='SeesawLoss')
    assert cfg.train_dataloader.sampler.type == 'ExactClassAwareSampler'


def test_the_docs_have_all_compositions():
    """A row for each detector and loss, a column for each order."""
    page = (PRESETS.parents[1] / 'docs' / 'compositions.md').read_text('utf-8')
    rows = re.findall(r'^\|.*\| (\**\w+\**) \| (\**\w+\**) \| (\**\w+\**) \|$', page, flags=re.M)
    cells = [cell for row in rows for cell in row if 'trains' in cell]
    assert len(cells) == len(ALL) == 18 and cells.count('**trains**') == 3
