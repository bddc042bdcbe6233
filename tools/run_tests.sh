#!/usr/bin/env bash
# Sets everything up (tools/setup.sh), then runs the linter and the tests:
#
#     bash tools/run_tests.sh [--active] [PYTEST ARGUMENTS]
#
# --active takes the active environment instead of .venv. Some arguments:
#
#     -n 0                                        one process, for a debugger or to see prints
#     -m smoke                                    imports, heads, two training steps
#     -m long                                     slow end-to-end tests, which are left out otherwise
#     --random-order [--random-order-seed SEED]   in another order than that of the files: modules
#                                                 and the tests within each; the seed is printed
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if [[ ${1-} == --active ]]; then
    shift
    bash tools/setup.sh --dev --active
    python=$(command -v python || command -v python3)
else
    bash tools/setup.sh --dev
    python=.venv/bin/python
fi
"$python" -m ruff format --check .
"$python" -m ruff check .
exec "$python" -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --durations=15 "$@"
