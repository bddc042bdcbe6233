"""What the log tells of images that were left out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub

from mmdet_multigrain.datasets.superclass_coco import SKIPPED
from mmdet_multigrain.engine.hooks import bad_image_hook
from mmdet_multigrain.engine.hooks.bad_image_hook import BadImageHook


@pytest.fixture
def runner():
    """As much of a runner as the hook looks at."""
    lines = []
    logger = SimpleNamespace(warning=lines.append)
    return SimpleNamespace(message_hub=MessageHub('a test'), logger=logger, lines=lines)


def batch(*skipped):
    """One sample for each mapping of images that it stands for."""
    samples = []
    for images in skipped:
        samples.append(DetDataSample(metainfo=dict(img_path='x.jpg')))
        if images:
            samples[-1].set_metainfo({SKIPPED: images})
    return {'data_samples': samples}


def test_first_occurrences_and_the_count(runner):
    hook = BadImageHook()
    for _ in range(2):
        hook.after_train_iter(runner, 0, batch({}, {'a.jpg': 'empty', 'b.jpg': 'cut off'}))
        hook.after_train_iter(runner, 0, batch({'a.jpg': 'empty'}, {}))
    hook.after_train(runner)
    assert runner.lines == [
        'a.jpg: empty; left out, another image takes its place',
        'b.jpg: cut off; left out, another image takes its place',
        '2 image(s) could not be used and were left out 6 time(s): a.jpg, b.jpg; '
        'check the data set to find all of them',
    ]


def test_the_log_is_not_flooded(runner):
    hook = BadImageHook()
    for number in range(50):
        hook.after_train_iter(runner, 0, batch({f'{number}.jpg': 'empty'}))
    hook.after_train(runner)
    assert len(runner.lines) == bad_image_hook._SHOWN + 1
    assert runner.lines[-1].startswith('50 image(s) could not be used and were left out 50 time')


def test_a_run_that_goes_on_counts_on(runner):
    BadImageHook().after_train_iter(runner, 0, batch({'a.jpg': 'empty'}))
    state = runner.message_hub.state_dict()
    later = MessageHub('resumed')
    later.load_state_dict(state)
    runner.message_hub, runner.lines[:] = later, []
    hook = BadImageHook()
    hook.after_train_iter(runner, 0, batch({'a.jpg': 'empty'}))
    hook.after_train(runner)
    assert len(runner.lines) == 1 and 'left out 2 time(s): a.jpg;' in runner.lines[0]


@pytest.mark.parametrize(('first', 'counted'), [(True, 4), (False, 1)])
def test_what_a_checkpoint_counts_is_counted_once(runner, monkeypatch, first, counted):
    """Every process loads the counts of the first one."""
    monkeypatch.setattr(bad_image_hook, 'is_main_process', lambda: first)
    runner.message_hub.update_info(bad_image_hook._COUNTS, {'a.jpg': 3})
    hook = BadImageHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, batch({'a.jpg': 'empty'}))
    hook.after_train(runner)
    assert f'were left out {counted} time(s)' in runner.lines[-1]


def test_all_processes_are_counted(runner, monkeypatch):
    monkeypatch.setattr(
        bad_image_hook, 'all_gather_object', lambda counts: [counts, {'a.jpg': 2, 'c.jpg': 1}, {}]
    )
    hook = BadImageHook()
    hook.after_train_iter(runner, 0, batch({'a.jpg': 'empty'}))
    hook.after_train(runner)
    assert '2 image(s) could not be used and were left out 4 time(s)' in runner.lines[-1]


def test_nothing_to_tell(runner):
    hook = BadImageHook()
    hook.after_train_iter(runner, 0, batch({}, {}))
    hook.after_train_iter(runner, 0, None)
    hook.after_train(runner)
    assert runner.lines == []
