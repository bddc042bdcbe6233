"""Overrides by dotted key: what a run reads is accepted, anything else gets a near name."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmdet_multigrain.engine.runner import resolver
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.launch.options import check_options
from mmdet_multigrain.utils.errors import ConfigError

LITE, DF2 = 'wgroup_lite0_fpn_custom', 'wgroup_r101_fpn_df2'
HEAD = 'model.roi_head.bbox_head'


@cache
def config(repository, name) -> Config:
    return Config.fromfile(repository / 'configs' / 'multigrain' / f'{name}.py')


@pytest.fixture
def check(repository):
    """Check options on a config of ours; the message, or None."""

    def call(*options: str, name: str = LITE, cfg: Config | None = None) -> str | None:
        cfg = cfg or config(repository, name)
        values = dict(option.split('=', 1) for option in options)
        sources = dict(keys=resolver.KEYS, sources=resolver.TABLE)
        try:
            check_options(cfg, values, path='CONFIG', **sources)
        except ConfigError as error:
            return str(error)

    return call


@pytest.mark.parametrize(
    'options',
    [
        # In the config.
        'train_dataloader.batch_size=4',
        'train_pipeline.2.ratio_range=(1.0,1.0)',
        'tta_pipeline.1.transforms.0.0.scale=(8,8)',
        'param_scheduler.0.end=10',
        f'{HEAD}.loss_cls.type=CrossEntropyLoss',
        # Not in the config, but arguments of the classes there, or of their bases.
        f'{HEAD}.loss_cls.level_weights=[1,1]',
        f'{HEAD}.reg_class_agnostic=True',
        f'{HEAD}.reg_per=group',
        'model.backbone.with_cp=True',
        'train_dataloader.dataset.indices=8',
        'train_dataloader.dataset.allow_unknown=True',
        'test_evaluator.format_only=True',
        'default_hooks.checkpoint.save_optimizer=False',
        'default_hooks.exact_resume.allow_data_change=True',
        'optim_wrapper.accumulative_counts=2',
        'optim_wrapper.optimizer.nesterov=True',
        'param_scheduler.1.verbose=True',
        'train_cfg.val_begin=5',
        # Of functions and classes outside the registries, or passed on by **kwargs.
        'model.test_cfg.rcnn.nms.score_threshold=0.1',
        'model.roi_head.bbox_roi_extractor.roi_layer.aligned=False',
        'train_pipeline.2.interpolation=nearest',
        # Read from entries without a type.
        'train_dataloader.pin_memory=True',
        'train_dataloader.num_batch_per_epoch=4',
        'model.test_cfg.rcnn.mask_thr_binary=0.5',
        'randomness.deterministic=True',
        'env_cfg.dist_cfg.timeout=1800',
        'optim_wrapper.clip_grad.norm_type=2',
        'optim_wrapper.paramwise_cfg.bias_lr_mult=2',
        'fast_loading.reduced_decode=False',
        'load_box_head=True',
        # Taken by builders.
        'custom_hooks.0.priority=LOW',
        'model.backbone.norm_cfg.requires_grad=False',
        f'{HEAD}.loss_cls._delete_=True',
        # Names that are the user's.
        'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1',
        'test_evaluator.class_sets.tail=[a]',
        'compile.backend=eager',
        # Several that go together: the type counts that is set.
        'model.backbone.dcn.type=DCNv2 model.backbone.dcn.deform_groups=1',
        'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=a.pth',
        'model.backbone.norm_cfg.num_groups=2 model.backbone.norm_cfg.type=GN',
        'default_hooks.early.type=EarlyStoppingHook default_hooks.early.monitor=loss',
        'default_hooks.ema.type=EMAHook default_hooks.ema.ema_type=ExpMomentumEMA '
        'default_hooks.ema.gamma=100',
    ],
)
def test_what_a_run_reads(check, options):
    name = DF2 if re.search('backbone.(with_cp|norm|dcn|init)|nesterov', options) else LITE
    assert check(*options.split(), name=name) is None


@pytest.mark.parametrize(
    ('option', 'hint'),
    [
        ('train_dataloader.batchsize', "has no 'batchsize'; did you mean 'batch_size'?"),
        ('train_dataloader.pinmemory', "did you mean 'pin_memory'?"),
        ('train_dataloader.foo', "has no 'foo'; nothing reads it"),
        ('train_dataloader.dataset.annfile', "did you mean 'ann_file'?"),
        ('train_dataloader.dataset.filter_cfg.minsize', "did you mean 'min_size'?"),
        (
            f'{HEAD}.loss_cls.levelweights',
            "(HierarchicalCrossEntropyLoss) takes no 'levelweights'; did you mean 'level_weights'?",
        ),
        ('model.roihead.bbox_head.fc_out_channels', "did you mean 'roi_head'?"),
        ('model.backbone.frozen_stage', "did you mean 'frozen_stages'?"),
        (
            'model.backbone.with_cp',
            "(EfficientNetLite) takes no 'with_cp'; it takes 'frozen_stages'",
        ),
        ('model.test_cfg.rcnn.scorethr', "did you mean 'score_thr'?"),
        ('model.test_cfg.rcnn.nms.iou_thr', "did you mean 'iou_threshold'?"),
        ('model.train_cfg.rcnn.sampler.foo', "(RandomSampler) takes no 'foo'; it takes 'add_gt_as"),
        ('optim_wrapper.optimizer.weightdecay', "did you mean 'weight_decay'?"),
        ('optim_wrapper.clip_grad.maxnorm', "did you mean 'max_norm'?"),
        ('optim_wrapper.paramwise_cfg.norm_decay', "did you mean 'norm_decay_mult'?"),
        ('param_scheduler.1.eta_min_rate', "did you mean 'eta_min_ratio'?"),
        ('default_hooks.checkpiont.interval', "did you mean 'checkpoint'?"),
        ('default_hooks.checkpoint.intervall', "did you mean 'interval'?"),
        ('default_hooks.early.monitor', 'a new hook needs default_hooks.early.type'),
        ('env_cfg.cudnnbenchmark', "did you mean 'cudnn_benchmark'?"),
        ('randomness.sead', "did you mean 'seed'?"),
        ('visualizer.vis_backend.0.type', "did you mean 'vis_backends'?"),
        ('log_processor.windowsize', "did you mean 'window_size'?"),
        ('test_evaluator.maxdets', "did you mean 'max_dets'?"),
        ('train_pipeline.2.ratiorange', "did you mean 'ratio_range'?"),
        ('train_pipeline.2.intepolation', "did you mean 'interpolation'?"),
        ('fast_loading.reduceddecode', "did you mean 'reduced_decode'?"),
        # The right name in another place.
        ('optim_wrapper.lr', "did you mean 'optim_wrapper.optimizer.lr'?"),
        ('model.bbox_head.fc_out_channels', "did you mean 'model.roi_head.bbox_head'?"),
        ('train_dataloader.ann_file', "did you mean 'train_dataloader.dataset.ann_file'?"),
        ('lr', "has no 'lr'; did you mean 'optim_wrapper.optimizer.lr'?"),
        ('vis_backends.0.type', 'used only while it is read; set visualizer.vis_backends.0.type'),
        (
            'train_dataloader.dataset.pipeline.2.scale',
            'without entries; set train_pipeline.2.scale',
        ),
        # Lists and values.
        ('param_scheduler.7.end', 'a list with the entries 0 (LinearLR), 1 (CosineAnnealingLR)'),
        ('param_scheduler.end', 'a list with the entries 0 (LinearLR), 1 (CosineAnnealingLR)'),
        ('custom_hooks.-1.priority', 'a list with the entries 0 (PreflightHook), 1 (Checkpoint'),
        ('train_pipeline.RandomResize.scale', 'the entries 0 (LoadImageFromFile), 1 (LoadAnno'),
        ('train_dataloader.batch_size.x', 'train_dataloader.batch_size is 8, without entries'),
        ('taxonomy.groups', "taxonomy is 'auto', without entries; set it as a whole"),
        # These would leave the schedule as long as it is.
        ('train_cfg.maxiters', 'set epochs or max_iters, which the schedule follows, too'),
        ('train_cfg.max_epochs', 'set epochs or max_iters, which the schedule follows, too'),
    ],
)
def test_what_nothing_reads(check, option, hint):
    message = check(f'{option}=LocalVisBackend')
    assert message.startswith(f'--cfg-options {option}: ')
    assert hint in message and '\n' not in message
    # What it advises is accepted.
    if near := re.search(r"did you mean '([\w.]+)'", message):
        wrong = re.search(r"(?:no|has) '(\w+)'", message)[1]
        advised = near[1] if '.' in near[1] else option.replace(wrong, near[1])
        assert check(f'{advised}=LocalVisBackend') is None
    if advised := re.search(r'; set (\w+\.[\w.]+)', message):
        assert check(f'{advised[1]}=LocalVisBackend') is None


@pytest.mark.parametrize(
    ('option', 'hint'),
    [
        (f'{HEAD}.type=MultiGrainedBoxHead', "; did you mean 'MultiGrainedBBoxHead'?"),
        ('model.backbone.type=ResNett', "; did you mean 'ResNet'?"),
        ('custom_hooks.0.type=PreflihtHook', "; did you mean 'PreflightHook'?"),
        ('optim_wrapper.optimizer.type=Adamw', "; did you mean 'AdamW'?"),
    ],
)
def test_types_that_nothing_registers(check, option, hint):
    key, value = option.split('=')
    assert check(option) == f'--cfg-options {key}: {value!r} is not registered{hint}'


def test_kwargs_that_go_nowhere_are_no_arguments(check):
    """A class that takes **kwargs accepts other names only if it does something with them."""

    class Swallows(Hook):
        def __init__(self, interval, **kwargs):
            self.interval = interval

    class Keeps(Hook):
        def __init__(self, interval, **kwargs):
            self.other = kwargs

    cfg = Config({'custom_hooks': [{'type': Swallows}, {'type': Keeps}, {'type': 'torch.nn.ReLU'}]})
    assert HOOKS.get('Swallows') is None  # a class itself is a type, too
    assert "(Swallows) takes no 'x'; it takes 'interval'" in check('custom_hooks.0.x=1', cfg=cfg)
    assert check('custom_hooks.1.x=1', cfg=cfg) is None
    assert "did you mean 'interval'?" in check('custom_hooks.1.intervals=1', cfg=cfg)
    assert check('custom_hooks.2.inplace=True', cfg=cfg) is None
    assert "(torch.nn.ReLU) takes no 'x'" in check('custom_hooks.2.x=1', cfg=cfg)


def test_arguments_of_a_kind_that_another_option_sets(check):
    cfg = Config({'default_hooks': {'ema': {'type': 'EMAHook'}}})
    kind, gamma = 'default_hooks.ema.ema_type=ExpMomentumEMA', 'default_hooks.ema.gamma=100'
    assert check(kind, gamma, cfg=cfg) is None and check(gamma, kind, cfg=cfg) is None
    assert "(EMAHook) takes no 'gamma'; it takes" in check(gamma, cfg=cfg)
    assert "takes no 'gama'; did you mean 'gamma'?" in check(
        kind, 'default_hooks.ema.gama=100', cfg=cfg
    )


def test_every_tool_that_takes_options_checks_them(repository):
    texts = [path.read_text('utf-8') for path in (repository / 'tools').rglob('*.py')]
    adds = r'add_(cfg_options|common_arguments|detector)\('
    takers = [text for text in texts if re.search(adds, text)]
    assert len(takers) == 7  # train, test, predict, export, calibrate, demo, sweep_scores
    checks = r'load_config\(\s*args\.config, args\.cfg_options'
    loads = rf'{checks}|load_(detector|run_config)\(\s*args\b'
    assert all(re.search(loads, text) for text in takers)
    shared = (repository / 'mmdet_multigrain' / 'launch' / 'loading.py').read_text('utf-8')
    assert len(re.findall(checks, shared)) == 2  # of a detector, of a run


@pytest.mark.parametrize('loop', ['ExactIterBasedTrainLoop', 'EpochBasedTrainLoop'])
@pytest.mark.parametrize('option', ['epochs', 'max_iters'])
def test_a_length_that_the_loop_does_not_take(repository, tmp_path, loop, option):
    """The run would end where the config says, however long it was asked to be."""
    entry = 'max_epochs' if loop.startswith('Epoch') else 'max_iters'
    base = repository / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'
    path = tmp_path / 'mine.py'
    own = f'train_cfg = dict(_delete_=True, type={loop!r}, {entry}=880)'
    path.write_text(f'_base_ = {str(base)!r}\nmax_iters = None\n{own}\n')
    with pytest.raises(ConfigError, match=f'has train_cfg.{entry}=880, which neither epochs'):
        load_config(path, {option: 20})
    cfg = load_config(path, {f'train_cfg.{entry}': 20})
    assert cfg.train_cfg[entry] == 20


def test_a_length_moves_the_schedule(repository):
    """The advice on `train_cfg.max_iters` and the like: the loop and the schedule follow."""
    path = repository / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'
    cfg = load_config(path, {'max_iters': 40})
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler[1].end) == (40, 40)
    cfg = load_config(path, {'max_iters': 40, 'train_cfg.max_iters': 20})
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler[1].end) == (20, 40)


def entries(node, prefix=''):
    """Owner, name and dotted key of every entry below the top level."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        key = f'{prefix}{name}'
        if isinstance(node, dict) and prefix and name != 'type':
            yield node, name, key
        if isinstance(value, dict | list):
            yield from entries(value, f'{key}.')


@pytest.mark.parametrize(
    'name',
    [
        'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py',
        'detr/detr_r50_8xb2-150e_coco.py',
        'vfnet/vfnet_r50_fpn_ms-2x_coco.py',
        'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.01-coco.py',
    ],
)
def test_what_configs_of_mmdetection_set_may_be_set(check, name):
    """Also if the config does not mention it: layers without a type, constructors, wrappers."""
    folder = Path(importlib.util.find_spec('mmdet').submodule_search_locations[0], '.mim/configs')
    if not folder.is_dir():
        pytest.skip('the installed mmdet brings no configs')
    cfg = Config.fromfile(folder / name)
    refused = {}
    for owner, entry, key in list(entries(cfg._cfg_dict)):
        value = owner.pop(entry)
        message = check(f'{key}=x', cfg=cfg)
        owner[entry] = value
        if message and not re.search('is a variable of|a new hook needs', message):
            refused[key] = message
    assert refused == {}
