"""What surrounds training and testing, registered: hooks, loops, pretrained weights."""

from .autocast_optim_wrapper import AutocastOptimWrapper
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
from .loops import ExactEpochBasedTrainLoop, ExactIterBasedTrainLoop
from .pretrained_init import PretrainedInit

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
