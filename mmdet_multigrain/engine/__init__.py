"""What surrounds training and testing, registered with mmdet: hooks, pretrained weights."""

from .hooks import CheckpointReportHook, PreflightHook, RunRecordHook, SameBuffersHook
from .pretrained_init import PretrainedInit

__all__ = [
    'CheckpointReportHook',
    'PreflightHook',
    'PretrainedInit',
    'RunRecordHook',
    'SameBuffersHook',
]
