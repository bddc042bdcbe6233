"""The ends of a command line: errors in one line, exit status, letters that a terminal lacks."""

from __future__ import annotations

import atexit
import io
import os
import re
import signal
import sys
from collections.abc import Callable

from mmdet_multigrain.utils.errors import MultigrainError

TRACEBACK_VARIABLE = 'MULTIGRAIN_TRACEBACK'
# Of the imports that fail in an incomplete environment, or in another Python than its own.
_INSTALLED = ('cv2', 'mmcv', 'mmdet', 'mmengine', 'torch', 'torchvision')
_SET_UP = 'fix: bash tools/setup.sh; . .venv/bin/activate'
# What the command lines add to an error that names an option of theirs.
_WITH_OPTION = {
    'resume': ' (--resume)',
    'trust-checkpoint': ', or add --trust-checkpoint if you trust its source',
}


def run_tool(main: Callable[[], None], *, interrupted: str = 'interrupted') -> None:
    """Run a command line; whatever goes wrong is one line on stderr and a non-zero exit.

    With MULTIGRAIN_TRACEBACK=1 in the environment errors keep their traceback. `interrupted` is
    what Ctrl-C prints: how to continue.
    """
    if os.environ.get(TRACEBACK_VARIABLE) == '1':
        main()
        return
    status = 0
    try:
        main()
        print(end='', flush=True)  # so that the status says it if the reader is gone
    except KeyboardInterrupt:
        if os.environ.get('RANK', '0') == '0':
            _say(f'\n{interrupted}')
        status = 130
    except BrokenPipeError:  # whoever read our output (head, less) has seen enough
        status = 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 (the boundary to the user)
        _say(f'error: {one_line(error)}')
        status = 2
    except SystemExit as stop:
        if not (_is_one_of_several() and isinstance(stop.code, int)):
            raise
        status = stop.code
    finally:
        # Write what is left of the output; Python would complain of a closed pipe at its very end.
        try:
            print(end='', flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if _is_one_of_several():
        # The threads of a process group outlive the interpreter's state; now and then one of them asks
        # for it too late, and SIGABRT ends a process whose work is done.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    if status:
        sys.exit(status)


def _say(line: str) -> None:
    """Write a line to stderr in one piece: `print` lets another process write before its end."""
    sys.stderr.write(f'{line}\n')


def _is_one_of_several() -> bool:
    """Whether this process belongs to a distributed group."""
    distributed = sys.modules.get('torch.distributed')
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def escape_unknown_letters() -> None:
    """Let names that the terminal's encoding lacks stand escaped; they must not end a report."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')


def one_line(error: BaseException) -> str:
    """The message of an error in one line, also of one that a loader worker passed on."""
    message = str(error)
    # A worker's message arrives behind the traceback that was printed there.
    if passed_on := re.match(r'Caught (\w+) in DataLoader worker', message):
        message = re.split(rf'^(?:\w+\.)*{passed_on[1]}\b:? ?', message, flags=re.MULTILINE)[-1]
    message = ' '.join(message.split())
    if isinstance(error, ImportError) and (error.name or '').partition('.')[0] in _INSTALLED:
        return f'{message}; {_SET_UP}'
    if message and isinstance(error, OSError | MultigrainError):
        return message + _WITH_OPTION.get(getattr(error, 'option', None), '')
    if not message:
        return f'{type(error).__name__}; {TRACEBACK_VARIABLE}=1 shows where'
    return f'{type(error).__name__}: {message} ({TRACEBACK_VARIABLE}=1 shows where)'
