"""Runs that are killed (SIGKILL) while they save: nothing is lost, and harm would be noticed."""

from __future__ import annotations

import re

import pytest

from tests.benchmarks.conftest import start


def kill(*arguments):
    return start('reliability.kill_checkpoint_writes', *arguments)


def counts(out):
    names = ('rounds', 'kills', 'survived', 'stray files', 'worst loss')
    return {name: int(re.search(rf'^{name} +(\d+)', out, re.MULTILINE)[1]) for name in names}


@pytest.mark.long
def test_every_kill_is_survived():
    result = kill('--rounds', 3, '--every-step')
    assert result.status == 0, result.out + result.err
    assert ', failed 0' in result.out
    found = counts(result.out)
    assert found['kills'] == found['survived'] >= 27
    assert found['stray files'] == 0 and 1 <= found['worst loss'] <= 3


def test_what_mmengines_hook_loses_is_noticed():
    result = kill('--rounds', 0, '--every-step', '--hook', 'CheckpointHook')
    assert result.status == 1
    assert counts(result.out)['kills'] >= 10
    assert 'iter_1.pth: not a whole checkpoint' in result.out
    assert "last_checkpoint: names 'iter_1.pth', which does not exist" in result.out
    assert 'the best checkpoint is gone' in result.out
