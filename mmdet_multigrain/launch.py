"""Start-up that the command lines share: configs, processes, and errors in one line.

Here belongs what must happen before a Runner exists, so that tools/ stays thin. Nothing in it is
registered with MMDetection.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import difflib
import inspect
import io
import itertools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mmdet_multigrain.speed import lay_over, option_names
from mmdet_multigrain.taxonomy import TaxonomyError

# --cfg-options that stand for what configs/_base_/datasets/custom_detection.py reads.
_CUSTOM_DATA_OPTIONS = {
    'data_root': 'MULTIGRAIN_DATA',
    'train_ann': 'MULTIGRAIN_TRAIN_ANN',
    'val_ann': 'MULTIGRAIN_VAL_ANN',
    'images': 'MULTIGRAIN_IMAGES',
    'taxonomy': 'MULTIGRAIN_TAXONOMY',
}
_CUSTOM_DATA_HINT = (
    'MULTIGRAIN_DATA, MULTIGRAIN_TRAIN_ANN and MULTIGRAIN_TAXONOMY say where the data is'
)
# What a run reads from its config beside the arguments of a Runner.
_OPTIONAL_KEYS = (
    'activation_checkpointing',
    'compile',
    'efficient_conv_bn_eval',
    'fast_loading',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)
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
    status = 0
    try:
        main()
    except KeyboardInterrupt:
        _say(f'\n{interrupted}')
        status = 130
    except BrokenPipeError:  # whoever read our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 (the boundary to the user)
        _say(f'error: {one_line(error)}')
        status = 2
    except SystemExit as stop:
        if not (_is_one_of_several() and isinstance(stop.code, int)):
            raise
        status = stop.code
    if _is_one_of_several():
        _end_now(status)
    if status:
        sys.exit(status)


def _say(line: str) -> None:
    """Write a line to stderr in one piece: `print` lets another process write before its end."""
    sys.stderr.write(f'{line}\n')


def _is_one_of_several() -> bool:
    """Whether this process belongs to a distributed group."""
    distributed = sys.modules.get('torch.distributed')
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def _end_now(status: int) -> NoReturn:
    """End this process without taking the interpreter apart.

    The threads of a process group outlive the interpreter's own state: every so many runs one of
    them asks for it too late and the process, its work done, is ended by SIGABRT.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def escape_unknown_letters() -> None:
    """Let names that the terminal's encoding lacks stand escaped; they must not end a report."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')


def one_line(error: BaseException) -> str:
    """The message of an error in one line, also of one that a loader worker passed on."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return f'{type(error).__name__}; {TRACEBACK_VARIABLE}=1 shows where'
    if lines[0].startswith('Caught ') and 'DataLoader worker' in lines[0]:
        passed_on = _after_last_frame(str(error))
        name, _, message = passed_on.partition(': ')
        if message and name.startswith('mmdet_multigrain.'):
            return message
        return f'{passed_on} ({TRACEBACK_VARIABLE}=1 shows where)'
    if isinstance(error, OSError) or (isinstance(error, ValueError) and _is_ours(error)):
        return ' '.join(lines)
    if _of_another_process(error):
        return 'another process of this run ended; its message says why'
    return f'{type(error).__name__}: {" ".join(lines)} ({TRACEBACK_VARIABLE}=1 shows where)'


def _after_last_frame(traceback: str) -> str:
    """The error that a printed traceback ends with, in one line."""
    lines = traceback.splitlines()
    start = max((n for n, line in enumerate(lines) if line.startswith('  File ')), default=-1)
    rest = itertools.dropwhile(lambda line: line.startswith('    '), lines[start + 1 :])
    return ' '.join(' '.join(rest).split())


def _is_ours(error: BaseException) -> bool:
    """Whether this package raised it: then the message was written for users."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = '' if trace is None else trace.tb_frame.f_globals.get('__name__', '')
    return module.partition('.')[0] in ('mmdet_multigrain', 'benchmarks', '__main__')


def _of_another_process(error: BaseException) -> bool:
    """Whether a collective failed because a peer is gone."""
    cause = error.__cause__ or error
    return isinstance(cause, RuntimeError) and 'by peer' in str(cause)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hide what importing onedl-mmdetection prints about parts that nobody asked for."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def load_config(
    path: str | Path,
    cfg_options: Mapping[str, Any] | None = None,
    *,
    speed: Sequence[str] = (),
):
    """Load a config with its overrides.

    Args:
        path (str | Path): Config file.
        cfg_options (Mapping, optional): Overrides by dotted key, as from --cfg-options.
            `data_root` moves all paths below the config's own. For the custom configs it,
            `train_ann`, `val_ann`, `images` and `taxonomy` work like the environment variables
            that they read.
        speed (Sequence[str]): Names of options for faster training, as from --speed.

    Returns:
        mmengine.config.Config: The config; its modules are imported.

    Raises:
        ValueError: If there is no such config, if it cannot be loaded, or if nothing reads an
            override; the message says what may have been meant.
    """
    with quiet_imports():
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
        from mmengine.config import Config

    path = check_file(path, 'config')
    if path.suffix != '.py':  # MMEngine's reader of YAML builds any object that a file names
        raise ValueError(f'{path}: not a Python file (.py), as configs are')
    cfg_options = dict(cfg_options or {})
    variables = {
        variable: str(cfg_options[option])
        for option, variable in _CUSTOM_DATA_OPTIONS.items()
        if option in cfg_options
    }
    try:
        with quiet_imports(), _environment(variables):
            cfg = Config.fromfile(path)
    except Exception as error:
        if isinstance(error, TaxonomyError):  # of the custom data that it loads
            message = str(error).replace('check the path', _CUSTOM_DATA_HINT)
            raise TaxonomyError(message) from None
        cause = error.__cause__ or error
        raise ValueError(
            f'{path}: not a config that can be loaded ({type(cause).__name__}: '
            f'{" ".join(str(cause).split())}); {TRACEBACK_VARIABLE}=1 shows where'
        ) from error
    if 'MULTIGRAIN_DATA' in cfg.text:  # it or a base of it reads the variables
        cfg_options = {
            key: value for key, value in cfg_options.items() if key not in _CUSTOM_DATA_OPTIONS
        }
    if 'data_root' in cfg_options and cfg.get('data_root'):
        new_root = os.path.join(str(cfg_options.pop('data_root')), '')
        cfg.merge_from_dict(_replace_prefix(cfg.to_dict(), cfg.data_root, new_root))
    lay_over(cfg, [*(cfg.pop('speed', None) or ()), *speed])
    _check_options(cfg, cfg_options, path)
    cfg.merge_from_dict(cfg_options)
    if 'fast_loading' in cfg:
        from mmdet_multigrain.datasets.transforms import use_fast_loading

        use_fast_loading(cfg)
    return cfg


def _replace_prefix(value: Any, old: str, new: str) -> Any:
    """The same nested value, strings that begin with `old` beginning with `new` instead."""
    if isinstance(value, Mapping):
        return {key: _replace_prefix(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replace_prefix(item, old, new) for item in value)
    if isinstance(value, str) and value.startswith(old):
        return new + value.removeprefix(old)
    return value


def _check_options(cfg: Any, cfg_options: Mapping[str, Any], path: Path) -> None:
    """Refuse overrides that would do nothing, because no part of a run reads them."""
    from mmengine.runner import Runner

    read = {*inspect.signature(Runner).parameters, *_OPTIONAL_KEYS}
    for option in cfg_options:
        key = option.partition('.')[0]
        if key in read:
            continue
        if key in cfg:
            places = ', '.join(_places(cfg, key)) or 'the entries made of it'
            raise ValueError(
                f'--cfg-options {option}: {key!r} is a variable of {path}, of use only while that '
                f'is read; set {places}'
            )
        close = difflib.get_close_matches(key, read, n=1)
        hint = f'did you mean {close[0]!r}?' if close else 'no part of a run reads it'
        raise ValueError(f'--cfg-options {option}: {path} has no {key!r}; {hint}')


def _places(cfg: Mapping[str, Any], name: str, prefix: str = '') -> Iterator[str]:
    """Dotted keys of the entries of that name below the top level."""
    for key, value in cfg.items():
        if prefix and key == name:
            yield prefix + key
        elif isinstance(value, Mapping):
            yield from _places(value, name, f'{prefix}{key}.')


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_file(path: str | Path, what: str) -> Path:
    """The path of an existing file; a ValueError names what is missing and near names."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'{path}: this is a folder; name a {what} in it')
    if not path.is_file():
        raise ValueError(f'{path}: no such {what}{_nearest(path)}')
    return path


def check_checkpoint(path: str | Path) -> None:
    """Raise a one-line ValueError if a checkpoint is a file that is not there; URLs may be."""
    if '://' not in str(path):
        check_file(path, 'checkpoint')


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
    if launcher == 'none':
        return
    cfg.custom_hooks = [*cfg.get('custom_hooks', ()), dict(type='SameBuffersHook')]
    # mmengine hands over an argument that newer versions of torch call otherwise.
    warnings.filterwarnings('ignore', message='`broadcast_buffers`', category=FutureWarning)
    if torch.cuda.is_available():
        return
    if launcher != 'pytorch':
        raise ValueError(f'--launcher {launcher} needs GPUs; on CPUs use --launcher pytorch')
    torch.distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """The argument --cfg-options KEY=VALUE ..., as MMDetection's users type it."""
    from mmengine.config import DictAction

    class Options(DictAction):
        @staticmethod
        def _parse_iterable(val: str) -> Any:
            # MMEngine takes blanks out of all values; paths may have some.
            if any(character in val for character in '[(,'):
                return DictAction._parse_iterable(val)
            return DictAction._parse_int_float_bool(val.strip('\'"'))

    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        type=_key_value,
        metavar='KEY=VALUE',
        help='override config entries, e.g. train_dataloader.batch_size=4',
    )


def _key_value(text: str) -> str:
    if not text.partition('=')[1]:
        raise argparse.ArgumentTypeError(f'{text!r} is not KEY=VALUE')
    return text


def add_trust_checkpoint(parser: argparse.ArgumentParser) -> None:
    """The argument --trust-checkpoint; `engine.weights_only.trust_checkpoints` acts on it."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load checkpoints and pretrained weights that hold more than weights: they can run '
        'any code',
    )


def add_speed(parser: argparse.ArgumentParser) -> None:
    """The argument --speed NAME ..., options for faster training."""
    parser.add_argument(
        '--speed',
        nargs='+',
        default=(),
        metavar='NAME',
        help=f'options for faster training (docs/speed.md): {", ".join(option_names())}',
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that training and testing share, as MMDetection's users type them."""
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and results')
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch hands it over; torchrun sets the environment variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def set_local_rank(local_rank: int) -> None:
    """Make the launcher's rank known to mmengine."""
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
