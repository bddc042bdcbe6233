"""The best checkpoint of `SafeCheckpointHook`: which one it is, and how it is replaced."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from benchmarks.reliability import tiny_run as tiny
from mmdet_multigrain.engine.hooks import SafeCheckpointHook
from mmdet_multigrain.utils.errors import CheckpointError

from .checkpoint_files import BEST, names


def best_of(folder):
    return json.loads((folder / 'best_checkpoints.json').read_text())


def test_the_best_of_an_interrupted_interval_is_not_forgotten(tmp_path):
    """It came after the checkpoint that the run resumes from, which knows another one."""
    folder = tmp_path / 'run'
    options = dict(interval=2, scores=(2, 1, 9, 1, 3, 1))

    def event(stage, path):
        if (stage, path.name) == ('open', 'iter_4.pth'):
            raise RuntimeError('killed')

    with tiny.events(event), pytest.raises(RuntimeError):
        tiny.train(folder, **options)
    known = torch.load(folder / 'iter_2.pth', weights_only=False)['message_hub']['runtime_info']
    assert known['best_ckpt'] == str(folder / BEST.format(1))
    runner = tiny.train(folder, resume='auto', **options)
    assert [path.name for path in folder.glob('best_*.pth')] == [BEST.format(3)]
    assert runner.message_hub.get_info('best_score') == 9
    assert runner.message_hub.get_info('best_ckpt') == str(folder / BEST.format(3))


@pytest.mark.parametrize('left', ['iter_*', 'best_*_iter_*'])
def test_a_new_run_leaves_the_checkpoints_of_another_alone(tmp_path, left):
    folder = tmp_path / 'run'
    tiny.train(folder, iterations=2, scores=(9, 1))
    for path in folder.glob('*.pth'):
        if not path.match(f'{left}.pth'):
            path.unlink()
    before = {path: path.read_bytes() for path in folder.glob('*.pth')}
    assert before
    with pytest.raises(CheckpointError, match=r'already holds the checkpoints of a run \('):
        tiny.train(folder, iterations=2, scores=(1, 2))
    assert before == {path: path.read_bytes() for path in folder.glob('*.pth')}


def test_a_start_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path):
    folder = tmp_path / 'run'
    tiny.train(folder, iterations=1, scores=(9,))
    (folder / 'iter_1.pth').unlink()
    tiny.train(folder, resume='auto', iterations=2, scores=(1, 2))
    assert best_of(folder) == {tiny.METRIC: [[1, BEST.format(1)], [2, BEST.format(2)]]}
    assert [path.name for path in folder.glob('best_*.pth')] == [BEST.format(2)]


def test_a_smaller_score_can_be_better_and_auto_takes_the_first(tmp_path):
    folder = tmp_path / 'run'
    options = dict(scores=(5, 3, 4, 2), rule='less', save_best='auto')
    tiny.train(folder, iterations=2, **options)
    runner = tiny.train(folder, resume='auto', iterations=3, **options)
    assert [path.name for path in folder.glob('best_*.pth')] == [BEST.format(2)]
    assert runner.message_hub.get_info('best_score') == 3
    tiny.train(folder, resume='auto', iterations=4, **options)
    assert [path.name for path in folder.glob('best_*.pth')] == [BEST.format(4)]


@pytest.mark.parametrize(('rule', 'better'), [('less', 2), ('greater', 1)])
def test_of_two_that_a_kill_left_the_better_one_stays(tmp_path, rule, better):
    """The kill came before the old one was removed."""
    folder = tmp_path / 'run'
    tiny.train(folder, iterations=2, scores=(5, 3), rule='less')
    shutil.copy(folder / BEST.format(2), folder / BEST.format(1))
    scores = {tiny.METRIC: [[5, BEST.format(1)], [3, BEST.format(2)]]}
    (folder / 'best_checkpoints.json').write_text(json.dumps(scores))
    tiny.train(folder, resume='auto', iterations=3, scores=(5, 3, 4), rule=rule)
    assert [path.name for path in folder.glob('best_*.pth')] == [BEST.format(better)]


def test_a_list_of_the_best_that_an_earlier_run_left_counts_for_nothing(tmp_path):
    """Its checkpoints were moved away, so the folder is free for a new run."""
    folder = tmp_path / 'run'
    folder.mkdir()
    stale = {tiny.METRIC: [[99, BEST.format(1)]], 'tiny/other': [[1, BEST.format(9)]]}
    (folder / 'best_checkpoints.json').write_text(json.dumps(stale))

    def event(stage, path):
        if (stage, path.name) == ('open', 'iter_1.pth'):
            raise RuntimeError('killed')

    with tiny.events(event), pytest.raises(RuntimeError):
        tiny.train(folder, scores=(1, 2))
    assert not (folder / 'best_checkpoints.json').exists()
    (folder / 'best_checkpoints.json').write_text(json.dumps(stale))
    runner = tiny.train(folder, iterations=2, scores=(1, 2))
    assert best_of(folder) == {tiny.METRIC: [[1, BEST.format(1)], [2, BEST.format(2)]]}
    assert runner.message_hub.get_info('best_score') == 2


def test_several_metrics_have_a_best_each(tmp_path):
    folder = tmp_path / 'run'
    options = dict(
        scores=(2, 1, 3), save_best=[tiny.METRIC, 'tiny/opposite'], rule=['greater', 'less']
    )
    tiny.train(folder, iterations=2, **options)
    runner = tiny.train(folder, resume='auto', iterations=3, **options)
    assert sorted(path.name for path in folder.glob('best_*.pth')) == [
        'best_tiny_opposite_iter_3.pth',
        BEST.format(3),
    ]
    assert runner.message_hub.get_info('best_score_tiny/opposite') == -3


def test_scores_that_are_no_number_are_never_the_best(tmp_path):
    tiny.train(tmp_path / 'run', iterations=3, scores=(float('nan'), 1, float('nan')))
    assert [path.name for path in (tmp_path / 'run').glob('best_*.pth')] == [BEST.format(2)]


def test_a_metric_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="save_best is 'coco/mAP', .* gives 'tiny/score', 'tiny/o"):
        tiny.train(tmp_path / 'run', save_best='coco/mAP')


@pytest.mark.parametrize(
    'content',
    [
        '',
        '[]',
        '{"tiny/score": 3}',
        '{"tiny/score": [[1]]}',
        '{"tiny/score": [["a", "best_x"]]}',
        '{"tiny/score": [[1, "best_/../../outside.pth"]]}',
        '{"tiny/score": [[1, "iter_2.pth"]]}',
        '{"tiny/score": [[1, 7]]}',
        '{"tiny/score": [[1, "../outside.pth"]]}',
        '{"tiny/score": [[9, "best_/../../outside.pth"], [1, "iter_2.pth"]]}',
    ],
)
def test_a_list_of_the_best_that_cannot_be_read(tmp_path, content):
    folder, outside = tmp_path / 'run', tmp_path / 'outside.pth'
    outside.write_text('')
    tiny.train(folder, iterations=2, scores=(5, 1))
    (
        folder / 'best_'
    ).mkdir()  # else the system refuses the path through it, whatever the hook does
    (folder / 'best_checkpoints.json').write_text(content)
    tiny.train(folder, resume='auto', iterations=3, scores=(5, 1, 2))
    assert best_of(folder) == {tiny.METRIC: [[2, BEST.format(3)]]}
    assert outside.exists() and {'iter_3.pth', BEST.format(1), BEST.format(3)} <= {*names(folder)}


def test_a_run_of_mmengines_hook_can_go_on(tmp_path):
    folder = tmp_path / 'run'
    tiny.train(folder, iterations=2, scores=(1, 2), type='CheckpointHook')
    tiny.train(folder, resume='auto', iterations=4, scores=(1, 2, 1, 3))
    assert names(folder) == sorted(
        [BEST.format(4), 'best_checkpoints.json', 'iter_4.pth', 'last_checkpoint']
    )
    tiny.train(folder, resume='auto', iterations=5, type='CheckpointHook')
    assert 'iter_5.pth' in names(folder)


def test_half_a_note_of_mmengines_hook_counts_for_nothing(tmp_path):
    options = dict(save_best=tiny.METRIC, rule='greater', out_dir=str(tmp_path))
    hook = SafeCheckpointHook(**options)
    notes = dict(best_score=3, best_ckpt=f'/elsewhere/{BEST.format(3)}')
    for name, value in notes.items():
        hub = MessageHub(f'half of {tmp_path}, {name}')
        hub.update_info(name, value)
        assert hook._known_best(SimpleNamespace(message_hub=hub)) == {}
    hub.update_info('best_score', 3)
    known = hook._known_best(SimpleNamespace(message_hub=hub))
    assert known == {tiny.METRIC: [(3.0, BEST.format(3))]}
