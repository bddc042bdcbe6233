"""What surrounds training and testing, registered: hooks, loops, pretrained weights."""

# The default visualizer: configs of version 0.1 name only the older rooms in `custom_imports`.
from mmdet_multigrain.visualization import visualizer

from . import hooks
from .checkpoint import read
from .checkpoint.weights_only import trust_checkpoints
from .optimizers import autocast_optim_wrapper
from .runner import loops
from .runner.runner import MultigrainRunner

__all__ = [
    'MultigrainRunner',
    'autocast_optim_wrapper',
    'hooks',
    'loops',
    'read',
    'trust_checkpoints',
    'visualizer',
]
