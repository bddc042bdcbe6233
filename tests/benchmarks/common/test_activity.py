"""Locks of runs: held while any process lives, told apart when paused, free after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.common import activity
from benchmarks.common.activity import ActivityError, active_runs, holder, locked, note
from benchmarks.common.ratios import rounds

# Takes a lock and starts a child that inherits it.
HOLD = """
import subprocess, sys, time
from benchmarks.common.activity import locked, note
with locked('trial.wgroup-01') as lock:
    options = dict(stdout=subprocess.DEVNULL, pass_fds=[lock], start_new_session=True)
    child = subprocess.Popen(['sleep', '60'], **options)
    note(lock, child=child.pid)
    print('held', flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_and_tells_who(monkeypatch):
    monkeypatch.setattr(activity, 'SECONDS_TO_LOCK', 0.2)
    with locked('trial.a') as lock:
        assert holder('trial.a') == dict(pid=os.getpid(), child=None, state='running')
        with pytest.raises(ActivityError, match='trial.a is already running'), locked('trial.a'):
            pass
        note(lock, child=5, state='paused')
        assert holder('trial.a')['child'] == 5
    assert holder('trial.a') is None and holder('trial.b') is None


def test_benchmarks_refuse_to_start_while_a_run_is_active():
    activity.refuse_while_active()
    with locked('queue.trial'):
        activity.refuse_while_active()
        with locked('trial.a') as lock:
            with pytest.raises(ActivityError, match=r'1 training runs are active \(trial.a\)'):
                next(rounds(['a'], repeats=1, title='timing'))
            note(lock, state='paused')
            activity.refuse_while_active()


def test_the_lock_outlives_a_killed_process_as_long_as_its_child(repository):
    parent = subprocess.Popen(
        [sys.executable, '-c', HOLD], stdout=subprocess.PIPE, cwd=repository, text=True
    )
    assert parent.stdout.readline() == 'held\n'
    child = holder('trial.wgroup-01')['child']
    parent.kill()
    parent.communicate()
    assert active_runs() == ['trial.wgroup-01']
    os.killpg(child, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while active_runs() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert active_runs() == []
