"""The benchmark of detectors: tables by hand, clocks on stages, drawn batches."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.speed.detector import batches, stages, tables, worker

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


def record_of(seconds):
    """A record of training steps with two contenders, `a` the reference."""
    return {
        'run': {'versions': {'torch': '2'}, 'processor': 'P'},
        'plan': {'images': 'synthetic', 'scale': [64, 48], 'batch': 4, 'eval_images': 9},
        'images': {'training': 4},
        'configs': {
            name: {
                'reference': 'a',
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


def test_tables():
    text = tables.tables(record_of({'a': [1, 2, 1], 'b': [2, 2, 3]}))
    assert text.startswith(
        '**Training step, batch of 4, drawn images of 64 x 48 px: 3 rounds, '
        'ratios to a; P, 1 threads, PyTorch 2**\n\n'
    )
    cells = [line.replace('|', ' ').split() for line in text.splitlines()]
    numbers = '2000.0 500.0 2.000 1.000 to 3.000 2.00 100 10.0 10% 2.5'
    assert ['b', *numbers.split()] in cells
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
    peak = stages.matmul_peak(torch.device('cpu'), torch.float32, size=256)
    assert 1e8 < peak < 1e15


@needs_gpu
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_matmul_peak_on_a_gpu(dtype):
    assert stages.matmul_peak(torch.device('cuda'), dtype) > 1e12


# Inputs


def test_training_batches_with_coarse_labels(three_levels):
    head = dict(taxonomy=three_levels.to_dict())
    cfg = SimpleNamespace(model=dict(roi_head=dict(bbox_head=head)))
    plan = worker.Plan(images='synthetic', scale=(32, 16), batch=25)

    def labels(coarse_labels, what='training'):
        steps = SimpleNamespace(cfg=cfg, shared=cfg, plan=plan, coarse_labels=coarse_labels)
        found = worker.Steps._batches.__wrapped__(steps, what)
        samples = itertools.chain.from_iterable(batch['data_samples'] for batch in found)
        return torch.cat([sample.gt_instances.labels for sample in samples]).tolist()

    fine, coarse = labels(False), labels(True)
    assert max(fine) == max(labels(True, 'inference')) == 4
    changed = [pair for pair in zip(fine, coarse, strict=True) if pair[0] != pair[1]]
    assert abs(len(changed) / len(fine) - 0.5) < 0.1
    assert all(three_levels.labels.sets[label, own] for own, label in changed)
    assert {label for _, label in changed} == {6, 7, 8, 9}  # body, upper, lower, object
    assert labels(True) == coarse


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
