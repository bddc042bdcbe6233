"""What a test notes of its run: from the checkpoint, the data set and the checkout."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import mmdet_multigrain
from mmdet_multigrain.engine.hooks import RunRecordHook
from mmdet_multigrain.engine.hooks.run_record_hook import git_revision, versions
from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric


def runner(metric, **data):
    return SimpleNamespace(
        _load_from='iter_9.pth',
        test_dataloader=SimpleNamespace(dataset=SimpleNamespace(**data)),
        test_evaluator=SimpleNamespace(metrics=[object(), metric]),
    )


@pytest.mark.parametrize(
    ('meta', 'expected'),
    [
        (dict(meta=dict(iter=9, seed=3)), (9, 3)),
        (dict(meta=dict(iter='9')), (None, None)),
        (dict(meta=dict(iter=True, seed=0)), (None, 0)),
        (dict(meta=None), (None, None)),
        ({}, (None, None)),
    ],
)
def test_record(meta, expected):
    hook, metric = RunRecordHook(config='a.py', command='test.py a.py'), MultiGrainedCocoMetric()
    assert metric.run.config is None
    run = runner(metric, data_prefix=dict(img='photos'))
    hook.after_load_checkpoint(run, dict(state_dict={}, **meta))
    hook.before_test(run)
    record = metric.run
    assert (record.iteration, record.seed) == expected
    assert (record.config, record.command, record.checkpoint, record.image_folder) == (
        'a.py',
        'test.py a.py',
        'iter_9.pth',
        'photos',
    )
    assert record.trained_as is None
    hook.after_load_checkpoint(run, dict(meta=dict(trained_as={'head': {'grouped': True}})))
    hook.before_test(run)
    assert metric.run.trained_as == {'head': {'grouped': True}}
    assert record.versions == versions() and 'torch' in record.versions


def test_wrapped_data_set_and_no_checkpoint():
    hook, metric = RunRecordHook(), MultiGrainedCocoMetric()
    hook.before_test(runner(metric, dataset=SimpleNamespace()))
    assert metric.run.image_folder is None and metric.run.iteration is None


def test_git_revision(tmp_path):
    def git(*arguments):
        return subprocess.run(
            ['git', '-C', tmp_path, '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    package = tmp_path / 'package'
    package.mkdir()
    (package / '__init__.py').write_text('')
    assert git_revision(package) is None
    git('init')
    assert git_revision(package) is None  # in a checkout, but not of it
    git('add', '.')
    git('commit', '-m', 'first')
    assert git_revision(package) == git('rev-parse', 'HEAD')
    (package / '__init__.py').write_text('a = 1')
    assert git_revision(package) == git('rev-parse', 'HEAD') + '+'


def test_what_changes_the_numbers_is_noted():
    hook, metric = RunRecordHook(options='--tta'), MultiGrainedCocoMetric()
    hook.before_test(runner(metric, data_prefix=None))
    record = metric.run
    assert (record.options, record.config, record.command) == ('--tta', None, None)
    assert record.image_folder is None and record.checkpoint == 'iter_9.pth'
    package = Path(mmdet_multigrain.__file__).parent
    assert record.git_revision == git_revision(package)


@pytest.mark.parametrize('error', [FileNotFoundError('git'), subprocess.TimeoutExpired('git', 10)])
def test_without_git_there_is_no_revision(monkeypatch, tmp_path, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(subprocess, 'run', fail)
    assert git_revision(tmp_path) is None
