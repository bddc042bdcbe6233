"""Which lines a watched run logs in addition to those of each interval, and which it leaves out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger

from mmdet_multigrain.engine.hooks import ProgressLoggerHook
from mmdet_multigrain.engine.hooks import progress_logger_hook as module
from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric


class Runner:
    """As much of a runner as the hook looks at; one of 100 batches per epoch."""

    def __init__(self, tmp_path, metrics=(), batches=100):
        self.lines, self.scalars = [], []
        self.logger = SimpleNamespace(info=self.lines.append)
        self.log_processor = SimpleNamespace(
            get_log_after_iter=lambda runner, batch_idx, mode: ({}, f'{mode} {batch_idx + 1}'),
            get_log_after_epoch=lambda *arguments, **options: ({}, 'coco/bbox_mAP: 0.5'),
        )
        self.visualizer = SimpleNamespace(
            add_scalars=lambda tag, step, file_path: self.scalars.append(step)
        )
        self.train_dataloader = self.val_dataloader = self.test_dataloader = range(batches)
        self.val_evaluator = self.test_evaluator = SimpleNamespace(metrics=metrics)
        self.experiment_name, self.log_dir, self._train_loop, self.iter = 'x', tmp_path, None, 0

    def train(self, hook, first, last):
        """The lines of iterations; a process begins with the first of them."""
        self.lines.clear()
        hook.before_train(self)
        for self.iter in range(first - 1, last):
            hook.after_train_iter(self, self.iter)
        return self.lines


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test sets it."""
    now = SimpleNamespace(value=0.0)
    monkeypatch.setattr(module.time, 'monotonic', lambda: now.value)
    return now


def numbers(lines):
    return [int(line.split()[-1]) for line in lines if line.startswith('train')]


@pytest.mark.parametrize(
    ('first', 'expected'), [(1, [1, 2, 5, 10, 20, 40]), (18, [18, 19, 20, 22, 27, 40])]
)
def test_the_first_iterations_of_a_process_are_logged(tmp_path, clock, first, expected):
    runner, hook = Runner(tmp_path), ProgressLoggerHook(interval=20)
    assert numbers(runner.train(hook, first, 45)) == expected
    assert runner.scalars == [20, 40]  # files of a resumed run equal those of a whole one


@pytest.mark.parametrize('interval', [1, 2, 5])
def test_no_line_comes_twice(tmp_path, clock, interval):
    runner, hook = Runner(tmp_path, batches=2), ProgressLoggerHook(interval=interval)
    found = numbers(runner.train(hook, 1, 10))
    assert found == sorted(set(found)) and {1, 2, 5, 10} <= set(found)


@pytest.mark.parametrize('mode', ['train', 'val', 'test'])
def test_silence_ends_after_30_seconds(tmp_path, clock, mode):
    runner, hook = Runner(tmp_path), ProgressLoggerHook(interval=50)
    getattr(hook, f'before_{mode}')(runner)
    hook._iterations = 10
    for batch in range(55):
        clock.value += 9
        getattr(hook, f'after_{mode}_iter')(runner, batch)
    found = [int(line.split()[-1]) for line in runner.lines if line.startswith(mode)]
    assert found == [*range(4, 49, 4), 50, 54]


@pytest.mark.parametrize('stage', ['val', 'test'])
@pytest.mark.parametrize(
    ('metrics', 'is_shown'),
    [
        ([MultiGrainedCocoMetric()], False),
        ([MultiGrainedCocoMetric(metric=['bbox', 'segm'])], True),
        ([MultiGrainedCocoMetric(), object()], True),
    ],
)
def test_metrics_of_a_table_are_not_repeated(tmp_path, capsys, stage, metrics, is_shown):
    runner = Runner(tmp_path, metrics)
    path = tmp_path / 'run.log'
    runner.logger = MMLogger(f'progress-{stage}-{len(metrics)}', log_file=str(path))
    hook = ProgressLoggerHook(interval=50, log_metric_by_epoch=False)
    hook.json_log_path = 'scalars.json'
    getattr(hook, f'after_{stage}_epoch')(runner, {'coco/bbox_mAP': 0.5})
    assert ('bbox_mAP' in capsys.readouterr().out) is is_shown
    assert 'bbox_mAP' in path.read_text()
