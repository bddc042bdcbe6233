"""COCO evaluation along a taxonomy: the engine, its typed summary, and the registered metric.

`coco_eval` and `summary` need NumPy and an engine only. The metric registers itself where
MMDetection is installed; without it, the other two work all the same.
"""

from .coco_eval import (
    CocoResult,
    Detections,
    EvaluationError,
    GroundTruth,
    evaluate_detections,
    evaluate_levels,
)
from .summary import EvaluationSummary, render_text, summarize, write_json

__all__ = [
    'CocoResult',
    'Detections',
    'EvaluationError',
    'EvaluationSummary',
    'GroundTruth',
    'evaluate_detections',
    'evaluate_levels',
    'render_text',
    'summarize',
    'write_json',
]

try:
    import mmdet  # noqa: F401
except ModuleNotFoundError:
    pass
else:
    # Outside the try: an mmcv without its operators must not pass for an absent MMDetection.
    from .multi_grained_coco_metric import MultiGrainedCocoMetric  # noqa: F401

    __all__ += ['MultiGrainedCocoMetric']
