"""The parts of the benchmark of detectors: arithmetic, clocks, what is compared, its file."""

from __future__ import annotations

import copy
import itertools
import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.speed.detector import batches, contenders, processes, stages, tables, worker
from benchmarks.speed.detector import record as records

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / 'multigrain'
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device here')


# Arithmetic


def test_stage_shares():
    shares = tables.stage_shares(
        [
            {'seconds': {'other': 1, 'backbone': 4, 'head': 5}},
            {'seconds': {'other': 1, 'backbone': 8, 'head': 3}},
            {'seconds': {'other': 1, 'backbone': 6}},
        ]
    )
    assert shares == {'other': 0.1, 'backbone': 0.6, 'head': 0.3}  # of medians 1, 6 and 3
    assert sum(shares.values()) == pytest.approx(1)


def record_of(seconds, **more):
    """A record of training steps with two contenders, `a` the reference."""
    return {
        'format': 'detector benchmark 1',
        'runs': [{'versions': {'torch': '2'}, 'processor': 'P', 'cores': 2, **more}],
        'plan': {'images': 'synthetic', 'scale': [64, 48], 'batch': 4, 'eval_images': 9},
        'images': {'training': 4},
        'configs': {
            name: {
                'reference': 'a',
                'precision': 'config',
                'sha256': name,
                'device': 'cpu',
                'threads': 1,
                'matmul_flops': 50e9,
            }
            for name in seconds
        },
        'measured': {
            'training': {
                'seconds': seconds,
                'peak_mb': dict.fromkeys(seconds, 100),
                'flops': dict.fromkeys(seconds, 10**10),
                'stages': {
                    name: [{'seconds': {'other': 1, 'neck': 3}, 'rois': 40, 'positive_rois': 10}]
                    for name in seconds
                },
            }
        },
    }


def test_rows_by_hand():
    row = tables.summarize(record_of({'a': [1, 2, 1], 'b': [2, 2, 3]}), 'training')['b']
    assert row == {
        'name': 'b',
        'ms': 2000,
        'spread': 500,
        'images_per_second': 2,
        'ratio': 2,
        'interval': '1.000 to 3.000',
        'peak_mb': 100,
        'gflops': 10,
        'utilization': 0.1,
        'shares': {'other': 0.25, 'neck': 0.75},
        'positive_rois': 2.5,
    }


@pytest.mark.parametrize('markdown', [False, True])
def test_tables(markdown):
    text = tables.tables(record_of({'a': [1, 2, 1], 'b': [2, 2, 3]}), markdown=markdown)
    assert text.startswith(
        'Training step, batch of 4, drawn images of 64 x 48 px: 3 rounds, '
        'ratios to a; P, 1 threads, PyTorch 2\n\n'
    )
    cells = [line.replace('|', ' ').split() for line in text.splitlines()]
    assert [
        'b',
        '2000.0',
        '500.0',
        '2.000',
        '1.000',
        'to',
        '3.000',
        '2.00',
        '100',
        '10.0',
        '10%',
        '2.5',
    ] in cells
    assert ['neck', '75.0%', '75.0%'] in cells and cells[-1] == ['other', '25.0%', '25.0%']


def test_tables_without_stages():
    record = record_of({'a': [1], 'b': [2]})
    measured = record['measured'].pop('training')
    record['measured']['data'] = {key: measured[key] for key in ('seconds', 'peak_mb')}
    record['images'] = {'data': 64}
    text = tables.tables(record)
    assert 'Data loading, 64 images: 1 rounds' in text and 'images/s' in text
    assert 'GFLOP' not in text and 'share' not in text


# Stages


def test_clock_of_nested_stages():
    ticks = iter([0, 1, 3, 6, 10, 15])
    clock = stages.StageClock(clock=lambda: next(ticks))
    with clock.stage('step'):
        with clock.stage('head'):
            with clock.stage('loss'):
                pass
    assert clock.seconds == {'step': 1 + 5, 'head': 2 + 4, 'loss': 3}


def test_clocks_are_taken_off_again():
    module = nn.Linear(2, 2)
    clock = stages.StageClock()
    with stages.clocked(clock, [('layer', module, 'forward')]):
        module(torch.ones(1, 2))
    assert list(clock.seconds) == ['layer'] and clock.seconds['layer'] > 0
    assert 'forward' not in vars(module) and nn.Linear.forward is type(module).forward
    with (
        pytest.raises(RuntimeError),
        stages.clocked(clock, [('layer', module, 'forward')]),
    ):
        module(torch.ones(1, 3))
    assert 'forward' not in vars(module)


def test_a_method_put_on_the_instance_comes_back():
    module = nn.Linear(2, 2)
    module.forward = own = lambda x: x
    with stages.clocked(stages.StageClock(), [('layer', module, 'forward')]):
        assert module.forward is not own
    assert module.forward is own


def test_targets_of_lists_and_of_absent_parts():
    model = nn.Module()
    model.roi_head = nn.Module()
    model.roi_head.bbox_head = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    found = stages.find_targets(
        model,
        (
            ('head', 'roi_head.bbox_head', 'forward'),
            ('neck', 'neck', 'forward'),
            ('mask', 'roi_head.mask_head', 'forward'),
        ),
    )
    assert [(stage, method) for stage, _, method in found] == [('head', 'forward')] * 2


def test_flops_by_hand():
    layer = nn.Linear(8, 16, bias=False)
    assert stages.count_flops(lambda: layer(torch.ones(4, 8))) == 2 * 4 * 8 * 16
    # Backward adds the gradient of the weights; the input needs none.
    step = lambda: layer(torch.ones(4, 8)).sum().backward()  # noqa: E731
    assert stages.count_flops(step) == 2 * 2 * 4 * 8 * 16


def test_matmul_peak():
    peak = stages.matmul_peak(torch.device('cpu'), torch.float32, size=256, repeats=2)
    assert 1e8 < peak < 1e15


@needs_gpu
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_matmul_peak_on_a_gpu(dtype):
    assert stages.matmul_peak(torch.device('cuda'), dtype) > 1e12


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


# Inputs


def test_drawn_batches():
    def draw(seed):
        return batches.draw_batches(2, batch=3, size=(90, 50), num_classes=5, seed=seed)

    drawn = draw(0)
    assert [len(batch['inputs']) for batch in drawn] == [3, 3]
    for image, sample in itertools.chain.from_iterable(
        zip(batch['inputs'], batch['data_samples'], strict=True) for batch in drawn
    ):
        assert image.shape == (3, 50, 90) and image.dtype == torch.uint8
        boxes = sample.gt_instances.bboxes.tensor
        assert len(boxes) >= 1 and (boxes[:, 2:] > boxes[:, :2]).all() and (boxes >= 0).all()
        assert (boxes[:, 2] <= 90).all() and (boxes[:, 3] <= 50).all()
        assert ((sample.gt_instances.labels >= 0) & (sample.gt_instances.labels < 5)).all()
    again, other = draw(0), draw(1)
    assert torch.equal(drawn[1]['inputs'][2], again[1]['inputs'][2])
    assert not torch.equal(drawn[0]['inputs'][0], other[0]['inputs'][0])


def test_a_step_gets_samples_of_its_own():
    batch = batches.draw_batches(1, batch=1, size=(32, 32), num_classes=2, seed=0)[0]
    fresh = batches.fresh(batch)
    fresh['data_samples'][0].gt_instances.labels[:] = 7
    fresh['data_samples'][0].set_metainfo(dict(img_shape=(1, 1)))
    assert (batch['data_samples'][0].gt_instances.labels < 2).all()
    assert batch['data_samples'][0].img_shape == (32, 32)


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
    ours, theirs = multiprocessing.Pipe()
    theirs.send(('done', {'parameters': 3}))
    worker = processes.Worker('wide', SimpleNamespace(exitcode=-9, join=lambda: None), ours)
    assert worker.description == {'parameters': 3}
    theirs.send(('error', 'no such layer'))
    with pytest.raises(ValueError, match='^wide: no such layer$'):
        worker.ask('time')
    theirs.close()
    with pytest.raises(ValueError, match='^wide: its process ended with status -9; .*memory'):
        worker.ask('time')


# The file


def test_append():
    first, second = record_of({'a': [1.0], 'b': [2.0]}), record_of({'a': [3.0], 'b': [4.0]})
    second['measured']['training']['peak_mb']['b'] = 120
    second['configs']['a']['matmul_flops'] = 60e9
    records.check_same(first, second, path=Path('x.json'))
    joined = records.joined(first, second)
    training = joined['measured']['training']
    assert training['seconds'] == {'a': [1, 3], 'b': [2, 4]}
    assert training['peak_mb'] == {'a': 100, 'b': 120}
    assert len(training['stages']['a']) == 2 and len(joined['runs']) == 2
    assert joined['configs']['a']['matmul_flops'] == 60e9
    assert first['measured']['training']['seconds'] == {'a': [1], 'b': [2]}  # left as it was


def test_append_without_profiles():
    first, second = record_of({'a': [1.0]}), record_of({'a': [3.0]})
    for key in ('stages', 'flops'):
        del second['measured']['training'][key]
    for joined in (records.joined(first, second), records.joined(second, first)):
        training = joined['measured']['training']
        assert len(training['stages']['a']) == 1 and training['flops'] == {'a': 10**10}
        assert sorted(training['seconds']['a']) == [1, 3]


def test_append_of_something_not_measured_before():
    first, second = record_of({'a': [1.0]}), record_of({'a': [3.0]})
    second['measured'] = {'inference': second['measured']['training']}
    second['images'] = {'inference': 1}
    records.check_same(first, second, path=Path('x.json'))
    joined = records.joined(first, second)
    assert list(joined['measured']) == ['training', 'inference']
    assert joined['images'] == {'training': 4, 'inference': 1}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda record: record['plan'].update(batch=8), r'batch \(4, now 8\)'),
        (lambda record: record['configs']['b'].update(sha256='c'), r'b \(sha256\)'),
        (lambda record: record['configs'].pop('b'), r'set of configs \(a, b\)'),
        (lambda record: record['runs'][0].update(cores=3), r'machine or installation \(cores\)'),
    ],
)
def test_append_to_another_measurement(change, words):
    first, second = record_of({'a': [1], 'b': [1]}), record_of({'a': [1], 'b': [1]})
    change(second)
    with pytest.raises(ValueError, match=rf'^x.json: was measured with another {words}; leave out'):
        records.check_same(first, second, path=Path('x.json'))


@pytest.mark.parametrize('content', [b'', b'[]', b'{"format": 1}', b'\xff', b'{"a": ', b'[' * 9999])
def test_files_of_something_else(tmp_path, content):
    path = tmp_path / 'other.json'
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r'other\.json: not a file of the benchmark of detectors; name'
    ):
        records.read_record(path)


def test_a_record_begins_with_what_is_known():
    contenders, _ = load('wgroup_r18_fpn_synthetic')
    record = records.begin(contenders, worker.Plan('synthetic', (64, 48), batch=2))
    (run,) = record['runs']
    assert run['memory_gib'] > 0 and run['cores'] >= 1 and run['processor']
    assert record['plan']['scale'] == [64, 48] and record['measured'] == {}
    assert list(record['configs']) == ['stock', 'wgroup_r18_fpn_synthetic']
    later = copy.deepcopy(record)
    later['configs']['stock']['threads'] = 2
    records.check_same(later, record, path=Path('x.json'))  # not known yet
    with pytest.raises(ValueError, match=r'another stock \(threads\)'):
        records.check_same(record, later, path=Path('x.json'))


def test_the_peak_is_measured_once_for_each_precision():
    asked = []
    workers = {name: FakeWorker(name, asked) for name in 'abc'}
    record = {
        'configs': {
            name: {'precision': 'config', 'dtype': dtype}
            for name, dtype in zip('abc', ('float32', 'float32', 'bfloat16'), strict=True)
        }
    }
    records.add_peaks(record, workers)
    assert [name for name, _, _ in asked] == ['a', 'c']
    assert [record['configs'][name]['matmul_flops'] for name in 'abc'] == [5e9, 5e9, 5e9]
