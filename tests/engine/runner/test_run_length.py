"""One key for the length: loop, schedule and intervals follow it."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config

from mmdet_multigrain.engine.runner import run_length
from mmdet_multigrain.engine.runner.resolver import resolve
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.utils.errors import ConfigError


def load(repository, name='wgroup_r101_fpn_df2', **options):
    return load_config(repository / 'configs' / 'multigrain' / f'{name}.py', options)


def test_everything_follows_in_proportion(repository):
    cfg = load(repository, max_iters=2000)
    assert dict(cfg.train_cfg) == dict(
        type='ExactIterBasedTrainLoop', max_iters=2000, val_interval=100
    )
    warm_up, decay = cfg.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 200)
    assert (decay.begin, decay.end, decay.milestones) == (0, 2000, [1500, 1750])
    assert cfg.default_hooks.checkpoint.interval == 50


def test_the_decay_begins_where_the_warm_up_ends(repository):
    cfg = load(repository, 'wgroup_r18_fpn_synthetic', max_iters=40)
    warm_up, decay = cfg.param_scheduler
    assert (warm_up.end, decay.begin, decay.end) == (4, 4, 40)
    assert (cfg.train_cfg.val_interval, cfg.default_hooks.checkpoint.interval) == (40, 20)
    assert load(repository, 'wgroup_r18_fpn_synthetic').param_scheduler[0].end == 50
    cfg = load(repository, 'wgroup_r18_fpn_synthetic', max_iters=1)
    assert cfg.param_scheduler[0].end == cfg.default_hooks.checkpoint.interval == 1


def test_what_is_set_stays(repository):
    options = {
        'train_cfg.max_iters': 30,
        'train_cfg.val_interval': 7,
        'default_hooks.checkpoint.interval': -1,
        'param_scheduler.1.milestones': [5, 0.5],
    }
    cfg = load(repository, **options)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (30, 7)
    assert cfg.default_hooks.checkpoint.interval == -1
    assert cfg.param_scheduler[1].milestones == [5, 100000]
    assert cfg.param_scheduler[0].end == 1000


def test_a_dumped_config_gets_another_length(repository, tmp_path):
    load(repository).dump(tmp_path / 'dumped.py')
    cfg = load_config(tmp_path / 'dumped.py', {'max_iters': 2000, 'param_scheduler.0.end': 3})
    expected = load(repository, **{'max_iters': 2000, 'param_scheduler.0.end': 3})
    assert cfg.to_dict() == expected.to_dict()


def test_a_decay_from_the_first_iteration_is_not_a_warm_up():
    decay = dict(type='LinearLR', start_factor=1.0, end_factor=0.1, begin=0, end=90)
    cfg = Config(dict(max_iters=100, param_scheduler=[decay], train_cfg=dict(max_iters=None)))
    resolve(cfg)
    assert cfg.param_scheduler[0].end == 90 and cfg.train_cfg.max_iters == 100


@pytest.fixture
def ten_images(monkeypatch):
    monkeypatch.setattr(run_length, '_count_images', lambda cfg: 10)
    for name in ('WORLD_SIZE', 'SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    return Config(
        dict(
            epochs=6,
            train_dataloader=dict(batch_size=2),
            train_cfg=dict(max_iters=None, val_interval=1.0),
        )
    )


@pytest.mark.parametrize(
    ('launcher', 'variable'),
    [('pytorch', 'WORLD_SIZE'), ('slurm', 'SLURM_NTASKS'), ('mpi', 'OMPI_COMM_WORLD_SIZE')],
)
def test_epochs_are_divided_among_processes(ten_images, monkeypatch, launcher, variable):
    alone = copy.deepcopy(ten_images)
    monkeypatch.setenv(variable, '3')
    resolve(alone)  # a variable of a launcher that has not started this process
    assert (alone.max_iters, alone.epochs) == (30, None)
    ten_images.launcher = launcher
    resolve(ten_images)
    assert ten_images.max_iters == ten_images.train_cfg.val_interval == 10


def test_a_part_of_an_epoch_is_at_least_one_iteration(ten_images):
    ten_images.epochs = 0.01
    resolve(ten_images)
    assert ten_images.max_iters == 1


def test_a_test_needs_no_training_data(ten_images):
    resolve(ten_images, checkpoint_meta={})
    assert ten_images.epochs == 6 and ten_images.train_cfg.max_iters is None


@pytest.mark.parametrize(
    ('lengths', 'message'),
    [
        (dict(epochs=6, max_iters=5), 'epochs=6 and max_iters=5 both set the length of the run'),
        (dict(epochs=0), 'epochs=0 is not a positive number'),
        (dict(epochs=None, max_iters='many'), "max_iters='many' is not a positive number"),
    ],
)
def test_lengths_that_cannot_be(ten_images, lengths, message):
    ten_images.merge_from_dict(lengths)
    with pytest.raises(ConfigError, match=message):
        resolve(ten_images)
