"""The queue: order, failures, pauses, kills, orphans, and the pinned checkout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.common.activity import active_runs, holder, pause_file
from benchmarks.experiments import queue as queue_module
from benchmarks.experiments.plan import Run, result_path
from benchmarks.experiments.queue import Queue, check_committed, checkout, end_orphan, pin
from mmdet_multigrain.utils.errors import ConfigError

# A run that works for some seconds through the real worker; its step counts how far it is and goes
# on from there.
FAKE = """
import json, os, sys, time
from pathlib import Path
from benchmarks.common.activity import locked
from benchmarks.experiments.run import Worker
name, folder, out, steps = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
step = '''
import pathlib, sys, time
path = pathlib.Path(sys.argv[1])
while (done := int(path.read_text()) if path.exists() else 0) < int(sys.argv[2]):
    time.sleep(0.1)
    path.write_text(str(done + 1))
'''
with locked(name) as lock:
    folder.mkdir(parents=True, exist_ok=True)
    worker = Worker(folder, lock, 'cpu')
    worker.call(sys.executable, '-c', step, folder / 'done.txt', steps)
    if 'stock' in name:
        sys.exit(3)
    out.write_text(json.dumps(dict(steps=steps)))
"""


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(queue_module, 'POLL', 0.05)


@pytest.fixture
def make_queue(experiment_of, tmp_path, repository):
    """Makes a queue of fake runs; `begun` lists them in order."""
    (tmp_path / 'results' / 'small').mkdir(parents=True)

    def make(steps=2, jobs=1, **changes):
        def start(run):
            queue.begun.append(run.name)
            out = result_path(run, tmp_path / 'results')
            command = [run.lock, tmp_path / run.name, out, steps]
            return subprocess.Popen(
                [sys.executable, '-c', FAKE, *map(str, command)],
                cwd=repository,
                start_new_session=True,
                env={**os.environ, 'PYTHONPATH': str(repository)},
            )

        queue = Queue(experiment_of(**changes), start, tmp_path / 'results', jobs)
        queue.begun = []
        return queue

    return make


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.05)


def progress(folder: Path) -> int:
    path = folder / 'done.txt'
    return int(path.read_text() or 0) if path.exists() else 0


def test_order_failures_and_what_is_left(make_queue, capfd):
    queue = make_queue(replicates=1)
    queue.run()
    assert queue.begun == ['wgroup-01', 'wogroup-01', *3 * ['stock-01'], 'random-01', 'super-01']
    out = capfd.readouterr().out
    assert 'stock-01 failed with status 3' in out and 'random-01 done' in out
    again = make_queue(replicates=1)
    assert [run.name for run in again.left()] == ['stock-01']


def test_a_queue_that_begins_in_a_pause_says_so(make_queue, capfd):
    queue_module.main(['pause'])
    capfd.readouterr()
    queue = make_queue(replicates=1)
    thread = threading.Thread(target=queue.run)
    thread.start()
    seen = []
    wait_for(lambda: seen.append(capfd.readouterr().out) or 'nothing runs until' in ''.join(seen))
    assert queue.begun == []
    queue_module.main(['resume'])
    wait_for(lambda: queue.begun)
    queue.stop()
    thread.join(60)


def test_pause_stops_a_run_in_the_middle_and_resume_lets_it_go_on(make_queue, tmp_path):
    queue = make_queue(steps=40, replicates=1)
    thread = threading.Thread(target=queue.run)
    thread.start()
    folder = tmp_path / 'wgroup-01'
    wait_for(lambda: progress(folder) >= 2)
    queue_module.main(['pause'])
    assert active_runs() == [] and holder('small.wgroup-01')['state'] == 'paused'
    before, spent = progress(folder), (folder / 'seconds.txt').read_text()
    time.sleep(1.5)
    assert progress(folder) == before and (folder / 'seconds.txt').read_text() == spent
    assert queue.begun == ['wgroup-01']
    queue.stop()  # also ends a paused run
    thread.join(60)
    assert holder('small.wgroup-01') is None and progress(folder) < 40
    queue_module.main(['resume'])
    assert not pause_file().exists()


def test_a_killed_run_is_started_again_and_its_orphan_ended(make_queue, tmp_path):
    queue = make_queue(steps=30, replicates=1)
    run = Run('small', 'wgroup', 1)
    process = queue.start(run)
    folder = tmp_path / run.name
    wait_for(lambda: progress(folder) >= 2)
    child = holder(run.lock)['child']
    process.kill()
    process.wait()
    assert holder(run.lock)['child'] == child  # goes on alone
    end_orphan(run)
    assert holder(run.lock) is None
    reached = progress(folder)
    assert reached < 30
    wait_for(lambda: not Path(f'/proc/{child}').exists())
    assert queue.start(run).wait(60) == 0
    assert json.loads(result_path(run, tmp_path / 'results').read_text()) == dict(steps='30')


def test_a_killed_queue_leaves_its_runs_to_the_next_one(make_queue, tmp_path):
    first, run = make_queue(steps=20, replicates=1), Run('small', 'wgroup', 1)
    process = first.start(run)  # as if its queue had been killed by now
    wait_for(lambda: holder(run.lock))
    second = make_queue(steps=1, replicates=1, variants=PAIR)
    second.run()
    assert second.begun == ['wogroup-01'] and process.wait() == 0


def test_a_stopped_queue_ends_runs_of_an_earlier_one(make_queue, tmp_path):
    run = Run('small', 'wgroup', 1)
    process = make_queue(steps=500).start(run)
    wait_for(lambda: holder(run.lock))
    second = make_queue(replicates=1)
    second.stop()
    second.run()
    assert process.wait(30) == 128 + signal.SIGTERM


PAIR = [dict(name=name, config='a.py') for name in ('wgroup', 'wogroup')]


def test_a_run_asked_to_stop_passes_it_on(make_queue, tmp_path):
    process = make_queue(steps=100).start(Run('small', 'wgroup', 1))
    wait_for(lambda: progress(tmp_path / 'wgroup-01') >= 1)
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    assert holder('small.wgroup-01') is None


@pytest.fixture
def commits(tmp_path, monkeypatch):
    """A repository with two commits; the queue believes that it is in it."""
    folder = tmp_path / 'repository'
    folder.mkdir()
    monkeypatch.setattr(queue_module, 'REPOSITORY', folder)

    def git(*arguments):
        author = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
        return subprocess.check_output(['git', *author, *arguments], cwd=folder, text=True).strip()

    git('init', '-q')
    found = []
    for number in range(2):
        (folder / 'file.txt').write_text(str(number))
        git('add', '.')
        git('commit', '-q', '-m', str(number))
        found.append(git('rev-parse', 'HEAD'))
    return found


def test_commit_of_results_before_that_of_the_last_start_before_head(commits, tmp_path):
    first, second = commits
    state = tmp_path / 'state'
    assert pin(state, {}, None) == second
    assert pin(state, {}, first[:8]) == first
    assert pin(state, {}, None) == first
    assert pin(state, {1: dict(commit=second)}, None) == second
    with pytest.raises(ConfigError, match='rev-parse'):
        pin(state, {}, 'nothing')


def test_the_number_of_replicates_is_committed_before_the_runs(commits, experiment_of, tmp_path):
    path = tmp_path / 'repository' / 'file.txt'
    fixed, pilot = experiment_of(), experiment_of(replicates=6, pilot=6)
    check_committed(fixed, path)
    path.write_text('replicates: 2')
    check_committed(pilot, path)
    check_committed(fixed, tmp_path / 'runs.yaml')  # in no repository
    with pytest.raises(ConfigError, match='commit its `replicates: 2` for small before the runs'):
        check_committed(fixed, path)


def test_checkout_is_made_once_and_repaired(commits, tmp_path):
    path = checkout(commits[0], tmp_path / 'trees')
    assert (path / 'file.txt').read_text() == '0'
    assert checkout(commits[0], tmp_path / 'trees') == path
    (path / 'file.txt').write_text('changed')
    assert checkout(commits[0], tmp_path / 'trees') == path
    assert (path / 'file.txt').read_text() == '0'


def test_a_closed_gate_leaves_nothing(make_queue, tmp_path):
    gate = dict(variant='wogroup', measure='AP', least=5)
    queue = make_queue(replicates=1, variants=PAIR, gate=gate)
    assert [run.name for run in queue.left()] == ['wogroup-01']
    path = result_path(Run('small', 'wogroup', 1), tmp_path / 'results')
    path.write_text(json.dumps(dict(scores=dict(AP=4))))
    assert queue.left() == []
    path.write_text(json.dumps(dict(scores=dict(AP=5))))
    assert [run.name for run in queue.left()] == ['wgroup-01']


def test_an_experiment_waits_for_those_before_it(experiment_of, tmp_path):
    experiment_of(after=dict(small=['stock']))
    places = ['--runs', tmp_path / 'runs.yaml', '--results', tmp_path, '--data', tmp_path]
    with pytest.raises(ConfigError, match='small comes after 2 other runs .*small.stock-01'):
        queue_module.main(['run', 'small', *map(str, places)])


def test_missing_data_stops_the_queue_and_not_each_run(experiment_of, tmp_path):
    experiment_of()
    places = ['--runs', tmp_path / 'runs.yaml', '--results', tmp_path, '--data', tmp_path / 'none']
    with pytest.raises(ConfigError, match='none/photos: no such folder'):
        queue_module.main(['run', 'small', *map(str, places)])


def test_run_needs_data(capsys):
    with pytest.raises(SystemExit):
        queue_module.main(['run', 'rbc12'])
    assert "run needs --data, the data set's folder" in capsys.readouterr().err
