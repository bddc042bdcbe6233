#!/usr/bin/env bash
# The C++ compiler that tools/setup.sh gives mmcv's build (CXX). It calls the real one, and saves
# most of the time: it writes no debug information, and has torch's headers parsed once instead of
# once per file. The object code stays the same.
#
#     REAL_CXX         the real compiler, which may have its own arguments; unset: c++
#     PREFIX_HEADERS   a folder for the precompiled headers; unset: none, only -g0
#
# Anything but the compilation of one C++ file, such as linking, passes through unchanged.
set -uo pipefail

read -ra compiler <<<"${REAL_CXX:-c++}"
arguments=("$@")

# The flags without the names of this file: what its header has to be compiled with. With any
# other flags gcc would ignore the header.
flags=() sources=() compiles=false
while (($#)); do
    case $1 in
        -c) compiles=true ;;
        -o | -MF | -MT | -MQ) shift ;;
        -o* | -M*) ;;
        *.cpp | *.cc | *.cxx) sources+=("$1") ;;
        *) flags+=("$1") ;;
    esac
    shift
done
if ! "$compiles" || ((${#sources[@]} != 1)); then
    exec "${compiler[@]}" "${arguments[@]}"
fi

# Makes the header, one per set of flags, unless another process is at it. Sets HEADER. Fails where
# there is none (yet): then the file is compiled without.
find_header() {
    [[ -d ${PREFIX_HEADERS-} ]] && command -v flock >/dev/null || return
    # Clang keeps its precompiled headers differently.
    [[ $(LC_ALL=C "${compiler[@]}" -v 2>&1) == *'gcc version'* ]] || return
    HEADER=$PREFIX_HEADERS/$(printf '%s\n' "${flags[@]}" | cksum | tr ' ' -).h
    [[ -e $HEADER.gch ]] && return
    (
        # The others do not wait: they compile a file meanwhile.
        flock --nonblock 9 && [[ ! -e $HEADER ]] || exit
        echo '#include <torch/types.h>' >"$HEADER"
        "${compiler[@]}" "${flags[@]}" -g0 -x c++-header "$HEADER" -o "$HEADER.new" &&
            mv -- "$HEADER.new" "$HEADER.gch"
    ) 9>"$HEADER.lock"
    [[ -e $HEADER.gch ]]
}

if find_header; then
    exec "${compiler[@]}" -include "$HEADER" "${arguments[@]}" -g0 -Winvalid-pch
fi
exec "${compiler[@]}" "${arguments[@]}" -g0
