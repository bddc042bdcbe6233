"""Hooks, registered in mmdet's `HOOKS`."""

from .checkpoint_report_hook import CheckpointReportHook
from .preflight_hook import PreflightHook
from .same_buffers_hook import SameBuffersHook

__all__ = ['CheckpointReportHook', 'PreflightHook', 'SameBuffersHook']
