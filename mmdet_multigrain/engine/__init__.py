"""What surrounds training and testing, registered: hooks, loops, pretrained weights."""

# The default visualizer: configs of version 0.1 name only the older rooms in `custom_imports`.
from mmdet_multigrain.visualization.visualizer import MultiGrainedVisualizer

from .checkpoint.pretrained_init import PretrainedInit
from .checkpoint.weights_only import trust_checkpoints
from .hooks import (
    AddedClassesHook,
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
    'AddedClassesHook',
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
    'MultiGrainedVisualizer',
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
