"""Configs with names of classes and groups as keys are written and read."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.taxonomy import Taxonomy


@pytest.mark.parametrize(
    'names',
    [
        ("women's", "men's"),
        ('a\\n', 'b\\'),
        ('class', 'None'),
        ('ｼｬﾂ', 'ﬁt'),
        ('{}', '"top"'),
        ('top', 'short sleeve'),
    ],
)
def test_the_text_of_a_config_keeps_all_names(monkeypatch, tmp_path, names):
    monkeypatch.setattr(Runner, 'from_cfg', classmethod(lambda cls, cfg: cfg))
    tree = [{name: [f'{name} 1', {f'{name} 2': [f'{name} 3', f'{name} 4']}]} for name in names]
    groups = {name: children for part in tree for name, children in part.items()}
    aliases = {name: [f'{name} too'] for name in names}
    taxonomy = Taxonomy.load({'groups': groups, 'ungrouped': ['_'], 'aliases': aliases})
    cfg = Config(dict(taxonomy=taxonomy.to_dict(), seen=[({'a': 1}, 2)]))
    written = copy.deepcopy(MultigrainRunner.from_cfg(cfg))  # as MMEngine does
    written.dump(tmp_path / 'mine.py')
    read = Config.fromfile(tmp_path / 'mine.py')
    assert Taxonomy.load(read.taxonomy.to_dict()) == taxonomy
    assert read.to_dict() == written.to_dict()


def test_other_texts_are_those_of_mmengine(monkeypatch):
    monkeypatch.setattr(Runner, 'from_cfg', classmethod(lambda cls, cfg: cfg))
    cfg = Config(dict(a={'short sleeve': (1, [2.5, None])}, b=dict(c='x'), d={3: 'y'}))
    assert MultigrainRunner.from_cfg(cfg).pretty_text == cfg.pretty_text
