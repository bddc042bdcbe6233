#!/usr/bin/env bash
# Installs everything that training and testing need, in the order that works.
#
#     bash tools/setup.sh [--active] [--python PYTHON] [--dev] [--constraint FILE]
#
#     --active          into the active environment instead of ./.venv
#     --python PYTHON   the Python (3.10 to 3.13, or a newer one at your own risk) for .venv
#     --dev             with what the tests need
#     --constraint FILE the versions in FILE (requirements/constraints/), torch included
#
#     MULTIGRAIN_TORCH  which torch; unset: any torch >= 2.6 that is there, else torch==2.13.0
#     MAX_JOBS          how many compilers run at once; unset: by cores and memory
#     CUDA_HOME         the CUDA toolkit; unset: the one that is found
#     FORCE_CUDA=1      CUDA operators on a machine whose GPU is elsewhere (a login node)
#
# The long part is mmcv: its operators get compiled, 2 to 4 minutes on 2 cores. A second call
# costs seconds, one after an interruption continues with the interrupted step, and one in
# an environment that broke fixes it. Logs: multigrain_setup/ in the environment's folder.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
DEFAULT_TORCH=torch==2.13.0
# The Pythons that are tested; setup.cfg and tools/check_env.py name them, too.
OLDEST=3.10 NEWEST=3.13
WAY_OUT="name another with --python (python$NEWEST), or let uv fetch one: \
uv venv --seed --python $NEWEST .venv"

say() { printf '[setup] %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}
pip() { "$PY" -m pip "$@"; }
# has PIECE...: whether these pieces of tools/check_env.py are in order.
has() {
    local piece only=()
    for piece in "$@"; do only+=(--only "$piece"); done
    "$PY" tools/check_env.py --cuda "$CUDA" "${only[@]}" >/dev/null
}

. "$ROOT/tools/setup_steps.sh"
clean_up() {
    stop_ticker
    [[ -z ${STATE-} ]] || rm -rf -- "$STATE/headers"
}
trap clean_up EXIT

# --- The environment -------------------------------------------------------------------------

# age PYTHON: old, tested or new.
age() {
    "$1" -c "import sys; version = sys.version_info[:2]
print('old' if version < (${OLDEST/./, }) else 'new' if version > (${NEWEST/./, }) else 'tested')"
}
python_version() { "$1" -c 'import platform; print(platform.python_version())'; }

# Sets PY and STATE.
find_environment() {
    local version
    PY=$ROOT/.venv/bin/python
    if "$ACTIVE"; then
        PY=$PYTHON
        [[ -n $PY ]] || PY=$(command -v python || command -v python3) || die 'there is no python'
    elif ! python_version "$PY" >/dev/null 2>&1; then
        make_venv
    fi
    version=$(python_version "$PY") || die "$PY does not run"
    case $(age "$PY") in
        old) die "$PY is Python $version, but $OLDEST or newer is needed: $WAY_OUT" ;;
        new) say "note: Python $version is newer than the newest tested ($NEWEST); if a step fails," \
            "$WAY_OUT" ;;
    esac
    [[ -z $PYTHON || $(python_version "$PYTHON") == "$version" ]] ||
        die "$ROOT/.venv was made with Python $version: remove it, or leave out --python"
    # Missing where making .venv was interrupted, and where another tool made it.
    pip --version >/dev/null 2>&1 || "$PY" -m ensurepip >/dev/null || die "$PY has no pip"
    STATE=$("$PY" -c 'import sys; print(sys.prefix)')/multigrain_setup
    mkdir -p "$STATE" || die "cannot write to the environment: $STATE"
}

make_venv() {
    local base=$PYTHON wanted candidate
    if [[ -e .venv && ! -e .venv/pyvenv.cfg && -n $(ls -A .venv) ]]; then
        die "$ROOT/.venv is not a virtual environment: move it away"
    fi
    if [[ -n $base ]]; then
        [[ $(age "$base") =~ tested|new ]] || die "--python $base is not Python $OLDEST or newer"
    else
        for wanted in tested new; do
            for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
                [[ $(age "$candidate" 2>/dev/null) != "$wanted" ]] || break 2
            done
            candidate=
        done
        base=$candidate
        [[ -n $base ]] || die "no Python $OLDEST or newer on the PATH: $WAY_OUT"
    fi
    say "making .venv with Python $(python_version "$base")"
    # --clear: the Python of what is there does not run.
    "$base" -m venv --clear .venv ||
        die "$base cannot make virtual environments (Debian, Ubuntu: apt-get install python3-venv)"
}

# The set-up looks again when one of these changes: our files, the toolkits and the caller's wish.
fingerprint() {
    {
        cat requirements.txt requirements/*.txt setup.cfg pyproject.toml tools/setup*.sh
        echo "$ROOT ${MULTIGRAIN_TORCH-} ${FORCE_CUDA-}"
        ((${#CONSTRAINT[@]} == 0)) || cat "${CONSTRAINT[1]}"
        cuda_homes
    } | cksum
}

# --- CUDA ------------------------------------------------------------------------------------

# Each folder that holds a CUDA toolkit, with its version, one per line: "13.0 FOLDER".
cuda_homes() {
    local nvcc home
    nvcc=$(readlink -f "$(command -v nvcc)" || true)
    for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}" "${nvcc%/bin/nvcc}" /usr/local/cuda{,-*}; do
        # Some nvcc's are but a script in a folder without headers.
        if [[ -x $home/bin/nvcc ]] && { [[ -e $home/include/cuda.h ]] ||
            compgen -G "$home/targets/*/include/cuda.h" >/dev/null; }; then
            echo "$("$home/bin/nvcc" --version | grep -oE 'release [0-9.]+' | cut -c 9-) $home"
        fi
    done
}

# Sets CUDA (what check_env.py is to ask for) and BUILD_ENV (how mmcv gets compiled).
choose_operators() {
    local gpu torch_cuda archs version home
    read -r gpu torch_cuda archs < <("$PY" -W ignore -c '
import torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
archs = {"%d.%d" % torch.cuda.get_device_capability(i) for i in range(count)}
print(count, torch.version.cuda, ";".join(sorted(archs)))')
    # Compiling for the CPU: mmcv must not see a GPU, or it would ask for nvcc.
    CUDA=auto BUILD_ENV=(FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=)
    if ((gpu == 0)) && [[ ${FORCE_CUDA:-0} != 1 ]]; then
        if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then
            say 'note: this machine has a GPU that this torch cannot use; operators for the CPU'
        fi
        return
    fi
    while read -r version home; do
        # Torch refuses a toolkit of another major version.
        if [[ ${version%%.*} == "${torch_cuda%%.*}" ]]; then
            CUDA=on BUILD_ENV=(FORCE_CUDA=1 CUDA_HOME="$home")
            archs=${TORCH_CUDA_ARCH_LIST:-$archs}
            [[ -z $archs ]] || BUILD_ENV+=(TORCH_CUDA_ARCH_LIST="$archs")
            say "operators with CUDA $version ($home)"
            return
        fi
    done < <(cuda_homes)
    CUDA=off
    [[ $torch_cuda != None ]] || {
        say 'note: this torch has no CUDA; operators for the CPU'
        return
    }
    say "note: no CUDA ${torch_cuda%%.*} toolkit (nvcc) was found for torch's CUDA $torch_cuda:" \
        'operators for the CPU; install it or set CUDA_HOME, then run this again'
}

# How many compilers fit: a file of mmcv takes up to 2.5 GB.
jobs_that_fit() {
    local cores limit kilobytes
    cores=$(nproc)
    kilobytes=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
    if [[ $limit != max ]] && ((limit / 1024 < kilobytes)); then kilobytes=$((limit / 1024)); fi
    local fit=$((kilobytes / 2621440))
    echo $((fit < 1 ? 1 : fit < cores ? fit : cores))
}

# --- What gets installed ---------------------------------------------------------------------

install_torch() {
    local wanted=("${CONSTRAINT[@]}" --requirement requirements/build.txt)
    if [[ -n ${MULTIGRAIN_TORCH-} ]]; then
        local words
        read -ra words <<<"$MULTIGRAIN_TORCH"
        wanted+=("${words[@]}")
    elif ! has torch; then
        wanted+=("$DEFAULT_TORCH")
        say "$DEFAULT_TORCH comes first; with its CUDA libraries it can be some GB"
    fi
    step torch pip install "${wanted[@]}"
    has torch || step torch pip install --force-reinstall "${wanted[@]}"
    has torch || {
        "$PY" tools/check_env.py --quiet --only torch
        exit 1
    }
}

install_libraries() {
    local wanted=("${CONSTRAINT[@]}" --requirement requirements/detector.txt)
    local plain opencv compiled
    # An OpenCV that works is left alone, whichever build it is. One that does not goes before the
    # headless build comes: they share a folder.
    if ((${#CONSTRAINT[@]} == 0)) && has cv2; then
        mapfile -t plain < <(grep -vE '^(#|opencv|$)' requirements.txt)
        wanted+=("${plain[@]}")
    else
        read -ra opencv < <(installed opencv-python opencv-python-headless \
            opencv-contrib-python opencv-contrib-python-headless)
        ((${#opencv[@]} == 0)) || step opencv-removed pip uninstall -y "${opencv[@]}"
        wanted+=(--requirement requirements.txt)
    fi
    if "$DEV"; then wanted+=(--requirement requirements/tests.txt); fi
    step libraries pip install "${wanted[@]}"
    has pycocotools hotcoco || {
        mapfile -t compiled < <(grep -E '^(pycocotools|hotcoco)' requirements.txt)
        step libraries pip install --force-reinstall --no-deps "${compiled[@]}"
    }
}

# Those of the named distributions that are installed.
installed() {
    "$PY" - "$@" <<'PYTHON'
import sys
from importlib import metadata
names = {(d.metadata['Name'] or '').lower() for d in metadata.distributions()}
print(*(name for name in sys.argv[1:] if name in names))
PYTHON
}

install_openmmlab() {
    local options=(--no-deps --no-build-isolation) others mmcv official
    mmcv=$(grep '^onedl-mmcv' requirements/openmmlab.txt)
    mapfile -t others < <(grep -vE '^(#|onedl-mmcv|$)' requirements/openmmlab.txt)
    if [[ -z $(installed onedl-mmcv) ]] &&
        has mmengine mmcv 'mmcv operators' 'CUDA operators' mmdet; then
        return # OpenMMLab's own, in versions that work
    fi

    read -ra official < <(installed mmengine mmengine-lite mmcv mmcv-full mmcv-lite mmdet)
    if ((${#official[@]})); then
        say "taking out ${official[*]}: they share their folders with what gets installed"
        step openmmlab-removed pip uninstall -y "${official[@]}"
        options+=(--force-reinstall)
    fi
    step openmmlab pip install "${options[@]}" "${others[@]}"

    # The operators import mmengine, so that mmcv comes last.
    if [[ $(pip freeze) != *"$mmcv"* ]] || ! has mmcv 'mmcv operators' 'CUDA operators'; then
        say 'mmcv: compiling its operators takes 2 to 4 minutes on 2 cores, longer with CUDA' \
            '(seconds if pip kept them from an earlier time)'
        install_mmcv "$mmcv"
    fi
    has mmengine mmdet ||
        step openmmlab pip install --no-deps --no-build-isolation --force-reinstall "${others[@]}"
}

install_mmcv() {
    local status=0
    compile_mmcv fast "$1" && return
    # A wheel that pip had kept may be without operators, or have those of another torch. It has to
    # go, or pip would take it again; --no-binary shuts out those in other places.
    if ! was_compiled && grep -q '^Successfully installed' "$STATE/mmcv.log"; then
        say 'mmcv: what pip had kept does not fit this torch; compiling it again'
        pip cache remove onedl_mmcv >/dev/null 2>&1 || true
        compile_mmcv fast "$1" --no-binary onedl-mmcv && return
    fi
    # A plain build needs more memory and disk space, not less.
    if ! was_compiled || grep -qE 'Killed|out of memory|No space left' "$STATE/mmcv.log"; then
        give_up mmcv
    fi
    mv -- "$STATE/mmcv.log" "$STATE/mmcv-fast.log"
    say "mmcv: the fast build failed (log: $STATE/mmcv-fast.log); compiling it plainly," \
        'which takes four times as long'
    pip cache remove onedl_mmcv >/dev/null 2>&1 || true
    compile_mmcv plain "$1" --no-binary onedl-mmcv || status=$?
    ((status != 1)) || give_up mmcv
}

was_compiled() { grep -q '^ *Building wheel' "$STATE/mmcv.log"; }

# compile_mmcv fast|plain REQUIREMENT [PIP OPTION]...: status 1: pip failed; 2: the operators do.
compile_mmcv() {
    local how=$1 build=("${BUILD_ENV[@]}" MAX_JOBS="${MAX_JOBS:-$(jobs_that_fit)}") status=0
    shift
    build+=(PATH="$SCRIPTS:$PATH:$ROOT/tools")
    if [[ $how == fast ]]; then
        # By name, because build files do not take a path with blanks.
        build+=(CXX=mmcv_cxx.sh REAL_CXX="${CXX:-c++}")
        # A build with CUDA only leaves out debug information.
        [[ $CUDA == on ]] || build+=(PREFIX_HEADERS="$STATE/headers")
    fi
    rm -rf -- "$STATE/headers"
    mkdir -- "$STATE/headers"
    attempt mmcv env "${build[@]}" "$PY" -m pip install -v --no-deps --no-build-isolation \
        --force-reinstall "$@" || status=1
    rm -rf -- "$STATE/headers"
    ((status == 0)) || return 1
    has mmcv 'mmcv operators' 'CUDA operators' || return 2
}

# An install that was killed may leave metadata without a list of files, which pip neither takes
# as installed nor can take out. Only in .venv: other environments may hold such on purpose.
sweep() {
    "$ACTIVE" || find .venv/lib -maxdepth 3 -name '*.dist-info' -type d \
        ! -exec test -e '{}/RECORD' \; -prune -exec rm -r -- '{}' +
}

# --- Main ------------------------------------------------------------------------------------

ACTIVE=false PYTHON='' DEV=false CUDA=auto CONSTRAINT=()
while (($#)); do
    case $1 in
        --active) ACTIVE=true ;;
        --dev) DEV=true ;;
        --python)
            PYTHON=$(command -v "${2-}") || die "--python: no such Python: ${2-}"
            shift
            ;;
        --constraint)
            [[ -f ${2-} ]] || die "--constraint: no such file: ${2-}"
            CONSTRAINT=(--constraint "$(realpath -- "$2")")
            ! grep -q '^torch==' "$2" || MULTIGRAIN_TORCH=${MULTIGRAIN_TORCH:-torch}
            shift
            ;;
        -h | --help)
            sed -n '2,/^set /s/^#\{1,\} \{0,1\}//p' "$ROOT/tools/setup.sh"
            exit
            ;;
        *) die "unknown option $1; see bash tools/setup.sh --help" ;;
    esac
    shift
done
# A relative --python is relative to the working directory of the caller.
[[ $PYTHON != */* || $PYTHON == /* ]] || PYTHON=$PWD/$PYTHON
cd -- "$ROOT"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

find_environment
SCRIPTS=$("$PY" -c 'import sysconfig; print(sysconfig.get_path("scripts"))')
CHECK=(--quiet)
if "$DEV"; then CHECK+=(--dev); fi

# The stamp: with which files this environment was set up, and what its mmcv was built for.
STAMP=$STATE/done
FINGERPRINT=$(fingerprint)
if [[ -e $STAMP && $(head -n 1 "$STAMP") == "$FINGERPRINT" ]]; then
    CUDA=$(tail -n 1 "$STAMP")
    if "$PY" tools/check_env.py "${CHECK[@]}" --cuda "$CUDA" >/dev/null; then
        say "everything is in place ($PY)"
        exit
    fi
fi

rm -f "$STAMP"
sweep
install_torch
choose_operators
install_libraries
step mmdet_multigrain pip install --no-deps --no-build-isolation --editable .
install_openmmlab
"$PY" tools/check_env.py "${CHECK[@]}" --cuda "$CUDA" || {
    echo "error: the environment is not in order; logs: $STATE" >&2
    exit 1
}
# A GPU may turn up later (a shared environment); a set-up for want of a toolkit stays as it is.
[[ $CUDA == off ]] || CUDA=auto
printf '%s\n%s\n' "$FINGERPRINT" "$CUDA" >"$STAMP.new"
mv -- "$STAMP.new" "$STAMP"
say "everything is in place ($PY)"
