"""SIGTERM and Ctrl-C: noted in the main process, left to it by its workers."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
import torch

from mmdet_multigrain.engine.runner.stop_request import StopRequest, begin_worker


def test_it_is_noted_while_entered():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append('before'))
    try:
        with StopRequest() as request:
            assert request.signal == 0
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # launchers repeat it
            assert request.signal == signal.SIGTERM and not heard
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ['before']
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_second_ctrl_c_ends_at_once(capfd):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopRequest() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.signal == signal.SIGINT
        assert 'Ctrl-C again ends at once' in capfd.readouterr().err
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_torchrun_passes_the_second_ctrl_c_on_as_sigterm(monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    with StopRequest() as request:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert request.signal == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt), StopRequest() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.signal == signal.SIGINT
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize('order', [('SIGINT', 'SIGTERM'), ('SIGTERM', 'SIGINT')])
def test_sigterm_counts_more_than_ctrl_c(order):
    with StopRequest() as request:
        for name in order:
            os.kill(os.getpid(), getattr(signal, name))
        assert request.signal == signal.SIGTERM


def test_another_thread_cannot_and_need_not():
    requests = []

    def run():
        with StopRequest() as request:
            requests.append(request)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert requests[0].signal == 0


def work(connection):
    begin_worker(0, seed=None)
    connection.send('begun')
    time.sleep(60)


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='the system cannot tell senders')
def test_a_worker_heeds_its_own_main_process_alone():
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context('fork').Process(target=work, args=(theirs,), daemon=True)
    worker.start()
    assert ours.recv() == 'begun'
    for name in ('TERM', 'INT'):
        subprocess.run(['kill', '-s', name, str(worker.pid)], check=True)
    worker.join(timeout=0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(timeout=10)
    assert worker.exitcode == 0


def test_a_worker_is_seeded_as_mmengine_does():
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        begin_worker(1, num_workers=2, rank=1, seed=10)
        drawn = random.random(), np.random.rand(), torch.rand(()).item()
        random.seed(13), np.random.seed(13), torch.manual_seed(13)  # 2 x 1 + 1 + 10
        assert drawn == (random.random(), np.random.rand(), torch.rand(()).item())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, on_interrupt)
