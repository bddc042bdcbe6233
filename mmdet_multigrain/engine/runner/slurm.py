"""Where the processes of a SLURM job meet on CPUs, for which MMEngine has GPUs only."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping


def meeting_point_of_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    """What torch's process group reads from the environment, from what srun tells a task.

    Args:
        environment: Of a task; `MASTER_ADDR` (else the job's first node) and `MASTER_PORT` (29500)
            count as they do for MMEngine.
    """
    address = environment.get('MASTER_ADDR')
    if address is None:
        command = ['scontrol', 'show', 'hostnames', environment['SLURM_NODELIST']]
        address = subprocess.check_output(command, text=True).split()[0]
    return {
        'MASTER_ADDR': address,
        'MASTER_PORT': environment.get('MASTER_PORT', '29500'),
        'RANK': environment['SLURM_PROCID'],
        'WORLD_SIZE': environment['SLURM_NTASKS'],
        'LOCAL_RANK': environment['SLURM_LOCALID'],
    }
