"""What surrounds training and testing, registered: hooks, loops, pretrained weights."""

from .checkpoint.pretrained_init import PretrainedInit
from .checkpoint.weights_only import trust_checkpoints
from .hooks import (
    ChannelsLastHook,
    CheckpointReportHook,
    CompileHook,
    ExactResumeHook,
    GracefulStopHook,
    IterationSeedHook,
    MatmulPrecisionHook,
    PictureHook,
    PreflightHook,
    ProgressLoggerHook,
    RunRecordHook,
    SafeCheckpointHook,
    SameBuffersHook,
)
from .optimizers.autocast_optim_wrapper import AutocastOptimWrapper
from .runner.loops import ExactEpochBasedTrainLoop, ExactIterBasedTrainLoop
from .runner.runner import MultigrainRunner

__all__ = [
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'CheckpointReportHook',
    'CompileHook',
    'ExactEpochBasedTrainLoop',
    'ExactIterBasedTrainLoop',
    'ExactResumeHook',
    'GracefulStopHook',
    'IterationSeedHook',
    'MatmulPrecisionHook',
    'MultigrainRunner',
    'PictureHook',
    'PreflightHook',
    'ProgressLoggerHook',
    'PretrainedInit',
    'RunRecordHook',
    'SafeCheckpointHook',
    'SameBuffersHook',
    'trust_checkpoints',
]
