"""Hooks, registered in mmdet's `HOOKS`."""

from .added_classes_hook import AddedClassesHook
from .bad_image_hook import BadImageHook
from .channels_last_hook import ChannelsLastHook
from .checkpoint_report_hook import CheckpointReportHook
from .compile_hook import CompileHook
from .exact_resume_hook import ExactResumeHook
from .finite_loss_hook import FiniteLossHook
from .graceful_stop_hook import GracefulStopHook
from .iteration_seed_hook import IterationSeedHook
from .matmul_precision_hook import MatmulPrecisionHook
from .picture_hook import PictureHook
from .preflight_hook import PreflightHook
from .progress_logger_hook import ProgressLoggerHook
from .run_record_hook import RunRecordHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .same_buffers_hook import SameBuffersHook

__all__ = [
    'AddedClassesHook',
    'BadImageHook',
    'ChannelsLastHook',
    'CheckpointReportHook',
    'CompileHook',
    'ExactResumeHook',
    'FiniteLossHook',
    'GracefulStopHook',
    'IterationSeedHook',
    'MatmulPrecisionHook',
    'PictureHook',
    'PreflightHook',
    'ProgressLoggerHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'SameBuffersHook',
]
