"""The commands of a run."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks.common.activity import locked
from benchmarks.experiments.plan import Run
from benchmarks.experiments.run import Worker, sweep_scores, train
from mmdet_multigrain.utils.files import dump_json
from tests.benchmarks.conftest import call
from tests.benchmarks.experiments.test_choice import CONTENT


class Recorder:
    """Takes the commands of a run and carries none out."""

    def __init__(self):
        self.commands = []

    def turn(self, name):
        return nullcontext()

    def call(self, *command):
        self.commands.append([str(part) for part in command])


@pytest.mark.parametrize('names', [(), ('channels-last', 'fused-optimizer')])
def test_options_for_faster_training_reach_the_trainer(experiment_of, source, tmp_path, names):
    worker, run = Recorder(), Run('small', 'wgroup', 3)
    *_, checkpoint = train(experiment_of(speed=names), run, worker, tmp_path / 'run', source=source)
    (command,) = worker.commands
    assert checkpoint.name == 'iter_2.pth'
    end = command.index('--cfg-options')
    assert command[command.index('--resume') + 1 : end] == (['--speed', *names] if names else [])
    assert 'lr=0.5' in command[end:]


def test_scores_are_tuned_once_with_the_gammas_of_the_experiment(experiment_of, tmp_path):
    class Sweeper(Recorder):
        folder = tmp_path

        def call(self, *command):
            super().call(*command)
            out = Path(command[command.index('--out') + 1])
            out.mkdir()
            (out / 'sweep.json').write_bytes(dump_json(CONTENT))

    gammas = dict(variants=['wgroup'], gammas=[0.5], count_gammas=[0.6, 0.8], measure='tail AP')
    worker, experiment = Sweeper(), experiment_of(sweep=gammas)
    for _ in range(2):
        found = sweep_scores(
            experiment, worker, 'a.py', tmp_path / 'x.pth', ['--cfg-options', 'lr=1']
        )
        assert found['fusions']['NorCal 0.6'] == {'tail AP': 30.0, 'AP': 45.0}
    (command,) = worker.commands
    assert command[1:4] == ['tools/analysis_tools/sweep_scores.py', 'a.py', str(tmp_path / 'x.pth')]
    assert command[6:] == [
        *('--gammas', '0.5', '--count-gammas', '0.6', '0.8', '--cfg-options', 'lr=1'),
        'test_evaluator.class_sets.tail=[vest,shorts]',
    ]


@pytest.mark.parametrize(
    ('variant', 'data', 'message'),
    [('wgruop', 'set', "no variant 'wgruop'"), ('wgroup', 'none', 'none/photos: no such folder')],
)
def test_bad_calls_leave_no_folder(experiment_of, source, tmp_path, variant, data, message):
    experiment_of()
    places = ['--runs', tmp_path / 'runs.yaml', '--data', tmp_path / data]
    outputs = ['--folder', tmp_path / 'run', '--out', tmp_path / 'run.json']
    error = call('experiments.run', 'small', variant, 1, *places, *outputs).error()
    assert message in error and not (tmp_path / 'run').exists()


@pytest.mark.skipif(not Path('/proc/self/autogroup').exists(), reason='no autogroups')
@pytest.mark.usefixtures('sigterm')
def test_steps_are_as_nice_as_their_run(tmp_path, monkeypatch):
    """Sessions of their own would get as much of the processor as all else together."""
    monkeypatch.setattr(os, 'nice', lambda _: 7)
    wait_and_copy = """
import pathlib, sys, time
deadline = time.monotonic() + 20
while ' 7' not in (text := pathlib.Path('/proc/self/autogroup').read_text()):
    assert time.monotonic() < deadline, text
    time.sleep(0.05)
"""
    with locked('small.run') as lock:
        Worker(tmp_path, lock, 'cpu').call(sys.executable, '-c', wait_and_copy)
