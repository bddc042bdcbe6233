"""Checkpoints that are killed, fail or fill the disk while they are written; a tiny model.

Kills are in tests/benchmarks/reliability: they need processes of their own.
"""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.logging import MessageHub
from mmengine.runner import find_latest_checkpoint

from benchmarks.reliability import tiny_run as tiny
from mmdet_multigrain.engine.checkpoint.find import check_whole, find_last_checkpoint
from mmdet_multigrain.engine.hooks import SafeCheckpointHook
from mmdet_multigrain.utils.errors import CheckpointError

from .checkpoint_files import BEST, names


def record(folder, **options):
    """Train; the steps by which files changed, without repeated pieces."""
    steps = []

    def event(stage, path):
        if (stage, path.name) not in steps[-1:]:
            steps.append((stage, path.name))

    with tiny.events(event):
        tiny.train(folder, **options)
    return steps


def position(steps, stage, name):
    assert steps.count((stage, name)) == 1
    return steps.index((stage, name))


def test_files_are_those_of_mmengine(tmp_path):
    tiny.train(tmp_path / 'ours', iterations=3, max_keep_ckpts=2)
    tiny.train(tmp_path / 'theirs', iterations=3, max_keep_ckpts=2, type='CheckpointHook')
    theirs = names(tmp_path / 'theirs')
    assert theirs == [BEST.format(2), 'iter_2.pth', 'iter_3.pth', 'last_checkpoint']
    assert names(tmp_path / 'ours') == sorted([*theirs, 'best_checkpoints.json'])
    assert find_latest_checkpoint(str(tmp_path / 'ours')) == str(tmp_path / 'ours' / 'iter_3.pth')
    for name in (BEST.format(2), 'iter_3.pth'):
        ours, stock = (
            torch.load(tmp_path / run / name, weights_only=False) for run in ('ours', 'theirs')
        )
        assert [*ours] == [*stock] and [*ours['meta']] == [*stock['meta']]
        assert torch.equal(*(content['state_dict']['layer.weight'] for content in (ours, stock)))
    for key in ('best_score', 'best_ckpt'):
        assert key in ours['message_hub']['runtime_info']


def test_the_order_of_a_save(tmp_path):
    steps = record(tmp_path / 'run', iterations=2, scores=(1, 2))
    written, renamed = (position(steps, stage, 'iter_2.pth') for stage in ('write', 'rename'))
    pointers = [n for n, step in enumerate(steps) if step == ('rename', 'last_checkpoint')]
    assert written < renamed < pointers[1] < position(steps, 'remove', 'iter_1.pth')
    noted = [n for n, step in enumerate(steps) if step == ('rename', 'best_checkpoints.json')]
    best = position(steps, 'rename', BEST.format(2))
    assert noted[1] < best < position(steps, 'remove', BEST.format(1))
    # Nothing is written over: a new best one does not touch the newest.
    assert all(steps.count(('open', name)) == 1 for name in ('iter_1.pth', 'iter_2.pth'))


@pytest.mark.parametrize('keep', [1, 2])
def test_there_is_a_whole_one_at_every_step(tmp_path, keep):
    folder = tmp_path / 'run'
    counts = []

    def event(stage, path):
        trained = tiny.noted(folder, 'trained')
        counts.append(len([*folder.glob('iter_*.pth')]))
        last = find_last_checkpoint(folder, warn=pytest.fail)
        assert (0 if last is None else check_whole(last)) >= max(trained, default=0)

    with tiny.events(event):
        tiny.train(folder, iterations=4, max_keep_ckpts=keep)
    assert len(counts) > 100 and max(counts) == keep + 1
    assert len([*folder.glob('iter_*.pth')]) == keep


STEPS = {
    'before write': ('open', 'iter_3.pth'),
    'in the middle': ('write', 'iter_3.pth'),
    'before rename': ('rename', 'iter_3.pth'),
    'before the pointer': ('open', 'last_checkpoint'),
    'in the pointer': ('rename', 'last_checkpoint'),
    'before delete': ('remove', 'iter_2.pth'),
    'before the best': ('open', 'best_checkpoints.json'),
    'in the best': ('write', BEST.format(3)),
    'before the best is renamed': ('rename', BEST.format(3)),
    'before the old best is deleted': ('remove', BEST.format(1)),
}


@pytest.mark.parametrize(
    'error',
    [RuntimeError('broken'), OSError(errno.ENOSPC, 'No space left')],
    ids=['exception', 'ENOSPC'],
)
@pytest.mark.parametrize('step', STEPS)
def test_a_failure_at_any_step(tmp_path, step, error):
    folder = tmp_path / 'run'
    options = dict(iterations=4, scores=(2, 1, 3, 1))
    whole = tiny.train(tmp_path / 'whole', **options).model.layer.weight
    failed = []

    def event(stage, path):
        if (stage, path.name) == STEPS[step] and len(tiny.noted(folder, 'trained')) >= 2:
            failed.append(path)
            raise error

    goes_on = isinstance(error, OSError) and 'delete' in step
    with tiny.events(event):
        if goes_on:  # it is not needed any more; that it stays is no reason to stop
            tiny.train(folder, **options)
        else:
            with pytest.raises((RuntimeError, CheckpointError)) as caught:
                tiny.train(folder, **options)
    assert failed
    if isinstance(error, OSError) and not goes_on:
        last = 'iter_3.pth' if 'best' in step else 'iter_2.pth'
        assert str(caught.value) == (
            f'{failed[0]}: cannot be written (No space left); free some disk space or fix the disk, '
            f'then resume {folder / last}'
        )
    assert not [*folder.glob('.*')]
    last = find_last_checkpoint(folder, warn=pytest.fail)
    assert check_whole(last) >= (3 if 'best' in step or 'delete' in step else 2)
    best = sorted(path.name for path in folder.glob('best_*.pth'))
    assert BEST.format(1) in best or BEST.format(3) in best
    if not goes_on:
        tiny.train(folder, resume='auto', **options)
        assert torch.equal(tiny.weights(folder, 'iter_4.pth'), whole)
        assert [path.name for path in folder.glob('iter_*.pth')] == ['iter_4.pth']
        assert len([*folder.glob('best_*.pth')]) == 1


def test_what_is_read_back_must_be_what_was_written(tmp_path):
    folder = tmp_path / 'run'

    def event(stage, path):
        if (stage, path.name) == ('rename', 'iter_2.pth'):
            written = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
            content = bytearray(written.read_bytes())
            content[len(content) // 2] ^= 1
            written.write_bytes(content)

    with tiny.events(event), pytest.raises(CheckpointError) as caught:
        tiny.train(folder)
    line = str(caught.value)
    assert line.startswith(f'{folder}/iter_2.pth: not a whole checkpoint (')
    assert line.endswith(f'then resume {folder}/iter_1.pth') and '\n' not in line
    assert 'iter_2.pth' not in names(folder)
    assert find_last_checkpoint(folder, warn=pytest.fail) == str(folder / 'iter_1.pth')


def test_a_full_disk(tmp_path):
    """A disk of 700 kB; checkpoints have 130 kB, the best 70 kB."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=700k', 'tmpfs', str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('only root can mount a small disk')
    try:
        folder = disk / 'run'
        options = dict(max_keep_ckpts=-1, iterations=6)
        with pytest.raises(CheckpointError) as caught:
            tiny.train(folder, **options)
        found = re.fullmatch(
            rf'{folder}/(\S+): cannot be written \(No space left on device\); free some disk '
            rf'space or fix the disk, then resume ({folder}/iter_\d\.pth)',
            str(caught.value),
        )
        assert found and found[1] not in names(folder)
        assert not [*folder.glob('.*')]
        assert find_last_checkpoint(folder, warn=pytest.fail) == found[2]
        assert check_whole(found[2]) >= 3
        subprocess.run(['mount', '-o', 'remount,size=4m', str(disk)], check=True)
        tiny.train(folder, resume='auto', **options)
        assert {f'iter_{number}.pth' for number in range(1, 7)} <= {*names(folder)}
    finally:
        subprocess.run(['umount', '-l', str(disk)], check=True)  # the log is open


def test_a_first_save_that_fails_tells_to_start_again(tmp_path):
    def event(stage, path):
        if path.suffix != '.py':
            raise OSError(errno.EDQUOT, 'Disk quota exceeded')

    with tiny.events(event), pytest.raises(CheckpointError, match='Disk quota .* start again'):
        tiny.train(tmp_path / 'run')
    assert names(tmp_path / 'run') == []


def test_a_moved_run_leaves_its_first_folder_alone(tmp_path):
    options = dict(scores=(1, 2, 3))
    tiny.train(tmp_path / 'run', iterations=2, **options)
    before = names(tmp_path / 'run')
    shutil.copytree(tmp_path / 'run', tmp_path / 'moved')
    tiny.train(tmp_path / 'moved', resume='auto', iterations=3, **options)
    assert names(tmp_path / 'run') == before
    assert names(tmp_path / 'moved') == sorted(
        [BEST.format(3), 'best_checkpoints.json', 'iter_3.pth', 'last_checkpoint']
    )


# Saving on request, folders, processes


def save_at(monkeypatch, iteration):
    """Let the hook that notes iterations save at one, and stop the run."""
    note = tiny.NoteHook.after_train_iter

    def after_train_iter(self, runner, *args, **kwargs):
        note(self, runner)
        if runner.iter + 1 == iteration:
            (hook,) = (hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook))
            hook.save(runner)
            hook.save(runner)
            raise SystemExit(143)

    monkeypatch.setattr(tiny.NoteHook, 'after_train_iter', after_train_iter)


def test_saving_on_request(tmp_path, monkeypatch):
    folder = tmp_path / 'run'
    whole = tiny.train(tmp_path / 'whole').model.layer.weight
    with monkeypatch.context() as patched:
        save_at(patched, 4)
        with pytest.raises(SystemExit):
            record(folder, interval=3)
    assert [path.name for path in folder.glob('iter_*.pth')] == ['iter_4.pth']
    tiny.train(folder, resume='auto', interval=3)
    assert [path.name for path in folder.glob('iter_*.pth')] == ['iter_6.pth']
    assert torch.equal(tiny.weights(folder, 'iter_6.pth'), whole)


def test_what_is_saved_already_is_not_saved_again(tmp_path, monkeypatch):
    steps = []
    save_at(monkeypatch, 3)
    with tiny.events(lambda stage, path: steps.append((stage, path.name))):
        with pytest.raises(SystemExit):
            tiny.train(tmp_path / 'run', interval=3)
    assert steps.count(('open', 'iter_3.pth')) == 1


def test_saving_on_request_within_an_epoch(tmp_path, monkeypatch):
    folder = tmp_path / 'run'
    options = dict(by_epoch=True, save_best=None, epochs=3)
    with monkeypatch.context() as patched:
        save_at(patched, 3)
        with pytest.raises(SystemExit):
            tiny.train(folder, **options)
    last = find_last_checkpoint(folder, warn=pytest.fail)
    assert last == str(folder / 'iter_3.pth') and check_whole(last) == 3
    assert names(folder) == ['epoch_1.pth', 'iter_3.pth', 'last_checkpoint']
    tiny.train(folder, resume='auto', **options)
    assert names(folder) == ['epoch_3.pth', 'last_checkpoint']


def test_a_second_request_within_an_epoch(tmp_path):
    """A checkpoint of the first one would stay: the last epoch removes the second one only."""
    folder, hub = tmp_path, MessageHub('two requests')
    for iteration, name in ((4, 'iter_5.pth'), (7, 'iter_8.pth'), (10, 'epoch_1.pth')):
        hook = SafeCheckpointHook(by_epoch=True, out_dir=str(folder), max_keep_ckpts=3)
        hook._save_whole = lambda runner, name, **options: Path(folder, name).touch()
        runner = SimpleNamespace(
            message_hub=hub, iter=iteration, epoch=0, work_dir=str(folder), call_hook=str
        )
        if name.startswith('iter'):
            hook.save(runner)
        else:
            hook._save_checkpoint_with_step(runner, 1, dict(epoch=1, iter=10))
        assert names(folder) == [name, 'last_checkpoint']


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    folder = tmp_path / 'run'
    (folder / 'below').mkdir(parents=True)
    child = subprocess.run(
        [sys.executable, '-c', 'import os; print(os.getpid())'], capture_output=True, text=True
    )
    dead = int(child.stdout)
    left = [
        f'.iter_3.pth.{dead}.tmp',
        f'.last_checkpoint.{dead}.tmp',
        f'.best_checkpoints.json.{dead}.tmp',
        f'.20261129_120000.py.{dead}.tmp',
        f'.iter_9.pth.{os.getpid()}.tmp',
    ]
    others = [
        f'.iter_3.pth.{os.getppid()}.tmp',
        f'.notes.txt.{dead}.tmp',
        '.iter_3.pth.tmp',
        f'iter_3.pth.{dead}.tmp',
        f'below/.iter_3.pth.{dead}.tmp',
    ]
    for name in (*left, *others):
        (folder / name).write_bytes(b'x')
    tiny.train(folder, iterations=1)
    assert not any((folder / name).exists() for name in left)
    assert all((folder / name).exists() for name in others)


def test_another_folder_for_checkpoints(tmp_path):
    folder, out = tmp_path / 'run', tmp_path / 'out'
    options = dict(out_dir=str(out), scores=(1, 3, 2, 4))
    tiny.train(folder, iterations=2, **options)
    assert names(folder) == ['last_checkpoint']
    assert names(out / 'run') == ['best_checkpoints.json', BEST.format(2), 'iter_2.pth']
    tiny.train(folder, resume='auto', iterations=4, **options)
    assert names(out / 'run') == ['best_checkpoints.json', BEST.format(4), 'iter_4.pth']


def test_only_local_folders():
    with pytest.raises(ValueError, match='s3://bucket/runs: .* there use CheckpointHook'):
        HOOKS.build(dict(type='SafeCheckpointHook', out_dir='s3://bucket/runs'))


TWO = """
import errno, os
from pathlib import Path
import torch, torch._dynamo
from mmdet_multigrain.launch import quiet_imports, run_tool
with quiet_imports():
    import mmdet.models
    from benchmarks.reliability import tiny_run

work_dir = Path({work_dir!r})

def process(rank, fails):
    def event(stage, path):
        assert rank == 0, 'only the first process writes'
        if fails and (stage, path.name) == ('write', 'iter_2.pth'):
            raise OSError(errno.ENOSPC, 'No space left on device')

    def main():
        with tiny_run.events(event):
            tiny_run.train(work_dir, resume='auto', iterations=3)

    os.environ.update(RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK=str(rank))
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{{work_dir}}.group{{fails}}', rank=rank, world_size=2)
    run_tool(main)

for fails in (True, False):
    children = [tiny_run.in_child(lambda: process(rank, fails)) for rank in (0, 1)]
    print([child.join() or child.exitcode for child in children], flush=True)
"""


def test_the_other_process_does_not_wait_for_one_that_cannot_save(repository, tmp_path):
    code = TWO.format(work_dir=str(tmp_path / 'run'))
    variables = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(repository)}
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=280, env=variables
    )
    assert done.stdout == '[2, 2]\n[0, 0]\n', done.stderr  # the second time there is room
    lines = [line for line in done.stderr.splitlines() if 'rror' in line]
    assert len(lines) == 1 and 'Traceback' not in done.stderr
    assert lines[0].startswith(f'error: {tmp_path}/run/iter_2.pth: cannot be written (No space')
    # Both went on from the same checkpoint.
    assert sorted(tiny.noted(tmp_path / 'run', 'trained')) == [1, 1, 2, 2, 3, 3]
