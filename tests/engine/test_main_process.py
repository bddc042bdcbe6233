"""Work of the first process: its result, its error, and what the others do then."""

from __future__ import annotations

import pytest

from mmdet_multigrain.engine import main_process as module
from mmdet_multigrain.engine.main_process import on_main_process


def fail():
    raise KeyError('broken')


def test_the_first_process_has_its_result_and_its_error():
    assert on_main_process(lambda: 7) == 7
    with pytest.raises(KeyError, match='broken'):
        on_main_process(fail)


def test_the_first_process_tells_the_others(monkeypatch):
    told = []
    monkeypatch.setattr(module, 'broadcast_object_list', lambda items: told.append(list(items)))
    assert on_main_process(lambda: None) is None
    with pytest.raises(KeyError):
        on_main_process(fail)
    assert told == [[(None, True)], [(None, False)]]


@pytest.mark.parametrize('done', [True, False])
def test_another_process_takes_the_answer(monkeypatch, done):
    waited = []
    monkeypatch.setattr(module, 'is_main_process', lambda: False)
    monkeypatch.setattr(module.time, 'sleep', waited.append)

    def receive(items):
        items[0] = (7, done)

    monkeypatch.setattr(module, 'broadcast_object_list', receive)
    if done:
        assert on_main_process(fail) == 7 and waited == []
        return
    with pytest.raises(SystemExit) as caught:
        on_main_process(fail)
    assert caught.value.code == 2 and waited == [module._SECONDS_TO_SPEAK]
