# Steps of tools/setup.sh, which reads this file: quiet, logged, with a line of progress now and then,
# and with a few lines on what went wrong. Uses its STATE (folder of the logs), PY, WAY_OUT, say,
# age and python_version.

TICK=20 # seconds between two lines of progress
TICKER=

stop_ticker() {
    [[ -z $TICKER ]] || kill "$TICKER" 2>/dev/null || true
    TICKER=
}

# attempt NAME COMMAND...: run a command with its output in a log.
attempt() {
    local name=$1 log=$STATE/$1.log start=$SECONDS status=0
    shift
    tick "$name" "$log" "$start" &
    TICKER=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    stop_ticker
    ((status)) || say "$name: done in $(clock $((SECONDS - start)))"
    return "$status"
}

# step NAME COMMAND...: an attempt that must succeed.
step() { attempt "$@" || give_up "$1"; }

clock() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# Ends with the set-up itself, however that ends. The sleep must not hold on to a caller's pipe.
tick() {
    local name=$1 log=$2 start=$3 passed counts ready total rest
    while sleep "$TICK" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        passed=$((SECONDS - start))
        # Ninja's [27/78]; until it begins, pip's latest line.
        counts=$(grep -oE '\[[0-9]+/[0-9]+\] ' "$log" | tail -n 1 | tr -d '[] ' || true)
        if [[ -n $counts ]]; then
            ready=${counts%/*} total=${counts#*/} rest=
            # The first few files say nothing about the rest.
            ((ready * 10 < total)) ||
                rest=", about $(((passed * (total - ready) / ready + 59) / 60)) min to go"
            say "$name: compiled $ready of $total files in $(clock $passed)$rest"
        else
            say "$name: $(clock $passed) so far;" \
                "$(tail -n 1 "$log" | tr -d '\r' | sed 's/^ *//' | cut -c 1-70)"
        fi
    done
}

# give_up NAME: say in a few lines what went wrong.
give_up() {
    local name=$1 log=$STATE/$1.log
    {
        echo "error: $name failed:"
        { grep -E '([Ee]rror|ERROR|fatal|FAILED)[: ]|Killed|No space left' "$log" ||
            tail -n 5 "$log"; } | awk '!seen[$0]++' | cut -c 1-200 | tail -n 8 | sed 's/^ */    /'
        if grep -qE 'Killed|out of memory' "$log"; then
            echo 'It ran out of memory: MAX_JOBS=1 bash tools/setup.sh'
        elif grep -q 'Python.h: No such file' "$log"; then
            echo "Python's headers are missing (Debian, Ubuntu: apt-get install python3-dev)"
        elif grep -q 'No space left' "$log"; then
            echo 'The disk is full.'
        elif grep -qE 'No matching distribution|Connection|timed out|name resolution' "$log"; then
            echo 'The package index does not answer, or lacks it: see "pip config list".'
            [[ $(age "$PY") != new ]] ||
                echo "Or it does not support Python $(python_version "$PY") yet: $WAY_OUT"
        elif [[ $name == mmcv ]] && ! command -v "${CXX:-c++}" >/dev/null; then
            echo "There is no C++ compiler (${CXX:-c++}; Debian, Ubuntu: apt-get install g++)"
        fi
        echo "log: $log"
    } >&2
    exit 1
}
