"""One import registers everything; the names in configs that old runs dumped still work."""

from __future__ import annotations

import subprocess
import sys

import pytest
from mmdet.registry import METRICS
from mmengine.utils import import_modules_from_strings

from mmdet_multigrain import register

# The custom_imports of configs that version 0.1 dumped.
OLD_NAMES = [
    'mmdet_multigrain.models',
    'mmdet_multigrain.datasets',
    'mmdet_multigrain.evaluation.multi_grained_coco_metric',
    'mmdet_multigrain.engine',
]
CHECK = """
from mmdet.registry import (
    DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS, VISUALIZERS
)
from mmengine.registry import LOOPS, OPTIM_WRAPPERS, RUNNERS
import {modules}

assert 'MultiGrainedBBoxHead' in MODELS and 'HierarchicalCrossEntropyLoss' in MODELS
assert 'SuperclassCocoDataset' in DATASETS and 'ExactInfiniteSampler' in DATA_SAMPLERS
assert 'FastLoading' in TRANSFORMS and 'MultiGrainedCocoMetric' in METRICS
assert 'PreflightHook' in HOOKS and 'ExactIterBasedTrainLoop' in LOOPS
assert 'MultiGrainedVisualizer' in VISUALIZERS
assert 'AutocastOptimWrapper' in OPTIM_WRAPPERS and 'MultigrainRunner' in RUNNERS
"""


@pytest.mark.parametrize('modules', [['mmdet_multigrain.register'], OLD_NAMES])
def test_one_import_registers_everything(modules):
    code = CHECK.format(modules=', '.join(modules))
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_old_names_stay_importable():
    assert import_modules_from_strings(OLD_NAMES)[2].MultiGrainedCocoMetric is METRICS.get(
        'MultiGrainedCocoMetric'
    )
    assert register.models is import_modules_from_strings(OLD_NAMES)[0]
