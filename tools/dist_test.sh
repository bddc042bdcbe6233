#!/usr/bin/env bash
# Test with one process per GPU, or on CPUs where there is none:
#
#     bash tools/dist_test.sh CONFIG CKPT GPUS [ARGUMENTS OF test.py]
#
# Several machines: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
if (($# < 3)); then
    echo "usage: bash tools/dist_test.sh CONFIG CKPT GPUS [ARGUMENTS OF test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
if [[ -n ${VIRTUAL_ENV-}${CONDA_PREFIX-} || ! -x $python ]]; then
    python=$(command -v python || command -v python3)
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "$python" "$root/tools/dist_launch.py" test.py "$config" "$gpus" "$checkpoint" "${@:4}"
