#!/usr/bin/env bash
# Test with SLURM, one process per GPU; the same arguments as MMDetection's script:
#
#     GPUS=8 bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CKPT [ARGUMENTS OF test.py]
#
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS: see slurm_train.sh.
set -euo pipefail
if (($# < 4)); then
    echo "usage: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CKPT [ARGUMENTS OF test.py]" >&2
    exit 2
fi
folder=$(dirname -- "${BASH_SOURCE[0]}")
exec bash "$folder/slurm_launch.sh" "$1" "$2" test.py "$3" "$4" "${@:5}"
