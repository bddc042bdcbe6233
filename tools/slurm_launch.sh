#!/usr/bin/env bash
# What slurm_train.sh and slurm_test.sh share. Not called by hand:
#
#     bash tools/slurm_launch.sh PARTITION JOB_NAME SCRIPT ARGUMENTS...
#
# runs `SCRIPT ARGUMENTS... --launcher slurm` under srun, one task per GPU.
set -euo pipefail
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -ra more <<<"${SRUN_ARGS-}"
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
if [[ -n ${VIRTUAL_ENV-}${CONDA_PREFIX-} || ! -x $python ]]; then
    python=$(command -v python || command -v python3)
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
if ! command -v srun >/dev/null; then
    echo 'error: srun was not found; without SLURM: bash tools/dist_train.sh, dist_test.sh' >&2
    exit 2
fi
exec srun --partition="$1" --job-name="$2" --gres=gpu:"$per_node" --ntasks="$gpus" \
    --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    "${more[@]}" "$python" -u "$root/tools/$3" "${@:4}" --launcher slurm
