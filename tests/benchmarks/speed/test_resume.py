"""The cost of an exact resume: what is printed, and when it refuses."""

from __future__ import annotations

from benchmarks.common.activity import locked
from tests.benchmarks.conftest import call

SMALL = ['--images', 60, '--batch', 4, '--iteration', 200]


def test_prints_the_cost_unless_a_run_is_active():
    with locked('trial.a'):
        done = call('speed.resume', *SMALL)
    assert '1 training runs are active (trial.a)' in done.error() and 'seeding' not in done.out
    done = call('speed.resume', *SMALL)
    assert done.status == 0 and 'first batch at iteration 200' in done.out, done.err
