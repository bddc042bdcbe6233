"""Runs of two processes that lose one, are asked to stop, or are not alike."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from benchmarks.common.run_equality import differences, log_entries
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

from .conftest import REPOSITORY, Result, call, options, start

# A user's module and config. The second process strikes itself in the fourth iteration, or does
# not, as the environment says; with it its whole group of processes: the workers of its loader.
STRIKE = """
import os
import subprocess
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class StrikeHook(Hook):
    priority = 'VERY_HIGH'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        started_again = os.environ.get('TORCHELASTIC_RESTART_COUNT') != '0'
        if runner.iter == 3 and get_rank() == 1 and 'STRIKE' in os.environ and not started_again:
            # From outside, as launchers do: a worker heeds its own main process.
            group = '-' if os.getpgid(0) == os.getpid() else ''
            command = ['kill', '-s', os.environ['STRIKE'], '--', f'{group}{os.getpid()}']
            subprocess.run(command, start_new_session=True)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(Path(runner.work_dir, f'samples_{get_rank()}.txt'), 'a') as notes:
            for sample in data_batch['data_samples']:
                print(runner.iter, sample.img_id, sample.flip, file=notes)
"""
CONFIG = """
_base_ = {base!r}
import os
custom_imports = dict(imports=_base_.custom_imports.imports + ['strike'])
custom_hooks = _base_.custom_hooks + [dict(type='StrikeHook')]
"""
UNLIKE = """
optim_wrapper = dict(clip_grad=dict(max_norm=10 + int(os.environ['RANK'])))
"""
MORE = (
    'train_cfg.max_iters=6',
    'train_cfg.val_interval=6',
    'train_dataloader.num_workers=1',
    'default_hooks.checkpoint.interval=2',
)


class Runs:
    """Starts runs of two processes, with the head whose loss counts classes in each process."""

    def __init__(self, folder: Path, config: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        (folder / 'strike.py').write_text(STRIKE)
        self.config, self.unlike = folder / 'config.py', folder / 'unlike.py'
        text = CONFIG.format(base=str(config))
        self.config.write_text(text)
        self.unlike.write_text(text + UNLIKE)

    def options(self, *more: str) -> list[str]:
        return options(self.data, *MORE, *more)

    def train(self, name: str, *, config: Path | None = None, **environment: str) -> Result:
        return self._launch(config or self.config, 2, name, self.options(), **environment)

    def _launch(self, config, processes, name, options, **environment: str) -> Result:
        return start(
            'bash', REPOSITORY / 'tools' / 'dist_train.sh', config, processes,
            '--seed', 0, '--resume', '--work-dir', self.folder / name, *options,
            PYTHONPATH=f'{self.folder}:{REPOSITORY}', **environment,
        )  # fmt: skip

    def on_two_nodes(self, name: str, **environment: str) -> list[Result]:
        """A process on each of two nodes, which are two launchers on this machine."""
        with socket.create_server(('localhost', 0)) as server:
            port = str(server.getsockname()[1])
        where = dict(NNODES='2', MASTER_ADDR='127.0.0.1', PORT=port, **environment)
        where['MKL_NUM_THREADS'] = '1'  # as the launcher sets it for two processes on a node
        run = partial(self._launch, self.config, 1, name, self.options(), **where)
        with ThreadPoolExecutor(2) as nodes:
            return list(nodes.map(lambda rank: run(NODE_RANK=rank), '01'))

    def differences(self, name: str) -> list[str]:
        """In what a run differs from the one that nothing happened to."""
        folders = [self.folder / 'whole', self.folder / name]
        found = list(
            differences(*(read_checkpoint(str(folder / 'iter_6.pth')) for folder in folders))
        )
        (expected, _), (entries, own) = map(log_entries, folders)
        assert len(expected) == 6 + 1
        found += [*own, *differences(expected, entries)]
        for rank in (0, 1):
            whole, other = (
                (path / f'samples_{rank}.txt').read_text().split('\n') for path in folders
            )
            assert len(whole) == 6 * 2 + 1
            found += [] if set(whole) == set(other) else [f'samples of process {rank}']
        return found


@pytest.fixture(scope='module')
def runs(tmp_path_factory, config, garment_data) -> Runs:
    """Runs; 'whole' is over already."""
    made = Runs(tmp_path_factory.mktemp('several'), config, garment_data)
    result = made.train('whole')
    assert result.status == 0, result.err
    return made


def test_a_killed_process_ends_the_run_with_its_name_and_the_run_goes_on(runs):
    begin = time.monotonic()
    result = runs.train('killed', STRIKE='KILL')
    assert time.monotonic() - begin < 60 + 60  # it starts in less than a minute
    assert result.status == 128 + 9
    assert 'Traceback' not in result.out + result.err
    lines = result.err.splitlines()
    assert 'error: process 1 was ended by SIGKILL' in lines
    assert any(line.startswith('error: process 1 of this run ended') for line in lines)
    assert result.iterations[-1] == (3, 6)

    result = runs.train('killed')
    assert result.status == 0, result.err
    assert result.iterations[0] == (3, 6)  # from iter_2.pth
    assert runs.differences('killed') == []

    # Other buffers in each process: what the first alone would have lost.
    buffers = read_checkpoint(str(runs.folder / 'whole' / 'iter_6.pth'))['process_buffers']
    assert buffers[0] == {} and 'backbone.bn1.running_mean' in buffers[1]


def test_sigterm_saves_and_torchrun_starts_again(runs):
    result = runs.train('stopped', STRIKE='TERM', MAX_RESTARTS='1')
    assert result.status == 0, result.err
    assert result.err.count('stopped by SIGTERM after iteration') == 1
    last = int(re.search(r'stopped by SIGTERM after iteration (\d)', result.err)[1])
    assert last in (4, 5)  # both processes have heard of it one iteration later at most
    assert f'resumed epoch: 0, iter: {last}\n' in result.out
    assert [number for number, _ in result.iterations] == [*range(1, 7)]
    # One checkpoint more was written.
    assert set(runs.differences('stopped')) <= {'message_hub.runtime_info.keep_ckpt_ids'}


@pytest.mark.long
def test_a_run_on_two_nodes_loses_one_and_goes_on(runs):
    first, second = runs.on_two_nodes('nodes', STRIKE='KILL')
    assert second.status == 128 + 9 and 'was ended by SIGKILL' in second.err
    assert first.status == 2, first.err
    assert any(
        line.startswith('error: process 1 of this run ended') for line in first.err.split('\n')
    )
    assert first.iterations[-1] == (3, 6)

    first, second = runs.on_two_nodes('nodes')
    assert first.status == second.status == 0, first.err + second.err
    assert first.iterations[0] == (3, 6)  # from iter_2.pth
    assert second.iterations == []
    assert runs.differences('nodes') == []  # from the run of two processes on one node


def test_unlike_processes_do_not_start(runs):
    result = runs.train('unlike', config=runs.unlike)
    assert result.status == 2
    lines = set(result.err.splitlines())
    assert lines == {
        'error: process 1 differs from process 0 in the config entry '
        'optim_wrapper.clip_grad.max_norm (11, not 10); start all processes with the same config, '
        'data and code'
    }
    assert not [*(runs.folder / 'unlike').rglob('*')]


def test_one_process_does_not_go_on_with_a_run_of_two(runs, monkeypatch):
    monkeypatch.syspath_prepend(runs.folder)
    path = runs.folder / 'whole' / 'iter_6.pth'
    arguments = ['--work-dir', runs.folder / 'one', '--resume', path]
    line = call('train', runs.config, *arguments, *runs.options()).error()
    assert f'{path}: is of a run with 2 processes, not 1; restore that' in line
    more = [
        'default_hooks.exact_resume.allow_world_size_change=True',
        'default_hooks.exact_resume.allow_length_change=True',
        'train_cfg.max_iters=7',
    ]
    result = call('train', runs.config, *arguments, *runs.options(*more))
    assert result.status == 0, result.err
    assert result.iterations == [(7, 7)]
