"""Processes of one run: whether they match at the start, and which one is lost in a failure.

How they are started belongs to `launch`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_rank

from mmdet_multigrain.utils.errors import LostProcessError, ProcessError
from mmdet_multigrain.utils.nested import dicts, leaves

from ..fingerprints import code_digest, file_digest, versions

_SECONDS_TO_END = 3.0
_LOST = getattr(torch.distributed, 'DistError', torch.distributed.DistBackendError)  # torch < 2.2


@dataclass(frozen=True)
class Process:
    """A process of the run."""

    host: str  # its machine
    pid: int  # its number there
    facts: Mapping[str, str]  # what must be the same in all processes, in words, by name


def check_same_run(cfg: Config) -> Sequence[Process]:
    """The processes of the run by rank; to be called by all of them.

    Raises:
        ProcessError: One differs from the first in config, annotations or code; in all processes.
    """
    config = cfg.to_dict()
    facts = {
        **{f'config entry {key}': repr(value) for key, value in leaves(config)},
        **{f'content of {path}': str(file_digest(path)) for path in annotation_files(config)},
        **{f'version of {name}': version for name, version in versions().items()},
        'code of mmdet_multigrain': code_digest(),
    }
    processes = all_gather_object(Process(socket.gethostname(), os.getpid(), facts))
    first = processes[0].facts
    for rank, process in enumerate(processes):
        for name in [*first, *(name for name in process.facts if name not in first)]:
            here, there = process.facts.get(name, 'absent'), first.get(name, 'absent')
            if here != there:
                raise ProcessError(
                    f'process {rank} differs from process 0 in the {name} ({_short(here)}, not '
                    f'{_short(there)}); start all processes with the same config, data and code'
                )
    return processes


def annotation_files(config: Mapping[str, Any]) -> list[str]:
    """Paths of all annotation files that a config names and that exist."""
    found = {
        os.path.join(part.get('data_root') or '', part['ann_file'])
        for part in dicts(config)
        if isinstance(part.get('ann_file'), str)
    }
    return sorted(path for path in found if Path(path).is_file())


def lost_process(error: BaseException, processes: Sequence[Process]) -> LostProcessError | None:
    """The error that names the process whose end made a collective raise `error`, if that is it.

    Of `processes`, by rank, only those on this machine can be found.
    """
    if not (isinstance(error, _LOST) or 'by peer' in str(error)):
        return None
    here = [
        (rank, process.pid)
        for rank, process in enumerate(processes)
        if rank != get_rank() and process.host == socket.gethostname()
    ]
    deadline = time.monotonic() + _SECONDS_TO_END  # it may be about to end
    while here and time.monotonic() < deadline:
        for rank, pid in here:
            if not _is_alive(pid):
                return LostProcessError(
                    f'process {rank} of this run ended (it was killed, or its own message says '
                    'why); resume from the last checkpoint'
                )
        time.sleep(0.05)
    return LostProcessError(
        'another process of this run ended, and its message says why; resume from the last '
        'checkpoint'
    )


def _is_alive(pid: int) -> bool:
    try:
        # After the name in brackets; a process that nobody has waited for yet is a zombie.
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
    except FileNotFoundError:
        return not Path('/proc').is_dir()


def _short(text: str) -> str:
    return text if len(text) <= 40 else f'{text[:12]}...'
