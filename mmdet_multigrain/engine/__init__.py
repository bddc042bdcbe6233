"""What surrounds training and testing, registered: hooks, loops, pretrained weights."""

from .hooks import (
    CheckpointReportHook,
    ExactResumeHook,
    IterationSeedHook,
    PreflightHook,
    RunRecordHook,
    SafeCheckpointHook,
    SameBuffersHook,
)
from .loops import ExactEpochBasedTrainLoop, ExactIterBasedTrainLoop
from .pretrained_init import PretrainedInit

__all__ = [
    'CheckpointReportHook',
    'ExactEpochBasedTrainLoop',
    'ExactIterBasedTrainLoop',
    'ExactResumeHook',
    'IterationSeedHook',
    'PreflightHook',
    'PretrainedInit',
    'RunRecordHook',
    'SafeCheckpointHook',
    'SameBuffersHook',
]
