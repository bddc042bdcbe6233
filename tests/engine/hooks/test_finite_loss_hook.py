"""Which losses count as NaN or infinite, and the message for them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS
from mmengine.runner.priority import get_priority

from mmdet_multigrain.engine.hooks.finite_loss_hook import FiniteLossHook
from mmdet_multigrain.utils.errors import LossError

NAN, INF = float('nan'), float('inf')


@pytest.fixture
def runner(tmp_path):
    """As much of a runner as the hook looks at, in its 120th iteration."""
    optimizer = SimpleNamespace(get_lr=lambda: {'lr': [0.02, 0.02, 0.001]})
    return SimpleNamespace(
        iter=119,
        message_hub=MessageHub('a test'),
        optim_wrapper=optimizer,
        work_dir=str(tmp_path),
        _resume=False,
        _load_from='start.pth',
    )


def save(runner, iteration):
    """Save an empty checkpoint; its path."""
    path = f'{runner.work_dir}/iter_{iteration}.pth'
    torch.save(dict(state_dict={}, meta=dict(iter=iteration)), path)
    Path(runner.work_dir, 'last_checkpoint').write_text(path)
    return path


def batch(*names):
    return {'data_samples': [DetDataSample(metainfo=dict(img_path=name)) for name in names]}


def after_iteration(runner, outputs, data_batch=None, *, logged=True):
    if logged:
        RuntimeInfoHook().after_train_iter(runner, 0, data_batch, outputs)
    FiniteLossHook().after_train_iter(runner, 0, data_batch, outputs)


@pytest.mark.parametrize('logged', [True, False])
def test_the_message_has_all_that_helps(runner, logged):
    outputs = dict(
        loss=torch.tensor(NAN),
        loss_rpn_cls=torch.tensor(0.5),
        loss_bbox=torch.tensor(NAN),
        loss_cls_fine=torch.tensor(-INF),
    )
    path = save(runner, 100)
    with pytest.raises(LossError) as caught:
        after_iteration(runner, outputs, batch('a.jpg', 'b.jpg'), logged=logged)
    assert str(caught.value) == (
        'iteration 120: loss_bbox is nan, loss_cls_fine is -inf, loss is nan; '
        'learning rate 0.02, 0.001, images a.jpg, b.jpg; '
        f'start a new run from {path} (load_from) with a lower optim_wrapper.optimizer.lr, '
        'or look at these images and their boxes'
    )


def test_finite_losses_pass(runner):
    after_iteration(runner, dict(loss=torch.tensor(1e30), loss_bbox=0.0), batch('a.jpg'))
    after_iteration(runner, None)


def test_what_is_no_loss_does_not_matter(runner):
    """An accuracy over no box is none; nor does the log's gradient norm of a skipped AMP step."""
    after_iteration(runner, dict(loss=1.0, acc_fine=NAN, grad_norm=INF), batch('a.jpg'))


def test_nothing_saved_yet_and_large_batches(runner):
    with pytest.raises(LossError) as caught:
        after_iteration(runner, dict(loss=INF), batch(*(f'{n}.jpg' for n in range(20))))
    assert 'images 0.jpg, ' in str(caught.value) and '7.jpg, ...;' in str(caught.value)
    assert 'nothing is saved yet; start again with a lower optim_wrapper.optimizer.lr' in str(
        caught.value
    )


def test_several_pipelines(runner):
    parts = dict(sup=batch('a.jpg')['data_samples'], unsup=batch('b.jpg')['data_samples'])
    with pytest.raises(LossError, match='images a.jpg, b.jpg;'):
        after_iteration(runner, dict(loss=NAN), {'data_samples': parts})


def test_the_device_is_not_waited_for(runner):
    """The values that were logged are read, not the tensors again."""

    class Watched:
        def __init__(self, tensor):
            self.tensor, self.reads = tensor, 0

        def __float__(self):
            self.reads += 1
            return float(self.tensor)

    watched = Watched(torch.tensor(1.0))
    runner.message_hub.update_scalar('train/loss', watched.tensor)
    FiniteLossHook().after_train_iter(runner, 0, None, {'loss': watched})
    assert watched.reads == 0


@pytest.mark.parametrize('value', [NAN, INF])
def test_weights_that_are_no_numbers_are_not_saved(runner, value):
    weights = dict(a=torch.ones(3), steps=torch.tensor(5), b=torch.tensor([0.0, value]))
    with pytest.raises(LossError, match='iteration 120: b holds values that are not finite'):
        FiniteLossHook().before_save_checkpoint(runner, {'state_dict': weights})
    del weights['b']
    FiniteLossHook().before_save_checkpoint(runner, {'state_dict': weights})


@pytest.mark.parametrize('resumed', [False, True])
def test_the_message_never_names_a_checkpoint_that_is_not_saved(runner, resumed):
    """The message hub does, while one is being saved."""
    runner.message_hub.update_info('last_ckpt', f'{runner.work_dir}/iter_120.pth')
    runner._resume = resumed
    weights = dict(a=torch.tensor(NAN))

    def message():
        with pytest.raises(LossError) as caught:
            FiniteLossHook().before_save_checkpoint(runner, {'state_dict': weights})
        return str(caught.value)

    nothing = 'nothing is saved yet; start again with'
    assert ('start a new run from start.pth (load_from)' if resumed else nothing) in message()
    assert f'start a new run from {save(runner, 119)} (load_from)' in message()


def test_it_acts_between_the_log_and_all_others():
    own = get_priority(FiniteLossHook.priority)
    assert get_priority(RuntimeInfoHook.priority) < own
    for name in ('EMAHook', 'LoggerHook', 'CheckpointHook'):
        assert own < get_priority(HOOKS.get(name).priority)
