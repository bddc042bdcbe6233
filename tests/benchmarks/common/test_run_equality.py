"""Comparing runs: every value counts, to the last bit, except for clocks and paths."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from benchmarks.common.run_equality import differences, log_entries


def checkpoint(**changes):
    history = HistoryBuffer()
    history.update(changes.get('loss', 0.5))
    return dict(
        meta=dict(iter=3, time=changes.get('time', 'noon'), seed=changes.get('seed', 1)),
        state_dict=dict(weight=torch.tensor([1.0, changes.get('weight', 2.0), float('nan')])),
        optimizer=dict(param_groups=[dict(lr=changes.get('lr', 0.1))]),
        message_hub=dict(log_scalars={'train/loss': history, 'train/time': HistoryBuffer()}),
    )


def test_equal():
    assert list(differences(checkpoint(), checkpoint(time='night'))) == []


@pytest.mark.parametrize(
    ('change', 'place'),
    [
        (dict(weight=2.0 + 2**-22), 'state_dict.weight'),
        (dict(lr=0.1 + 2**-55), 'optimizer.param_groups.0.lr'),
        (dict(loss=0.25), 'message_hub.log_scalars.train/loss'),
        (dict(seed=None), 'meta.seed'),
    ],
)
def test_one_value_is_named(change, place):
    found = list(differences(checkpoint(), checkpoint(**change)))
    assert len(found) == 1 and found[0].startswith(place)


def test_missing_keys_types_and_shapes():
    assert list(differences(dict(a=1, b=2), dict(b=2, c=3))) == ['a', 'c']
    assert list(differences(dict(a=[1, 2]), dict(a=[1, 2, 3]))) == ['a']
    assert list(differences(dict(a=np.zeros(2)), dict(a=np.zeros((2, 1))))) == ['a']
    assert list(differences(dict(a=0.0), dict(a=-0.0))) == ['a']
    assert list(differences(dict(a=1), dict(a=1.0))) == ['a']


def test_logs_of_a_run_that_was_killed_and_went_on(tmp_path):
    lines = [dict(loss=1.0, step=1, time=7), dict(loss=0.5, step=2), dict(score=3.0, step=2)]
    for name, part, end in (('1', lines[:2], '{"loss": 0.'), ('2', lines[1:], '')):
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        text = ''.join(json.dumps(line) + '\n' for line in part) + end
        (folder / 'scalars.json').write_text(text)
    entries, disagreements = log_entries(tmp_path)
    assert list(entries) == [('train', 1), ('train', 2), ('val', 2)] and disagreements == []
    path = tmp_path / '2' / 'vis_data' / 'scalars.json'
    path.write_text(path.read_text().replace('0.5', '0.625'))
    assert log_entries(tmp_path)[1] == ['train 2.loss']
