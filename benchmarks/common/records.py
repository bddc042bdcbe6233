"""What a figure was measured with: command, code, versions and machine, for the JSON files."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmdet_multigrain
from mmdet_multigrain.utils.files import dump_json, write_whole
from mmdet_multigrain.utils.parallel import default_workers


def describe_run() -> dict[str, Any]:
    """The command of this process, the code and the machine that it runs on."""
    from mmdet_multigrain.engine.hooks.run_record_hook import git_revision, versions

    module = sys.modules['__main__'].__spec__
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    processors = Path('/proc/cpuinfo').read_text().splitlines()
    return {
        'command': command(module.name if module else '', sys.argv[1:]),
        'began': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'git_revision': git_revision(Path(mmdet_multigrain.__file__).parent),
        'versions': versions(),
        'system': f'{platform.system()} {platform.machine()}',
        'processor': next(
            (line.partition(': ')[2] for line in processors if line.startswith('model name')), ''
        ),
        'cores': default_workers(),
        'memory_gib': round(memory / 2**30, 1),
        'load_average': os.getloadavg()[0],
    }


def command(module: str, arguments: Sequence[str]) -> str:
    """The command line of a module; absolute paths, which tell of one machine, keep their last name.

    Values of `key=value` arguments are treated alike.
    """

    def last_name(argument: str) -> str:
        key, equals, value = argument.rpartition('=')
        return key + equals + (Path(value).name if os.path.isabs(value) else value)

    return shlex.join(['python', '-m', module, *map(last_name, arguments)])


def write_figures(path: Path | None, **content: Any) -> None:
    """Write figures, and what they were measured with, as JSON; without a path do nothing."""
    if path is not None:
        write_whole(path, dump_json({'run': describe_run(), **content}))
