"""The commands of a run."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from benchmarks.experiments.plan import Run
from benchmarks.experiments.run import train


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
