"""Hooks, registered in mmdet's `HOOKS`."""

from .checkpoint_report_hook import CheckpointReportHook
from .preflight_hook import PreflightHook
from .run_record_hook import RunRecordHook
from .same_buffers_hook import SameBuffersHook

__all__ = ['CheckpointReportHook', 'PreflightHook', 'RunRecordHook', 'SameBuffersHook']
