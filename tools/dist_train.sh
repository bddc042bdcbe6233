#!/usr/bin/env bash
# Train with one process per GPU, or on CPUs where there is none:
#
#     bash tools/dist_train.sh CONFIG GPUS [ARGUMENTS OF train.py]
#
# Several machines: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
if (($# < 2)); then
    echo "usage: bash tools/dist_train.sh CONFIG GPUS [ARGUMENTS OF train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
if [[ -n ${VIRTUAL_ENV-}${CONDA_PREFIX-} || ! -x $python ]]; then
    python=$(command -v python || command -v python3)
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "$python" "$root/tools/dist_launch.py" train.py "$config" "$gpus" "${@:3}"
