"""Start one process per GPU: what dist_train.sh and dist_test.sh share. Not called by hand.

    python tools/dist_launch.py SCRIPT CONFIG GPUS ARGUMENTS...

runs `SCRIPT CONFIG ARGUMENTS... --launcher pytorch` under torchrun. Where the processes meet comes
from the environment: NNODES, NODE_RANK, MASTER_ADDR, PORT, as in MMDetection's scripts. So does
MAX_RESTARTS, how often all processes are started again when one has failed (0): with --resume they
continue from the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.utils.errors import ConfigError
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

DEFAULT_PORT = '29500'


def meeting_point(environment: Mapping[str, str]) -> list[str]:
    """torchrun's options for where the processes meet.

    A run on one machine takes any free port, so that two runs do not collide.
    """
    nodes = environment.get('NNODES', '1')
    if nodes == '1' and 'PORT' not in environment:
        return ['--rdzv-backend=c10d', '--rdzv-endpoint=localhost:0', '--local-addr=localhost']
    if nodes != '1':
        for variable, meaning in (
            ('MASTER_ADDR', 'the address of the machine with NODE_RANK=0'),
            ('NODE_RANK', 'this machine among all, from 0'),
        ):
            if not environment.get(variable):
                raise ConfigError(f'NNODES is {nodes}: set {variable} too, {meaning}')
    return [
        f'--nnodes={nodes}',
        f'--node-rank={environment.get("NODE_RANK", "0")}',
        f'--master-addr={environment.get("MASTER_ADDR", "127.0.0.1")}',
        f'--master-port={environment.get("PORT", DEFAULT_PORT)}',
    ]


def check_processes(gpus: str) -> int:
    """Number of processes to start here; a ValueError if it is none or more than GPUs."""
    import torch

    if not gpus.isdecimal() or int(gpus) < 1:
        raise ConfigError(f'GPUS is {gpus!r}; give the number of processes on this machine')
    there = torch.cuda.device_count()
    if torch.cuda.is_available() and int(gpus) > there:
        raise ConfigError(f'GPUS is {gpus}, but this machine has {there}')
    return int(gpus)


def run(arguments: list[str]) -> int:
    """Run torchrun; exit status of the process that failed first, without its traceback.

    What went wrong in a process, that process has already reported in one line.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.ERROR)  # it would repeat each failure in ten lines
    try:
        torchrun.run(torchrun.parse_args(arguments))
    except ChildFailedError as error:
        rank, first = max(error.failures.items(), key=_certainty)
        if first.exitcode < 0:
            sys.stderr.write(f'error: process {rank} was ended by {first.signal_name()}\n')
            return 128 - first.exitcode
        return first.exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0


def _certainty(failure: tuple[int, ProcessFailure]) -> tuple[bool, int]:
    """How likely a failure (with its rank) is the one that the others failed with.

    That is one that was killed; torchrun itself ends the others by SIGTERM. Else it is one with a
    separate status.
    """
    status = failure[1].exitcode
    return status < 0 and status != -signal.SIGTERM, status


def main() -> None:
    script, config, gpus, *arguments = sys.argv[1:]
    launch.check_file(config, 'config')
    processes = check_processes(gpus)
    cores = len(os.sched_getaffinity(0))
    for variable in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):  # torchrun and mmengine ask for them
        os.environ.setdefault(variable, str(max(1, cores // processes)))
    # Else a validation that goes on 30 s after Ctrl-C or SIGTERM is killed, and its run not saved.
    os.environ.setdefault('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', '1800')
    restarts = os.environ.get('MAX_RESTARTS', '0')
    if restarts != '0':
        # Else processes that are started again find in the store where the first ones were, and
        # wait for them (torch 2.13).
        os.environ.setdefault('TORCH_DISABLE_SHARE_RDZV_TCP_STORE', '1')
    options = [f'--nproc-per-node={processes}', f'--max-restarts={restarts}']
    command = [str(Path(__file__).with_name(script)), config, *arguments, '--launcher=pytorch']
    sys.exit(run([*meeting_point(os.environ), *options, *command]))


if __name__ == '__main__':
    launch.run_tool(main)
