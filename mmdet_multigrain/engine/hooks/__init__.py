"""Hooks, registered in mmdet's `HOOKS`."""

from .checkpoint_report_hook import CheckpointReportHook
from .preflight_hook import PreflightHook

__all__ = ['CheckpointReportHook', 'PreflightHook']
