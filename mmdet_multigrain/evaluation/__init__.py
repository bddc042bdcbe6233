"""COCO evaluation along a taxonomy: engine, typed summary and its file, errors, bootstrap.

All of it needs NumPy and an engine only, but the metric, which registers itself in mmdet's
`METRICS` when `multi_grained_coco_metric` is imported (as the configs' `custom_imports` do).
"""

from .functional.boxes import Detections, GroundTruth
from .functional.coco_eval import evaluate_levels
from .functional.error_analysis import Kind, analyze_errors
from .functional.summary import summarize
from .result_file import Result, RunRecord, read_result, write_json, write_result

__all__ = [
    'Detections',
    'GroundTruth',
    'Kind',
    'Result',
    'RunRecord',
    'analyze_errors',
    'evaluate_levels',
    'read_result',
    'summarize',
    'write_json',
    'write_result',
]
