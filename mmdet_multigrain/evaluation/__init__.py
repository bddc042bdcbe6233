"""COCO evaluation along a taxonomy: engine, typed summary, its file, and the registered metric.

All but the metric need NumPy and an engine only. The metric registers itself where MMDetection
is installed; without it, the others work all the same.
"""

from .coco_eval import (
    CocoResult,
    Detections,
    EvaluationError,
    GroundTruth,
    evaluate_detections,
    evaluate_levels,
)
from .confusion import Confusion, measure_confusion
from .errors import ErrorAnalysis, Kind, analyse_errors
from .result_file import Result, RunRecord, read_result, write_json, write_result
from .summary import EvaluationSummary, render_text, summarize

__all__ = [
    'CocoResult',
    'Confusion',
    'Detections',
    'ErrorAnalysis',
    'EvaluationError',
    'EvaluationSummary',
    'GroundTruth',
    'Kind',
    'Result',
    'RunRecord',
    'analyse_errors',
    'evaluate_detections',
    'evaluate_levels',
    'measure_confusion',
    'read_result',
    'render_text',
    'summarize',
    'write_json',
    'write_result',
]

try:
    import mmdet  # noqa: F401
except ModuleNotFoundError:
    pass
else:
    # Outside the try: an mmcv without its operators must not pass for an absent MMDetection.
    from .multi_grained_coco_metric import MultiGrainedCocoMetric  # noqa: F401

    __all__ += ['MultiGrainedCocoMetric']
