"""Hooks, registered in mmdet's `HOOKS`."""

from .checkpoint_report_hook import CheckpointReportHook
from .exact_resume_hook import ExactResumeHook
from .iteration_seed_hook import IterationSeedHook
from .preflight_hook import PreflightHook
from .run_record_hook import RunRecordHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .same_buffers_hook import SameBuffersHook

__all__ = [
    'CheckpointReportHook',
    'ExactResumeHook',
    'IterationSeedHook',
    'PreflightHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'SameBuffersHook',
]
