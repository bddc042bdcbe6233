"""The benchmark of detectors: what is compared, and how contenders take turns."""

from __future__ import annotations

import copy
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.speed.detector import contenders, processes
from mmdet_multigrain.utils.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / 'multigrain'


# What is compared


def load(*names, **options):
    return contenders.load([str(CONFIGS / f'{name}.py') for name in names], **options)


def test_stock_of_r101_is_that_of_the_installed_mmdet():
    (stock, ours), shared = load('wgroup_r101_fpn_df2')
    assert stock.source == 'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py'
    assert stock.name == ours.reference == stock.reference == 'faster-rcnn_r101_fpn_1x_coco'
    assert ours.cfg.filename == shared.filename and stock.cfg.model.backbone.depth == 101
    head = stock.cfg.model.roi_head.bbox_head
    assert (head.type, head.num_classes) == ('Shared2FCBBoxHead', 13)
    assert stock.cfg.optim_wrapper.optimizer.lr == 0.02
    assert stock.cfg.train_dataloader.dataset.ann_file == 'annotations/train.json'
    assert stock.cfg.train_dataloader.dataset.type == 'DeepFashion2Dataset'
    assert [item.type for item in stock.cfg.train_dataloader.dataset.pipeline][2] == 'Resize'
    assert stock.cfg.val_evaluator.type == 'CocoMetric'


def test_stock_of_a_small_body_is_the_config_with_the_stock_head():
    (stock, *ours), _ = load('baseline_r18_fpn_synthetic', 'wgroup_r18_fpn_synthetic')
    assert [one.name for one in ours] == ['baseline_r18_fpn_synthetic', 'wgroup_r18_fpn_synthetic']
    assert (stock.name, stock.source) == ('stock', 'stock')
    head = stock.cfg.model.roi_head.bbox_head
    assert (head.type, head.num_classes) == ('Shared2FCBBoxHead', 13)
    assert (head.in_channels, head.fc_out_channels) == (128, 256)  # not the baseline's 448
    bodies = [copy.deepcopy(one.cfg.model.to_dict()) for one in (stock, ours[0])]
    for body in bodies:
        del body['roi_head']['bbox_head']
    assert bodies[0] == bodies[1]
    from mmdet.registry import MODELS

    assert MODELS.build(head).fc_reg.out_features == 4 * 13


def test_each_precision_has_its_reference():
    contenders, _ = load('wgroup_r18_fpn_synthetic', precisions=('fp32', 'bf16'))
    assert [(one.name, one.reference, one.precision) for one in contenders] == [
        ('stock fp32', 'stock fp32', 'fp32'),
        ('wgroup_r18_fpn_synthetic fp32', 'stock fp32', 'fp32'),
        ('stock bf16', 'stock bf16', 'bf16'),
        ('wgroup_r18_fpn_synthetic bf16', 'stock bf16', 'bf16'),
    ]


def test_coarse_labels_are_compared_with_the_same_config_without():
    names = ('wgroup_r18_fpn_synthetic', 'merged_r18_fpn_synthetic')
    contenders, _ = load(*names, speed=('channels-last',), coarse_labels=True)
    coarse = [(one.name, one.reference) for one in contenders if one.coarse_labels]
    names = ('wgroup_r18_fpn_synthetic', 'wgroup_r18_fpn_synthetic channels-last')
    assert coarse == [(f'{name} coarse labels', name) for name in names]
    assert len(contenders) == 7 and contenders[0].describe()['coarse_labels'] is False
    with pytest.raises(ConfigError, match='none of the configs has a MultiGrainedBBoxHead'):
        load('merged_r18_fpn_synthetic', coarse_labels=True)


def test_options_make_contenders_of_their_own():
    contenders, _ = load(
        'wgroup_r18_fpn_synthetic', speed=('channels-last', 'amp-bf16+fused-optimizer')
    )
    assert [(one.name, one.reference) for one in contenders] == [
        (name, 'stock')
        for name in (
            'stock',
            'wgroup_r18_fpn_synthetic',
            'wgroup_r18_fpn_synthetic channels-last',
            'wgroup_r18_fpn_synthetic amp-bf16+fused-optimizer',
        )
    ]
    _, plain, channels_last, both = (one.cfg for one in contenders)
    assert channels_last.custom_hooks[-1].type == 'ChannelsLastHook'
    assert len(plain.custom_hooks) == len(channels_last.custom_hooks) - 1
    assert both.optim_wrapper.type == 'AutocastOptimWrapper'
    assert both.optim_wrapper.optimizer.fused and 'fused' not in plain.optim_wrapper.optimizer
    with pytest.raises(ValueError, match='no such option'):
        load('wgroup_r18_fpn_synthetic', speed=('quicker',))


def test_another_reference():
    baseline = str(CONFIGS / 'baseline_r18_fpn_synthetic.py')
    for names in (
        ['wgroup_r18_fpn_synthetic'],
        ['wgroup_r18_fpn_synthetic', 'baseline_r18_fpn_synthetic'],
    ):
        contenders, _ = load(*names, against=baseline)
        assert [one.name for one in contenders] == [
            'baseline_r18_fpn_synthetic',
            'wgroup_r18_fpn_synthetic',
        ]
        assert {one.reference for one in contenders} == {'baseline_r18_fpn_synthetic'}


def test_configs_that_cannot_be_compared(tmp_path):
    load_all = contenders.load
    path = CONFIGS / 'wgroup_r18_fpn_synthetic.py'
    other = tmp_path / path.name
    other.write_text(f'_base_ = {str(path)!r}\n')
    with pytest.raises(ValueError, match='two of the configs have the same file name; rename'):
        load_all([str(path), str(other)])
    with pytest.raises(ValueError, match='^mmdet::no/such.py: not a config of the installed mmdet'):
        load_all([str(path), 'mmdet::no/such.py'])
    with pytest.raises(ValueError, match='^all configs are from the installed mmdet; name one'):
        load_all([contenders.STOCK_CONFIGS[50]])


def test_digest_is_that_of_the_content():
    first, second, other = (
        load(name)[0][1].describe()['sha256']
        for name in (
            'wgroup_r18_fpn_synthetic',
            'wgroup_r18_fpn_synthetic',
            'merged_r18_fpn_synthetic',
        )
    )
    assert first == second != other


# Rounds


class FakeWorker:
    """Answers like a contender's process and notes what it was asked."""

    def __init__(self, name, asked):
        self.name, self.asked = name, asked

    def ask(self, method, **arguments):
        self.asked.append((self.name, method, arguments))
        return {
            'time': 0.5,
            'peak_mb': 7,
            'flops': 9,
            'profile': {'seconds': {}},
            'matmul_peak': 5e9,
        }.get(method)


def test_contenders_take_turns():
    asked = []
    found = {name: FakeWorker(name, asked) for name in 'abc'}
    measured = processes.measure(found, 'training', repeats=4, warmup=1, profiled=0)
    assert measured['seconds'] == {name: [0.5] * 4 for name in 'abc'}
    timings = [call for call in asked if call[1] == 'time']
    rounds = [timings[start : start + 3] for start in range(0, 15, 3)]
    assert len(timings) == 15
    for number, calls in enumerate(rounds):
        assert {name for name, _, _ in calls} == set('abc')
        assert all(
            arguments == {'what': 'training', 'number': max(number - 1, 0)}
            for _, _, arguments in calls
        )


def test_what_is_measured():
    asked = []
    found = {name: FakeWorker(name, asked) for name in 'ab'}
    measured = processes.measure(found, 'training', repeats=2, warmup=0, profiled=3)
    assert measured == {
        'seconds': {'a': [0.5] * 2, 'b': [0.5] * 2},
        'peak_mb': {'a': 7, 'b': 7},
        'flops': {'a': 9, 'b': 9},
        'stages': {'a': [{'seconds': {}}] * 3, 'b': [{'seconds': {}}] * 3},
    }
    # Memory counts from the first step on and before the profiled ones, which hold more.
    methods = [method for name, method, _ in asked if name == 'a']
    assert methods == ['reset_peak', 'time', 'time', 'peak_mb', *['profile'] * 3, 'flops']
    for what, profiled in (('data', 3), ('training', 0)):
        measured = processes.measure(found, what, repeats=1, warmup=0, profiled=profiled)
        assert list(measured) == ['seconds', 'peak_mb']


def test_errors_of_a_process_name_the_contender():
    """A pool answers with a future; the process may fail, or be gone."""

    def worker(result):
        future = Future()
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
        pool = SimpleNamespace(submit=lambda function, *arguments: future)
        return processes.Worker('wide', pool)

    assert worker({'parameters': 3}).description == {'parameters': 3}
    with pytest.raises(ValueError, match='^wide: no such layer$'):
        worker(ConfigError('no such layer'))
    with pytest.raises(ValueError, match='^wide: its process was killed, .*memory'):
        worker(BrokenProcessPool())


def test_the_peak_is_measured_once_for_each_precision():
    asked = []
    workers = {name: FakeWorker(name, asked) for name in 'abc'}
    dtypes = dict(a='float32', b='float32', c='bfloat16')
    configs = {name: {'precision': 'config', 'dtype': dtype} for name, dtype in dtypes.items()}
    processes.add_peaks(configs, workers)
    assert [name for name, _, _ in asked] == ['a', 'c']
    assert [configs[name]['matmul_flops'] for name in 'abc'] == [5e9, 5e9, 5e9]
