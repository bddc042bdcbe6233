"""Start-up that the command lines share: configs, processes, and errors in one line.

Here belongs what must happen before a Runner exists, so that tools/ stays thin. Nothing in it is
registered with MMDetection.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# --cfg-options by which configs/_base_/datasets/custom_detection.py can be told where data is.
_CUSTOM_DATA_OPTIONS = {
    'data_root': 'MULTIGRAIN_DATA',
    'train_ann': 'MULTIGRAIN_TRAIN_ANN',
    'val_ann': 'MULTIGRAIN_VAL_ANN',
    'images': 'MULTIGRAIN_IMAGES',
    'taxonomy': 'MULTIGRAIN_TAXONOMY',
}
TRACEBACK_VARIABLE = 'MULTIGRAIN_TRACEBACK'


def run_tool(main: Callable[[], None], *, interrupted: str = 'interrupted') -> None:
    """Run a command line; whatever goes wrong is one line on stderr and a non-zero exit.

    With the environment variable MULTIGRAIN_TRACEBACK=1 errors keep their traceback.

    Args:
        main (Callable): The command line.
        interrupted (str): What Ctrl-C prints: how to go on.
    """
    if os.environ.get(TRACEBACK_VARIABLE) == '1':
        main()
        return
    try:
        main()
    except KeyboardInterrupt:
        print(f'\n{interrupted}', file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 (the boundary to the user)
        print(f'error: {one_line(error)}', file=sys.stderr)
        sys.exit(2)


def one_line(error: BaseException) -> str:
    """The message of an error in one line, also of one that a loader worker passed on."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return f'{type(error).__name__}; {TRACEBACK_VARIABLE}=1 shows where'
    if lines[0].startswith('Caught ') and 'DataLoader worker' in lines[0]:
        name, _, message = lines[-1].partition(': ')
        return message if message and name.replace('.', '').isidentifier() else lines[-1]
    if isinstance(error, ValueError | OSError):
        return ' '.join(lines)
    return f'{type(error).__name__}: {" ".join(lines)} ({TRACEBACK_VARIABLE}=1 shows where)'


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hide what importing onedl-mmdetection prints about parts that nobody asked for."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def load_config(path: str | Path, cfg_options: Mapping[str, Any] | None = None):
    """Load a config with its overrides.

    Args:
        path (str | Path): Config file.
        cfg_options (Mapping, optional): Overrides by dotted key, as from --cfg-options. For the
            custom configs, `data_root`, `train_ann`, `val_ann`, `images` and `taxonomy` work like
            the environment variables that they read.

    Returns:
        mmengine.config.Config: The config; its modules are imported.

    Raises:
        ValueError: If there is no such config; the message lists the nearest names.
    """
    with quiet_imports():
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
        from mmengine.config import Config

    path = check_file(path, 'config')
    cfg_options = dict(cfg_options or {})
    if path.stem.endswith('_custom'):
        for option, variable in _CUSTOM_DATA_OPTIONS.items():
            if option in cfg_options:
                os.environ[variable] = str(cfg_options.pop(option))
    with quiet_imports():
        cfg = Config.fromfile(path)
    cfg.merge_from_dict(cfg_options)
    return cfg


def check_file(path: str | Path, what: str) -> Path:
    """The path of an existing file; a ValueError names what is missing and near names."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'{path}: no such {what}{_nearest(path)}')
    return path


def _nearest(path: Path) -> str:
    names = (
        sorted(item.name for item in path.parent.glob(f'*{path.suffix}'))
        if path.parent.is_dir()
        else []
    )
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.4)
    return f'; did you mean {" or ".join(close)}?' if close else '; check the path'


def set_work_dir(cfg: Any, *, config_path: str, work_dir: str | None) -> None:
    """Work directory: the command line's, else the config's, else work_dirs/<config name>."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(config_path).stem)


def start_processes(cfg: Any, launcher: str) -> None:
    """Join the distributed group when mmengine cannot: it needs CUDA devices even on a CPU.

    On a machine without CUDA the group uses gloo, and DDP gets no device ids. Elsewhere this only
    notes the launcher; the Runner does the rest.
    """
    import torch

    cfg.launcher = launcher
    if launcher == 'none' or torch.cuda.is_available():
        return
    if launcher != 'pytorch':
        raise ValueError(f'--launcher {launcher} needs GPUs; on CPUs use --launcher pytorch')
    torch.distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
    )


def add_common_arguments(parser: Any) -> None:
    """Arguments that training and testing share, as MMDetection's users type them."""
    from mmengine.config import DictAction

    parser.add_argument('--work-dir', help='folder for logs, checkpoints and results')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config entries, e.g. train_dataloader.batch_size=4',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch hands it over; torchrun sets the environment variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def set_local_rank(local_rank: int) -> None:
    """Make the launcher's rank known to mmengine."""
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
