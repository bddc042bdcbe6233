"""What surrounds training and testing, registered: hooks, loops, pretrained weights."""

from .checkpoint.pretrained_init import PretrainedInit
from .hooks import (
    ChannelsLastHook,
    CheckpointReportHook,
    CompileHook,
    ExactResumeHook,
    GracefulStopHook,
    IterationSeedHook,
    MatmulPrecisionHook,
    PreflightHook,
    RunRecordHook,
    SafeCheckpointHook,
    SameBuffersHook,
)
from .optimizers.autocast_optim_wrapper import AutocastOptimWrapper
from .runner.loops import ExactEpochBasedTrainLoop, ExactIterBasedTrainLoop

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
    'PreflightHook',
    'PretrainedInit',
    'RunRecordHook',
    'SafeCheckpointHook',
    'SameBuffersHook',
]
