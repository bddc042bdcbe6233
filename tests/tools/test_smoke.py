"""The smoke tier: imports, heads and two training steps, for every supported Python.

``pytest -m smoke`` takes half a minute; ``.ci/run`` calls it with each Python that it finds.
"""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from mmdet.registry import MODELS

import mmdet_multigrain
from mmdet_multigrain.launch import load_config

pytestmark = pytest.mark.smoke


def test_every_module_can_be_imported():
    names = [found.name for found in pkgutil.walk_packages(mmdet_multigrain.__path__)]
    assert {'engine', 'models', 'datasets', 'evaluation'} <= set(names)
    prefix = f'{mmdet_multigrain.__name__}.'
    for found in pkgutil.walk_packages(mmdet_multigrain.__path__, prefix):
        importlib.import_module(found.name)


def test_every_head_can_be_built(repository):
    """The heads of the configs that need no data of the user's own."""
    configs = sorted((repository / 'configs' / 'multigrain').glob('*.py'))
    configs = [path for path in configs if 'custom' not in path.name and path.name[0] != '_']
    built = {type(MODELS.build(load_config(path).model).roi_head.bbox_head) for path in configs}
    ours = {
        head
        for name, head in MODELS.module_dict.items()
        if name.endswith('BBoxHead') and head.__module__.startswith(mmdet_multigrain.__name__)
    }
    assert ours <= built


def test_two_training_steps(trained):
    assert trained.screen.iterations == [(1, 2), (2, 2)]
    assert trained.checkpoint.is_file()
