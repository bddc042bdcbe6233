"""GracefulStopHook: how several processes agree on where to stop."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
import torch
from torch import distributed

from mmdet_multigrain.engine.hooks import GracefulStopHook
from mmdet_multigrain.engine.hooks import graceful_stop_hook as module


class Peers:
    """Several processes, asked one after another; `distributed.all_reduce` of one iteration."""

    def __init__(self, monkeypatch, number):
        self.hooks = [GracefulStopHook() for _ in range(number)]
        for hook in self.hooks:
            hook._group = object()
        self.tensors = []
        monkeypatch.setattr(distributed, 'all_reduce', self.all_reduce)

    def all_reduce(self, tensor, *, op, group, async_op):
        assert op == distributed.ReduceOp.MAX and async_op
        self.tensors.append(tensor)
        return SimpleNamespace(wait=lambda: None)

    def iteration(self, wanted, iteration, number=signal.SIGTERM):
        """Who stops after it."""
        stopped = []
        for rank, hook in enumerate(self.hooks):
            runner = SimpleNamespace(
                stop_request=SimpleNamespace(signal=number if rank in wanted else 0),
                iter=iteration, rank=rank, hooks=[],
                optim_wrapper=SimpleNamespace(_accumulative_counts=1),
            )  # fmt: skip
            try:
                hook.after_train_iter(runner, iteration)
            except SystemExit as stop:
                assert stop.code == 128 + number
                stopped.append(rank)
        answer = max(tensor.item() for tensor in self.tensors)
        for tensor in self.tensors:
            tensor.fill_(answer)
        self.tensors.clear()
        return stopped


@pytest.mark.parametrize('asked', [{0}, {2}, {0, 1, 2}])
def test_all_stop_after_the_same_iteration(monkeypatch, capsys, asked):
    peers = Peers(monkeypatch, 3)
    assert peers.iteration(set(), 0) == []
    assert peers.iteration(asked, 1) == []
    assert peers.iteration(asked, 2) == [0, 1, 2]
    assert all(hook._pending is None for hook in peers.hooks)  # no answer is left on its way
    line = 'stopped by SIGTERM after iteration 3; resume from the last checkpoint\n'
    assert capsys.readouterr().err == line


def test_ctrl_c_of_one_process_stops_all(monkeypatch, capsys):
    peers = Peers(monkeypatch, 2)
    assert peers.iteration({1}, 0, signal.SIGINT) == []
    assert peers.iteration(set(), 1, signal.SIGINT) == [0, 1]
    line = 'stopped by Ctrl-C after iteration 2; resume from the last checkpoint\n'
    assert capsys.readouterr().err == line


def test_one_process_asks_nobody(monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError('there is no group')

    monkeypatch.setattr(distributed, 'all_reduce', fail)
    hook = GracefulStopHook()
    runner = SimpleNamespace(
        stop_request=SimpleNamespace(signal=0), world_size=1, iter=0, rank=0, hooks=[],
        optim_wrapper=SimpleNamespace(),
    )  # fmt: skip
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    runner.stop_request.signal = signal.SIGINT
    with pytest.raises(SystemExit, match='130'):
        hook.after_train_iter(runner, 0)
    hook.after_train(runner)


def test_a_runner_of_mmengine_has_no_request():
    hook = GracefulStopHook()
    hook.after_train_iter(SimpleNamespace(iter=0), 0)
    assert torch.is_tensor(hook._answer) is False


@pytest.mark.parametrize(
    ('resolvable', 'interface', 'expected'),
    [
        ([True, True], None, ('gloo', 'cpu')),
        ([False, True], None, (None, 'cuda:1')),
        ([False, True], 'eth0', ('gloo', 'cpu')),
    ],
)
def test_hosts_that_gloo_cannot_resolve(monkeypatch, resolvable, interface, expected):
    def getaddrinfo(host, port):
        if not resolvable[0]:
            raise OSError

    groups = []
    monkeypatch.setattr(module.socket, 'getaddrinfo', getaddrinfo)
    monkeypatch.setattr(module, 'all_gather_object', lambda own: [own, resolvable[1]])
    monkeypatch.setattr(module, 'get_comm_device', lambda: 'cuda:1')
    monkeypatch.setattr(distributed, 'new_group', lambda backend: groups.append(backend))
    if interface:
        monkeypatch.setenv('GLOO_SOCKET_IFNAME', interface)
    hook = GracefulStopHook()
    hook.before_train(SimpleNamespace(world_size=2))
    assert (groups[0], hook._device) == expected
