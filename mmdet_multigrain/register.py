"""Everything that this package registers with MMDetection, for `custom_imports` of a config."""

from . import datasets, engine, models
from .evaluation.metrics import match_metric, multi_grained_coco_metric
from .visualization import visualizer

__all__ = [
    'datasets',
    'engine',
    'match_metric',
    'models',
    'multi_grained_coco_metric',
    'visualizer',
]
