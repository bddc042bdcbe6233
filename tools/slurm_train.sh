#!/usr/bin/env bash
# Train with SLURM, one process per GPU; the same arguments as MMDetection's script:
#
#     GPUS=16 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [ARGUMENTS OF train.py]
#
#     GPUS            of all nodes (8)
#     GPUS_PER_NODE   of each node (8, or GPUS if that is less)
#     CPUS_PER_TASK   cores for each process (5)
#     SRUN_ARGS       more options of srun
set -euo pipefail
if (($# < 4)); then
    echo "usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [ARGUMENTS OF train.py]" >&2
    exit 2
fi
folder=$(dirname -- "${BASH_SOURCE[0]}")
exec bash "$folder/slurm_launch.sh" "$1" "$2" train.py "$3" --work-dir "$4" "${@:5}"
