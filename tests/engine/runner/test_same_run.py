"""Processes of one run: what may not differ between them, and which one is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest
import torch
from mmengine.config import Config

from mmdet_multigrain.engine.fingerprints import code_digest, file_digest
from mmdet_multigrain.engine.runner import same_run
from mmdet_multigrain.engine.runner.same_run import (
    Process,
    annotation_files,
    check_same_run,
    lost_process,
)
from mmdet_multigrain.utils.errors import ProcessError

RESET = RuntimeError('[gloo/transport/tcp/pair.cc:1] Read error: Connection reset by peer')


def gathered(monkeypatch, change):
    """Two processes, of which the second says something else about itself."""

    def gather(process):
        return [process, Process('other', 1, {**process.facts, **change(process.facts)})]

    monkeypatch.setattr(same_run, 'all_gather_object', gather)


def test_equal_processes(monkeypatch, tmp_path):
    gathered(monkeypatch, lambda facts: {})
    first, second = check_same_run(Config(dict(a=dict(b=1))))
    assert (first.host, first.pid) == (socket.gethostname(), os.getpid())
    assert first.facts['config entry a.b'] == '1'
    assert first.facts['version of torch'] == torch.__version__
    assert first.facts['code of mmdet_multigrain'] == code_digest()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'config entry a.b': '2'}, 'process 1 differs from process 0 in the config entry a.b (2,'),
        ({'config entry c': '3'}, 'in the config entry c (3, not absent); start all'),
        ({'code of mmdet_multigrain': 64 * 'f'}, 'in the code of mmdet_multigrain (ffffffffffff..'),
        ({'version of numpy': '1.0'}, 'in the version of numpy (1.0, not '),
    ],
)
def test_a_difference_is_named(monkeypatch, change, message):
    gathered(monkeypatch, lambda facts: change)
    with pytest.raises(ProcessError) as caught:
        check_same_run(Config(dict(a=dict(b=1))))
    assert message in str(caught.value) and '\n' not in str(caught.value)


def test_another_content_of_the_annotations_is_named(monkeypatch, tmp_path):
    (tmp_path / 'train.json').write_text('{}')
    cfg = Config(dict(
        loader=dict(dataset=dict(datasets=[dict(data_root=str(tmp_path), ann_file='train.json')])),
        evaluator=dict(ann_file=str(tmp_path / 'val.json')),  # not there
    ))  # fmt: skip
    path = str(tmp_path / 'train.json')
    assert annotation_files(cfg.to_dict()) == [path]
    gathered(monkeypatch, lambda facts: {})
    assert check_same_run(cfg)[0].facts[f'content of {path}'] == file_digest(path)
    gathered(monkeypatch, lambda facts: {f'content of {path}': 64 * '0'})
    with pytest.raises(ProcessError, match=f'in the content of {path} '):
        check_same_run(cfg)


def ended(*, waited_for):
    child = subprocess.Popen([sys.executable, '-c', ''])
    if waited_for:
        child.wait()
    else:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return child


@pytest.mark.parametrize('waited_for', [True, False])
def test_the_lost_process_is_named(waited_for):
    child = ended(waited_for=waited_for)
    here = socket.gethostname()
    processes = [Process(here, os.getpid(), {}), Process('elsewhere', 1, {}),
                 Process(here, child.pid, {})]  # fmt: skip
    error = lost_process(RESET, processes)
    assert str(error).startswith('process 2 of this run ended (it was killed, or ')
    assert str(error).endswith('resume from the last checkpoint')
    child.wait()


def test_no_process_is_blamed_without_need(monkeypatch):
    monkeypatch.setattr(same_run, '_SECONDS_TO_END', 0.2)
    child = ended(waited_for=True)
    here = socket.gethostname()
    gone = [Process(here, os.getpid(), {}), Process(here, child.pid, {})]
    assert lost_process(RuntimeError('out of memory'), gone) is None
    unnamed = lost_process(RESET, [])
    assert str(unnamed).startswith('another process of this run ended, and its message says why;')
    begin = time.monotonic()
    there = [Process(here, os.getpid(), {}), Process(here, os.getppid(), {})]
    assert str(lost_process(RESET, there)).startswith('another process of this run ended')
    assert time.monotonic() - begin < 2
