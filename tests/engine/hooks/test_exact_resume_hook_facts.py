"""ExactResumeHook: every field of the comparison, what is saved with it, and what is given back."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from mmdet_multigrain.datasets.samplers import ExactAspectRatioBatchSampler, ExactInfiniteSampler
from mmdet_multigrain.engine.fingerprints import versions
from mmdet_multigrain.engine.hooks import ExactResumeHook
from mmdet_multigrain.engine.hooks import exact_resume_hook as module
from mmdet_multigrain.engine.hooks.exact_resume_hook import run_facts
from mmdet_multigrain.engine.runner.positions import VALIDATED
from mmdet_multigrain.utils.errors import CheckpointError

FACTS = dict(
    iterations=8,
    epochs=None,
    processes=2,
    batch_size=4,
    images=5,
    order='each image once',
    repeats=['some'],
    shapes='upright',
    annotations=['first', 'second'],
    versions={'python': '3', 'torch': '2'},
)
SWITCHES = ('allow_world_size_change', 'allow_data_change', 'allow_length_change')


def a_runner(**attributes):
    """As much of a runner as the hook looks at, and what it logs."""
    lines = []
    defaults = dict(
        _resume=True,
        _load_from='iter_4.pth',
        _randomness_cfg={},
        logger=SimpleNamespace(warning=lines.append),
        world_size=1,
        rank=0,
        seed=3,
        hooks=(),
        iter=4,
        max_iters=8,
        optim_wrapper=SimpleNamespace(),
        auto_scale_lr=None,
    )
    return SimpleNamespace(**{**defaults, **attributes}), lines


def resume(monkeypatch, saved, *, seed=None, switches=()):
    """Compare a checkpoint's facts with `FACTS`; what is logged."""
    monkeypatch.setattr(module, 'run_facts', lambda runner: dict(FACTS))
    runner, lines = a_runner(_randomness_cfg=dict(seed=seed))
    hook = ExactResumeHook(**dict.fromkeys(switches, True))
    hook.after_load_checkpoint(runner, dict(meta=dict(exact_resume=saved)))
    return lines


@pytest.mark.parametrize(
    ('field', 'value', 'switch', 'told'),
    [
        ('iterations', 9, SWITCHES[2], '9 iterations, not 8'),
        ('epochs', 2, SWITCHES[2], '2 epochs, not None'),
        ('processes', 1, SWITCHES[0], '1 processes, not 2'),
        ('batch_size', 2, SWITCHES[0], '2 batch size, not 4'),
        ('images', 6, SWITCHES[1], '6 images, not 5'),
        (
            'order',
            'classes in turn',
            SWITCHES[1],
            "the order 'classes in turn' of its images, not 'each image once'",
        ),
        ('repeats', [], SWITCHES[1], 'other images repeated (oversample_thr of'),
        ('shapes', 'others', SWITCHES[1], 'other training annotations;'),
        ('shapes', None, SWITCHES[1], 'other training annotations;'),
        ('annotations', ['first', 'other'], SWITCHES[1], 'other training annotations;'),
        ('annotations', ['second', 'first'], SWITCHES[1], 'other training annotations;'),
        ('annotations', ['first'], SWITCHES[1], 'other training annotations;'),
    ],
)
def test_each_field_is_compared_and_has_its_switch(monkeypatch, field, value, switch, told):
    saved = {**FACTS, 'seed': 3, field: value}
    others = [name for name in SWITCHES if name != switch]
    with pytest.raises(CheckpointError) as caught:
        resume(monkeypatch, saved, switches=others)
    line = str(caught.value)
    assert line.startswith('iter_4.pth: is of a run with ') and told in line
    assert line.endswith(f'default_hooks.exact_resume.{switch}=True')
    assert resume(monkeypatch, saved, switches=[switch]) == []


def test_the_same_run_goes_on(monkeypatch):
    saved = {**FACTS, 'seed': 3}
    assert resume(monkeypatch, saved) == resume(monkeypatch, saved, seed=3) == []
    with pytest.raises(CheckpointError, match='of a run with seed 3, not 0; leave out the seed'):
        resume(monkeypatch, saved, seed=0, switches=SWITCHES)


def test_a_checkpoint_of_an_earlier_version_has_no_length_or_order(monkeypatch):
    saved = {**FACTS, 'seed': 3}
    del saved['iterations'], saved['epochs'], saved['order'], saved['repeats']
    assert resume(monkeypatch, saved) == []


def test_other_versions_are_told_but_not_refused(monkeypatch):
    saved = {**FACTS, 'seed': 3, 'versions': {'python': '3', 'torch': '1', 'mmcv': '5'}}
    lines = resume(monkeypatch, saved)
    assert [line.partition(';')[0] for line in lines] == [
        'iter_4.pth: was written with torch 1, this is 2',
        'iter_4.pth: was written with mmcv 5, this is None',
    ]


def test_a_start_compares_nothing_and_a_foreign_checkpoint_is_told():
    runner, lines = a_runner(_resume=False)
    ExactResumeHook().after_load_checkpoint(runner, dict(meta=dict(exact_resume={})))
    assert lines == []
    for checkpoint in ({}, dict(meta=None), dict(meta={})):
        runner, lines = a_runner()
        ExactResumeHook().after_load_checkpoint(runner, checkpoint)
        assert len(lines) == 1 and 'does not tell the order of its images' in lines[0]


class Data(list):
    """A data set of an annotation file."""

    def __init__(self, ann_file, length):
        super().__init__(range(length))
        self.ann_file = ann_file


def data_runner(tmp_path, *, upright=None, loop=IterBasedTrainLoop):
    paths = [tmp_path / 'a.json', tmp_path / 'b.json']
    for path in paths:
        path.write_text(path.name)
    batches = SimpleNamespace(batch_size=4)
    if upright is not None:
        batches = object.__new__(ExactAspectRatioBatchSampler)
        batches.batch_size, batches.upright = 4, np.array(upright)
    dataset = Data('', 5)
    dataset.datasets = [Data(str(paths[1]), 2), Data(str(paths[0]), 2), Data('gone.json', 1)]
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(batch_sampler=batches, dataset=dataset),
        train_loop=object.__new__(loop),
        world_size=2,
        max_iters=8,
        max_epochs=3,
    )


def test_the_facts_of_a_run(tmp_path):
    digest_a, digest_b = (hashlib.sha256(name).hexdigest() for name in (b'a.json', b'b.json'))
    assert run_facts(data_runner(tmp_path)) == dict(
        iterations=8,
        epochs=None,
        processes=2,
        batch_size=4,
        images=5,
        order=None,
        repeats=[],
        shapes=None,
        annotations=[digest_b, digest_a, None],
        versions=versions(),
    )
    by_epoch = run_facts(data_runner(tmp_path, loop=EpochBasedTrainLoop))
    assert (by_epoch['iterations'], by_epoch['epochs']) == (None, 3)
    ordered = data_runner(tmp_path)
    ordered.train_dataloader.batch_sampler.sampler = ExactInfiniteSampler(range(5), seed=1)
    assert run_facts(ordered)['order'] == 'each image once'
    repeated = []
    for indices in ([0, 0, 1], [0, 1, 1]):  # of the same length
        runner = data_runner(tmp_path)
        runner.train_dataloader.dataset.datasets[0].repeat_indices = indices
        repeated += run_facts(runner)['repeats']
    assert len(set(repeated)) == 2
    upright = [True, False, False, True, True]
    shapes = run_facts(data_runner(tmp_path, upright=upright))['shapes']
    assert shapes == hashlib.sha256(bytes([0b10011000])).hexdigest()
    assert shapes != run_facts(data_runner(tmp_path, upright=upright[::-1]))['shapes'][::-1]


def saved_by(hook, runner, **checkpoint):
    checkpoint = dict(meta=dict(iter=4), **checkpoint)
    hook.before_save_checkpoint(runner, checkpoint)
    return checkpoint


def test_what_is_saved(monkeypatch):
    monkeypatch.setattr(module, 'run_facts', lambda runner: dict(FACTS))
    monkeypatch.setattr(module, 'gather_buffers', lambda model: [{}, {'mean': 1}])
    hook = ExactResumeHook()
    runner, lines = a_runner(
        world_size=2, rank=1, seed=4, model=None, _randomness_cfg=dict(diff_rank_seed=True)
    )
    hook.before_train(runner)
    assert 'process_buffers' not in saved_by(hook, runner, optimizer={})
    hook.before_save(runner)
    last = saved_by(hook, runner, optimizer={})
    assert last['meta'] == dict(iter=4, exact_resume={**FACTS, 'seed': 3})  # not the rank's own
    assert last['process_buffers'] == [{}, {'mean': 1}]
    assert 'process_buffers' not in saved_by(hook, runner)  # the best one, without an optimizer
    assert lines == []
    alone, _ = a_runner(model=None)
    hook = ExactResumeHook()
    hook.before_train(alone)
    hook.before_save(alone)
    assert 'process_buffers' not in saved_by(hook, alone, optimizer={})


@pytest.mark.parametrize(('steps', 'end', 'told'), [(3, 8, 1), (3, 4, 0), (2, 8, 0)])
def test_a_checkpoint_between_two_steps_is_told(monkeypatch, steps, end, told):
    monkeypatch.setattr(module, 'run_facts', lambda runner: dict(FACTS))
    optimizer = SimpleNamespace(_accumulative_counts=steps)
    runner, lines = a_runner(optim_wrapper=optimizer, max_iters=end)
    hook = ExactResumeHook()
    hook.before_train(runner)
    saved_by(hook, runner, optimizer={})
    assert len(lines) == told


@pytest.mark.parametrize(('rank', 'processes', 'mean'), [(0, 2, 0.0), (1, 2, 7.0), (1, 3, 0.0)])
def test_each_process_gets_its_own_buffers_back(monkeypatch, rank, processes, mean):
    monkeypatch.setattr(module, 'run_facts', lambda runner: dict(FACTS))
    model = nn.BatchNorm1d(1)
    runner, _ = a_runner(model=model, rank=rank, world_size=processes)
    hook = ExactResumeHook()
    buffers = [{}, {'running_mean': torch.tensor([7.0])}]
    meta = dict(exact_resume={**FACTS, 'seed': 3})
    hook.after_load_checkpoint(runner, dict(meta=meta, process_buffers=buffers))
    hook.before_train(runner)
    assert model.running_mean.item() == mean
    model.running_mean.zero_()
    hook.before_train(runner)  # once
    assert model.running_mean.item() == 0


def test_a_validation_is_noted():
    runner, _ = a_runner(message_hub=MessageHub('exact resume'))
    ExactResumeHook().after_val_epoch(runner)
    assert runner.message_hub.get_info(VALIDATED) == 4
