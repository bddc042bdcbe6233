"""The training loops: what is trained and validated, from the start and after a kill anywhere."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from benchmarks.reliability import tiny_run as tiny
from mmdet_multigrain.datasets.samplers import (
    ExactClassAwareSampler,
    ExactInfiniteSampler,
    ExactSampler,
)
from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.engine.hooks import ExactResumeHook
from mmdet_multigrain.engine.runner import loops
from mmdet_multigrain.engine.runner.loops import (
    ExactEpochBasedTrainLoop,
    ExactIterBasedTrainLoop,
)
from mmdet_multigrain.utils.errors import ConfigError

SIZE = 6  # images; batches of two
_count = itertools.count()


class Data(list):
    """Images with a number each; the model's input is that number everywhere."""

    ann_file = ''
    metainfo: dict = {}

    def __init__(self) -> None:
        super().__init__(
            dict(inputs=torch.full((tiny.WIDTH,), float(number))) for number in range(SIZE)
        )


def trained(runner, data_batch):
    """The number of an iteration, and its images."""
    return runner.iter + 1, *map(int, data_batch['inputs'][:, 0])


class LogHook(Hook):
    """Note every step of a run in a list; end it where it is told to."""

    priority = 'LOWEST'

    def __init__(self, steps: list, kill: object) -> None:
        self.steps, self.kill = steps, kill
        self.calls: list[str] = []

    def _note(self, step: object) -> None:
        self.steps.append(step)
        if step == self.kill:
            raise RuntimeError('killed')

    def before_train(self, runner):
        self.calls.append('before_train')

    def after_train(self, runner):
        self.calls.append('after_train')

    def before_train_epoch(self, runner):
        self.steps.append('begin')

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        assert runner.model.training
        self._note(trained(runner, data_batch))

    def before_val(self, runner):
        self._note(f'val {runner.iter}?')

    def after_val(self, runner):
        self._note(f'val {runner.iter}')

    def after_train_epoch(self, runner):
        self._note('end')


def train(folder, loop, *, by_epoch, kill=None, resume=False, interval=1, seed=5, **options):
    """The steps of a run; its weights at the end, None if it was killed."""
    steps = []
    kind = ExactSampler if by_epoch else ExactInfiniteSampler
    torch.manual_seed(0)

    def loader(data):
        return DataLoader(data, batch_size=2, sampler=kind(data, seed=0))

    val = DataLoader(Data(), batch_size=SIZE)
    runner = MultigrainRunner(
        model=tiny.Tiny(),
        work_dir=str(folder),
        train_dataloader=options.pop('loader', loader)(Data()),
        train_cfg=dict(type=loop, val_interval=1, **options),
        val_dataloader=val,
        val_cfg=dict(),
        val_evaluator=Evaluator(tiny.Score([1.0])),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3, momentum=0.9)),
        default_hooks=dict(
            checkpoint=dict(type='SafeCheckpointHook', by_epoch=by_epoch, interval=interval),
            logger=None,
            sampler_seed=None,
        ),
        custom_hooks=[ExactResumeHook(), log := LogHook(steps, kill)],
        randomness=dict(seed=seed),
        experiment_name=f'{folder}_{next(_count)}',
        default_scope='mmdet',
        log_level='ERROR',
    )
    runner._resume = 'auto' if resume else False
    if kill is not None:
        with pytest.raises(RuntimeError, match='killed'):
            runner.train()
        return steps, None
    assert runner.train() is runner.model
    assert log.calls == ['before_train', 'after_train']
    return steps, runner.model.layer.weight.detach().clone()


def batches(steps):
    return [step for step in steps if isinstance(step, tuple)]


EPOCHS = dict(loop='ExactEpochBasedTrainLoop', by_epoch=True, max_epochs=3)
ITERATIONS = dict(loop='ExactIterBasedTrainLoop', by_epoch=False, max_iters=7)


def test_epochs_from_the_start(tmp_path):
    steps, _ = train(tmp_path / 'run', **EPOCHS)
    numbers = [step[0] for step in batches(steps)]
    assert numbers == list(range(1, 10))
    for epoch in range(3):
        own = steps[7 * epoch : 7 * epoch + 7]
        assert own[0] == 'begin' and own[4] == 'end'
        done = 3 * epoch + 3
        assert own[5:] == [f'val {done}?', f'val {done}']
        images = [image for _, *pair in batches(own) for image in pair]
        assert sorted(images) == list(range(SIZE)) and images != list(range(SIZE))
    orders = [[step[1:] for step in batches(steps)[first : first + 3]] for first in (0, 3, 6)]
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize('kill', ['val 6?', 'val 6', 'end', 'val 9?'])
def test_epochs_after_a_kill(tmp_path, kill):
    """Killed between saving and validation, the epoch is validated before the next one begins."""
    whole, weights = train(tmp_path / 'whole', **EPOCHS)
    folder = tmp_path / 'run'
    before, _ = train(folder, kill=kill, **EPOCHS)
    assert before == whole[: whole.index(kill) + 1]
    after, found = train(folder, resume=True, **EPOCHS)
    assert torch.equal(found, weights)
    position = {'end': 5, 'val 6?': 12, 'val 6': 12, 'val 9?': 19}[kill]  # behind a validation
    assert after == whole[position:]


def test_epochs_after_a_kill_within_one(tmp_path):
    whole, weights = train(tmp_path / 'whole', **EPOCHS)
    folder = tmp_path / 'run'
    fifth = batches(whole)[4]
    checkpoint = dict(loop='ExactEpochBasedTrainLoop', by_epoch=True, max_epochs=3)

    class SaveHook(LogHook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.steps.append(trained(runner, data_batch))
            if self.steps[-1] == self.kill:
                next(hook for hook in runner.hooks if hasattr(hook, 'save')).save(runner)
                raise RuntimeError('killed')

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(globals(), 'LogHook', SaveHook)
        before, _ = train(folder, kill=fifth, **checkpoint)
    after, found = train(folder, resume=True, **checkpoint)
    assert batches(before) + batches(after) == batches(whole)
    assert after[0] == 'begin'  # no validation: the epoch is not over
    assert torch.equal(found, weights)


def test_iterations_from_the_start(tmp_path):
    options = dict(ITERATIONS, val_begin=2)
    steps, _ = train(tmp_path / 'run', **options)
    assert [step[0] for step in batches(steps)] == list(range(1, 8))
    assert [step for step in steps if isinstance(step, str)] == [
        'begin',
        *(f'val {n}{mark}' for n in range(2, 8) for mark in ('?', '')),
        'end',
    ]
    images = [image for _, *pair in batches(steps) for image in pair]
    assert sorted(images[:SIZE]) == sorted(images[SIZE : 2 * SIZE]) == list(range(SIZE))


@pytest.mark.parametrize('kill', ['val 4?', 'val 4', 'val 7?', 'val 7'])
def test_iterations_after_a_kill(tmp_path, kill):
    whole, weights = train(tmp_path / 'whole', **ITERATIONS)
    folder = tmp_path / 'run'
    before, _ = train(folder, kill=kill, **ITERATIONS)
    assert before == whole[: whole.index(kill) + 1]
    after, found = train(folder, resume=True, **ITERATIONS)
    assert torch.equal(found, weights)
    assert after == ['begin', *whole[whole.index(f'{kill[:5]}?') :]]


@pytest.mark.parametrize('options', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_a_checkpoint_that_is_validated_is_not_validated_again(tmp_path, options):
    """The second checkpoint, that of a run which was killed after its validation and saved again."""
    folder = tmp_path / 'run'
    whole, _ = train(tmp_path / 'whole', **options)
    first = 3 if options is EPOCHS else 1
    path = folder / ('epoch_1.pth' if options is EPOCHS else 'iter_1.pth')
    train(folder, kill=f'val {first}', **options)
    content = torch.load(path, weights_only=False)
    content['message_hub']['runtime_info']['iter_of_validation'] = first
    torch.save(content, path)
    after, _ = train(folder, resume=True, **options)
    rest = whole[whole.index(f'val {first}') + 1 :]
    assert after == (rest if options is EPOCHS else ['begin', *rest])


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(EPOCHS, val_begin=2), ['val 6', 'val 9']),
        (dict(ITERATIONS, val_begin=6), ['val 6', 'val 7']),
    ],
    ids=['epochs', 'iterations'],
)
def test_validation_begins_where_it_is_asked_to(tmp_path, options, expected):
    steps, _ = train(tmp_path / 'run', **options)
    assert [step for step in steps if str(step).startswith('val') and step[-1] != '?'] == expected


@pytest.mark.parametrize(
    ('kind', 'at', 'end'),
    [
        (ExactIterBasedTrainLoop, '_iter', '_max_iters'),
        (ExactEpochBasedTrainLoop, '_epoch', '_max_epochs'),
    ],
)
def test_the_interval_of_validation_and_the_last_one(kind, at, end):
    validated = []
    loop = object.__new__(kind)
    milestones = dict(dynamic_milestones=[0], dynamic_intervals=[3])
    vars(loop).update({end: 7, 'val_begin': 2, 'val_interval': 3, **milestones})
    val_loop = SimpleNamespace(run=lambda: validated.append(getattr(loop, at)))
    loop._runner = SimpleNamespace(val_loop=val_loop)
    for position in range(1, 8):
        setattr(loop, at, position)
        loops._validate_if_due(loop, position, 7)
    assert validated == [3, 6, 7]
    loop._runner.val_loop = None
    loops._validate_if_due(loop, 7, 7)
    assert validated == [3, 6, 7]


@pytest.mark.parametrize('options', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_a_sampler_that_cannot_begin_anywhere_is_refused(tmp_path, options):
    def plain(data):
        return DataLoader(data, batch_size=2, shuffle=True)

    with pytest.raises(ConfigError, match='^RandomSampler cannot begin at an iteration; set train'):
        train(tmp_path / 'run', loader=plain, **options)


@pytest.mark.parametrize(
    ('options', 'kind', 'message'),
    [
        (
            EPOCHS,
            ExactInfiniteSampler,
            'ExactInfiniteSampler never ends an epoch and needs a train_cfg of type '
            'ExactIterBasedTrainLoop; take that, or set train_dataloader.sampler.type=ExactSampler',
        ),
        (
            EPOCHS,
            ExactClassAwareSampler,
            'ExactClassAwareSampler never ends an epoch and needs a train_cfg of type '
            'ExactIterBasedTrainLoop; take that, or set train_dataloader.sampler.type=ExactSampler',
        ),
        (
            ITERATIONS,
            ExactSampler,
            'ExactSampler ends after one epoch and needs a train_cfg of type '
            'ExactEpochBasedTrainLoop; take that, or set '
            'train_dataloader.sampler.type=ExactInfiniteSampler',
        ),
    ],
    ids=['infinite by epoch', 'class-aware by epoch', 'finite by iteration'],
)
def test_a_sampler_of_the_other_loop_is_refused(tmp_path, options, kind, message):
    """By epoch the first one would never end; by iteration the order would end before the run."""

    class Classes(Data):
        metainfo = dict(classes=('one',))

        def get_data_info(self, index):
            return dict(instances=[dict(bbox_label=0)])

    def loader(data):
        return DataLoader(data, batch_size=2, sampler=kind(Classes(), seed=0))

    with pytest.raises(ConfigError) as caught:
        train(tmp_path / 'run', loader=loader, **options)
    assert str(caught.value) == message


def test_a_stop_ends_both_loops(tmp_path, monkeypatch):
    for options, count in ((EPOCHS, 3), (ITERATIONS, 1)):
        note = LogHook.after_val

        def stop(self, runner, note=note):
            note(self, runner)
            runner.train_loop.stop_training = True

        with monkeypatch.context() as patched:
            patched.setattr(LogHook, 'after_val', stop)
            steps, _ = train(tmp_path / f'run{count}', **options)
        assert len(batches(steps)) == count
