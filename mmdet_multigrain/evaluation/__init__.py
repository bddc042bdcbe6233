"""COCO evaluation along a taxonomy: engine, typed summary and its file, errors, bootstrap.

All of it needs NumPy and an engine only, but the metric, which registers itself in mmdet's
`METRICS` when `multi_grained_coco_metric` is imported (as the configs' `custom_imports` do).
"""

from mmdet_multigrain.utils.errors import EvaluationError

from .functional.boxes import Detections, GroundTruth
from .functional.coco_eval import CocoResult, evaluate_detections, evaluate_levels
from .functional.confusion import Confusion, measure_confusion
from .functional.error_analysis import ErrorAnalysis, Kind, analyze_errors
from .functional.summary import EvaluationSummary, render_text, summarize
from .result_file import Result, RunRecord, read_result, write_json, write_result

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
    'analyze_errors',
    'evaluate_detections',
    'evaluate_levels',
    'measure_confusion',
    'read_result',
    'render_text',
    'summarize',
    'write_json',
    'write_result',
]
