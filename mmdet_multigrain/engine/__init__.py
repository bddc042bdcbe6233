"""What surrounds training and testing: hooks, registered in mmdet's `HOOKS`."""

from .hooks import CheckpointReportHook, PreflightHook, RunRecordHook, SameBuffersHook

__all__ = ['CheckpointReportHook', 'PreflightHook', 'RunRecordHook', 'SameBuffersHook']
