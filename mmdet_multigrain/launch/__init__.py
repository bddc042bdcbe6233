"""Start-up that the command lines share, so that tools/ stays thin.

What must happen before a Runner exists: arguments, configs, processes, and errors in one line.
"""

from .anchors import anchors_with
from .arguments import (
    add_cfg_options,
    add_common_arguments,
    add_hedge,
    add_level,
    add_runs,
    add_speed,
    add_trust_checkpoint,
    number,
    score,
    set_local_rank,
    whole_number,
)
from .configs import load_config, set_work_dir
from .errors import escape_unknown_letters, one_line, run_tool
from .files import add_force, check_checkpoint, check_file, check_outputs, same_path
from .images import find_images
from .imports import quiet_imports
from .loading import add_detector, load_detector, load_run_config

__all__ = [
    'add_cfg_options',
    'add_common_arguments',
    'add_detector',
    'add_force',
    'add_hedge',
    'add_level',
    'add_runs',
    'add_speed',
    'add_trust_checkpoint',
    'anchors_with',
    'check_checkpoint',
    'check_file',
    'check_outputs',
    'escape_unknown_letters',
    'find_images',
    'load_config',
    'load_detector',
    'load_run_config',
    'number',
    'one_line',
    'quiet_imports',
    'run_tool',
    'same_path',
    'score',
    'set_local_rank',
    'set_work_dir',
    'whole_number',
]
