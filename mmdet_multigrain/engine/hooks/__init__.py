"""Hooks, registered in mmdet's `HOOKS`."""

from .bad_image_hook import BadImageHook
from .checkpoint_report_hook import CheckpointReportHook
from .exact_resume_hook import ExactResumeHook
from .finite_loss_hook import FiniteLossHook
from .iteration_seed_hook import IterationSeedHook
from .preflight_hook import PreflightHook
from .run_record_hook import RunRecordHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .same_buffers_hook import SameBuffersHook

__all__ = [
    'BadImageHook',
    'CheckpointReportHook',
    'ExactResumeHook',
    'FiniteLossHook',
    'IterationSeedHook',
    'PreflightHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'SameBuffersHook',
]
